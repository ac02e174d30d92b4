"""Progress on a terminal: Lightning's bar. Elsewhere, in files and job logs: a few plain lines."""

from __future__ import annotations

import sys
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

Progress = Literal["auto", "bar", "lines", "none"]
LINES = 10
"""About so many lines are printed in a run."""


class OptimisationBar(TQDMProgressBar):
    """Lightning's bar, named after what it shows."""

    def on_train_epoch_start(self, trainer: Trainer, *arguments: Any) -> None:
        super().on_train_epoch_start(trainer, *arguments)
        self.train_progress_bar.set_description("optimise")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class PlainProgress(Callback):
    """Prints step, loss and score to standard error every tenth of the run."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, steps = trainer.global_step, trainer.max_steps
        if trainer.is_global_zero and (step % max(1, steps // LINES) == 0 or step == 1):
            loss, score = float(outputs["mean_loss"]), float(outputs["score"])
            line = f"optimise {step}/{steps}: loss {loss:.3f}, score {score:.3f}"
            print(line, file=sys.stderr, flush=True)


def progress_callbacks(progress: Progress) -> list[Callback]:
    """``auto`` is a bar on a terminal and lines elsewhere."""
    if progress == "auto":
        progress = "bar" if sys.stderr.isatty() else "lines"
    if progress == "bar":
        return [OptimisationBar()]
    return [PlainProgress()] if progress == "lines" else []
