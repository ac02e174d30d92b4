"""Weights & Biases while a run goes: offline without a key, never asking, never in the way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import WandbLogger

from diffexplain.report.wandb_key import folders, has_key
from diffexplain.runs.run import IDENTITY_DIGITS

Mode = Literal["auto", "online", "offline"]
PROJECT = "diffexplain"
STEP = "trainer/global_step"
"""Lightning's axis."""
_SECONDS_TO_CONNECT = 30
_LONGEST_TAG = 64


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
        mode: ``auto`` is online when a key is known (environment or netrc) and offline otherwise.
        tags: beside the names of classifier, prior and method.
    """
    os.environ.update(folders(directory))  # The run's own: they are gone with its environment.
    if mode == "auto":
        mode = "online" if has_key() else "offline"
        if mode == "offline" and "WANDB_MODE" not in os.environ:
            warnings.warn(
                f"No W&B key: logging offline to {directory / 'wandb'}. Set WANDB_API_KEY to log online, "
                "or mirror the run later with: diffexplain sync <run>",
                stacklevel=2,
            )
    try:
        # Begun here, so that a failure is met here and not in the middle of a run.
        return begun(
            directory,
            identity[:IDENTITY_DIGITS],
            config,
            project=project,
            entity=entity,
            mode=mode,
            group=group,
            job_type=job_type,
            tags=tags,
        )
    except Exception as error:
        warnings.warn(f"W&B cannot be used and the run goes on without it: {error}", stacklevel=2)
        return None


def begun(directory: Path, identity: str, config: Mapping[str, Any], *, mode: str, **options: Any) -> Copy:
    """A logger whose run at W&B is open: one of its own, whatever else this process logs there."""
    import wandb

    tags = [*options.pop("tags", ()), *_tags(config)]
    experiment = wandb.init(
        id=identity,
        name=directory.resolve().name,
        config=dict(config),
        dir=directory,
        mode=mode,  # type: ignore[arg-type]  # W&B itself says which words it takes
        resume=None if mode == "offline" else "allow",
        reinit="create_new",
        tags=list(dict.fromkeys(tags)),
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            init_timeout=_SECONDS_TO_CONNECT,
        ),
        **options,
    )
    experiment.define_metric(STEP)
    experiment.define_metric("*", step_metric=STEP, step_sync=True)
    logger = Copy(experiment=experiment, project=options.get("project"))
    logger.begins_anew = mode == "offline"
    return logger


def _tags(config: Mapping[str, Any]) -> list[str]:
    nodes = [config.get(group) for group in ("classifier", "diffusion", "explainer")]
    return [str(node["name"])[:_LONGEST_TAG] for node in nodes if isinstance(node, Mapping) and node.get("name")]
