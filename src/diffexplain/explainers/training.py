"""The Lightning trainer as a run needs it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger

from diffexplain.explainers.checkpoint import AtomicCheckpointIO
from diffexplain.explainers.progress import progress_callbacks
from diffexplain.progress import Progress


@dataclass(frozen=True)
class TrainerSettings:
    """Where and how a run is made; only ``precision`` is meant to change its result.

    Whether there are such words, and the machine has the devices, is for `diffexplain.runs.machine` to say.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``gpu`` or ``mps``.
        devices: processes, one device each; they share the batch.
        precision: one of `diffexplain.runs.machine.PRECISIONS`.
        progress: ``auto``, ``bar``, ``lines`` or ``none``.
        deterministic: ask the libraries for repeatable kernels; on a GPU bits may differ without.
        callbacks: the user's, which watch the optimisation.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    progress: Progress = "auto"
    deterministic: bool = False
    callbacks: tuple[Callback, ...] = ()


class StepCounter:
    """The training loader: it only counts.

    Every draw is keyed by the trainer's global step, so it does not matter that a resumed run starts
    its loader from the beginning; the empty state tells Lightning that this is meant.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.steps))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def build_trainer(
    settings: TrainerSettings,
    steps: int,
    directory: Path,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    *,
    inference_mode: bool = True,
) -> Trainer:
    """A trainer that makes ``steps`` optimiser steps and does nothing else of its own.

    What a predict loop keeps may be of use outside it only without ``inference_mode``.
    """
    watching = [*callbacks, *settings.callbacks]
    if not any(isinstance(callback, ProgressBar) for callback in watching):
        watching += progress_callbacks(settings.progress)
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="ddp" if settings.devices > 1 else "auto",
        precision=settings.precision,  # type: ignore[arg-type]
        deterministic="warn" if settings.deterministic else None,
        max_steps=steps,
        callbacks=watching,
        logger=list(loggers),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=directory,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=inference_mode,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in watching),
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's remarks on devices and limits are not this program's; its warnings are kept."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 still calls what newer versions of torch name otherwise.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            warnings.filterwarnings("ignore", message=".*all_gather is deprecated.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
