"""How far the optimisation is: Lightning's bar on a terminal, elsewhere lines with loss and score."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from diffexplain.progress import Meter, Progress, resolved

LABEL = "optimise"


class OptimisationBar(TQDMProgressBar):
    """Lightning's bar, named after what it shows."""

    def on_train_epoch_start(self, trainer: Trainer, *arguments: Any) -> None:
        super().on_train_epoch_start(trainer, *arguments)
        self.train_progress_bar.set_description(LABEL)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class PlainProgress(Callback):
    """Now and then prints step, time left, loss and score to standard error."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.meter = Meter(LABEL, trainer.max_steps, before=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_global_zero:
            loss, score = float(outputs["mean_loss"]), float(outputs["score"])
            self.meter.say(trainer.global_step, f"; loss {loss:.3f}, score {score:.3f}")


def progress_callbacks(progress: Progress) -> list[Callback]:
    """``auto`` is a bar on a terminal and lines elsewhere."""
    how = resolved(progress)
    if how == "bar":
        return [OptimisationBar()]
    return [PlainProgress()] if how == "lines" else []
