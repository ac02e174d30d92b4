"""Weights & Biases while a run goes: offline without a key, never asking, never in the way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import WandbLogger

from diffexplain.report.wandb_key import folders, has_key

Mode = Literal["auto", "online", "offline"]


def wandb_logger(
    directory: Path,
    identity: str,
    config: Mapping[str, Any],
    *,
    project: str = "diffexplain",
    entity: str | None = None,
    mode: Mode = "auto",
) -> WandbLogger | None:
    """A logger whose run is named after the run's identity, or ``None`` with a warning if W&B fails.

    Args:
        directory: the run's; W&B's own files go to ``wandb`` inside it.
        identity: the run's; the same run resumed is the same run at W&B.
        config: the resolved configuration, shown beside the run.
        mode: ``auto`` is online when a key is known (environment or netrc) and offline otherwise.
    """
    os.environ.update(folders(directory))  # The run's own: they are gone with its environment.
    import wandb

    if mode == "auto":
        mode = "online" if has_key() else "offline"
        if mode == "offline" and "WANDB_MODE" not in os.environ:
            warnings.warn(
                f"No W&B key: logging offline to {directory / 'wandb'}. Set WANDB_API_KEY to log online, "
                "or mirror the run later with: diffexplain sync <run>",
                stacklevel=2,
            )
    try:
        logger = WandbLogger(
            save_dir=directory,
            id=identity[:12],
            name=directory.name,
            project=project,
            entity=entity,
            offline=mode == "offline",
            resume=None if mode == "offline" else "allow",
            config=dict(config),
            settings=wandb.Settings(
                silent=True, console="off", x_disable_stats=True, x_disable_meta=True, init_timeout=30
            ),
        )
        # Begun here, so that a failure is met here and not in the middle of a run.
        _ = logger.experiment
    except Exception as error:
        warnings.warn(f"W&B cannot be used and the run goes on without it: {error}", stacklevel=2)
        return None
    return logger
