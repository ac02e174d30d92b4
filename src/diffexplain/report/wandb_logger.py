"""Weights & Biases while a run goes: offline without a key, never asking, never in the way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import WandbLogger

from diffexplain.report import wandb_mirror
from diffexplain.report.wandb_key import folders, has_key
from diffexplain.runs.run import IDENTITY_DIGITS

Mode = Literal["auto", "online", "offline"]
PROJECT = "diffexplain"


class Copy(WandbLogger):
    """A run at W&B; one that is offline begins anew when the run goes on, and is told what was before."""

    begins_anew = False


def wandb_logger(
    directory: Path,
    identity: str,
    config: Mapping[str, Any],
    *,
    project: str = PROJECT,
    entity: str | None = None,
    mode: Mode = "auto",
    group: str | None = None,
    job_type: str = "explain",
    tags: Sequence[str] = (),
) -> Copy | None:
    """A logger whose run is named after the run's identity, or ``None`` with a warning if W&B fails.

    Args:
        directory: the run's; W&B's own files go to ``wandb`` inside it.
        identity: the run's; the same run resumed is the same run at W&B.
        mode: ``auto`` is as ``WANDB_MODE`` says, else online when a key is known (environment or netrc) and offline
            otherwise. What should be online and cannot be reached is offline.
        tags: beside the names of classifier, prior and method.
    """
    os.environ.update(folders(directory))  # The run's own: they are gone with its environment.
    if mode == "auto" and not has_key() and "WANDB_MODE" not in os.environ:
        warnings.warn(
            f"No W&B key: logging offline to {directory / 'wandb'}. Set WANDB_API_KEY to log online, "
            "or mirror the run later with: diffexplain sync <run>",
            stacklevel=2,
        )
    try:
        # Begun here, so that a failure is met here and not in the middle of a run.
        experiment = wandb_mirror.begun(
            directory,
            identity[:IDENTITY_DIGITS],
            config,
            project=project,
            entity=entity,
            mode=wandb_mirror.mode() if mode == "auto" else mode,
            group=group,
            job_type=job_type,
            tags=tags,
        )
        logger = Copy(experiment=experiment, project=project)
    except Exception as error:
        warnings.warn(f"W&B cannot be used and the run goes on without it: {error}", stacklevel=2)
        return None
    logger.begins_anew = bool(experiment.offline)
    return logger
