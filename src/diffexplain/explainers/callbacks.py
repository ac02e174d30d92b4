"""What happens around an optimisation step: best prompt, record, signals, checkpoint.

In this order: each uses what the one before it has found out about the step. A step's outputs are a
mapping with ``mean_loss`` and ``score`` (means over the whole batch), ``images`` (this process's) and ``causes``, for
which the step was made anew.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from diffexplain.errors import RetryableError
from diffexplain.explainers.pictures import image_grid, png
from diffexplain.runs.record import show
from diffexplain.runs.run import Run
from diffexplain.weights.atomic import storage_errors
from diffexplain.weights.documents import from_json

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

METRICS_FILE = "metrics.jsonl"


class SmoothedBest(Callback):
    """Keeps the prompt whose score, averaged over the last ``window`` steps, was best.

    A single step's score is that of a few images; the mean over a window is not won by one lucky batch. Where the
    prompt is made of words, a window begins anew when they change: what is kept has the score of what it says. In
    place of steps that a window lacks stands the lowest score of all, so that words which were good and soon gone can
    be the best.

    Args:
        window: steps that are averaged.
        stop_at: the smoothed score at which to stop early; ``None`` never stops.
    """

    def __init__(self, window: int, stop_at: float | None) -> None:
        self.window = window
        self.stop_at = stop_at
        self.recent: list[float] = []
        self.stopped_early = False
        self._lowest = float("inf")
        self._best: dict[int, dict[str, Any]] = {}  # Of windows of so many steps.
        self._said: tuple[int, ...] | None = None
        self._candidate: dict[str, Tensor] = {}

    @property
    def smoothed(self) -> float:
        """Mean score of the steps in the window: the last ones, or those since the words changed."""
        return sum(self.recent) / len(self.recent)

    @property
    def best_step(self) -> int:
        """The last of the steps over which the best prompt's score was averaged."""
        return int(self._chosen["step"])

    @property
    def best_score(self) -> float:
        """Mean score of the steps in the best prompt's window."""
        return float(self._chosen["score"])

    @property
    def best_prompt(self) -> dict[str, Tensor]:
        """The optimisation's state; empty before the first step's end."""
        return dict(self._chosen["prompt"]) if self._best else {}

    @property
    def _chosen(self) -> dict[str, Any]:
        def at_least(count: int) -> float:
            return (count * float(self._best[count]["score"]) + (self.window - count) * self._lowest) / self.window

        return self._best[max(self._best, key=lambda count: (at_least(count), count))]

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # A step's score is that of the prompt before the step is applied.
        self._candidate = {name: value.clone() for name, value in pl_module.state_dict().items()}
        said = pl_module.prompt.said()
        if said != self._said:
            self._said, self.recent = said, []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.recent = [*self.recent, float(outputs["score"])][-self.window :]
        self._lowest = min(self._lowest, self.recent[-1])
        count = len(self.recent)
        if count not in self._best or self.smoothed > self._best[count]["score"]:
            self._best[count] = {"step": trainer.global_step - 1, "score": self.smoothed, "prompt": self._candidate}
        if self.stop_at is not None and count == self.window and self.smoothed >= self.stop_at:
            self.stopped_early = True
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {
            "recent": self.recent,
            "said": self._said,
            "lowest": self._lowest,
            "best": self._best,
            "stopped_early": self.stopped_early,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.recent = list(state_dict["recent"])
        self._said = state_dict.get("said")
        self._lowest = state_dict.get("lowest", min(self.recent))
        self._best = state_dict.get("best") or {self.window: _of_one_best(state_dict)}
        self.stopped_early = state_dict["stopped_early"]


def _of_one_best(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The best of an earlier version's checkpoint, which held a single one."""
    return {name: state_dict[f"best_{name}"] for name in ("step", "score", "prompt")}


class Recorder(Callback):
    """Writes one line a step to ``metrics.jsonl`` and, now and then, the step's images as a PNG.

    On resume the file is cut to the length that it had at the checkpoint, which knows it by a SHA-256 of lines and
    pictures.

    Args:
        image_every: steps between pictures; the last step's are always written.
    """

    def __init__(self, run: Run, best: SmoothedBest, image_every: int) -> None:
        self.run = run
        self.best = best
        self.image_every = image_every
        self.path = run.directory / METRICS_FILE
        self.length = 0
        self._digest = sha256()
        self._words: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            with storage_errors(self.path), self.path.open("ab") as file:
                file.truncate(self.length)
            anew = [logger for logger in trainer.loggers if getattr(logger, "begins_anew", False)]
            for line in self.path.read_bytes().splitlines() if anew else ():
                show(anew, self.run.directory, from_json(line))
        self._digest = record_digest(self.run.directory, self.length) or sha256()

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._words = [token[0].text for token in pl_module.prompt.nearest_words(1)]

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step - 1
        row: dict[str, Any] = {
            "step": step,
            "loss": float(outputs["mean_loss"]),
            "score": float(outputs["score"]),
            "smoothed": self.best.smoothed,
            "gradient_norm": pl_module.gradient_norm,
            "words": self._words,
        }
        if outputs["causes"]:
            row["made_anew"] = outputs["causes"]
        if step % self.image_every == 0 or is_last_step(trainer):
            row["image"] = self._write_images(trainer, pl_module.gathered(outputs["images"]), step)
        if trainer.is_global_zero:
            self._append((json.dumps(row, sort_keys=True, allow_nan=False) + "\n").encode())
            show(trainer.loggers, self.run.directory, row)

    def _write_images(self, trainer: Trainer, images: Tensor, step: int) -> str:
        name = f"images/step-{step:05d}.png"
        if trainer.is_global_zero:
            content = png(image_grid(images))
            self.run.write_bytes(name, content)
            self._digest.update(content)
        return name

    def _append(self, line: bytes) -> None:
        with storage_errors(self.path, needed=len(line)), self.path.open("ab") as file:
            if file.tell() != self.length:
                message = f"{self.path} was changed or deleted while the run wrote it; the same command makes it again."
                raise RetryableError(message)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            self.length = file.tell()
        self._digest.update(line)

    def state_dict(self) -> dict[str, Any]:
        return {"length": self.length, "sha256": self._digest.hexdigest()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.length = state_dict["length"]


def record_digest(directory: Path, length: int) -> Hash | None:
    """SHA-256 of a run's record up to a length of ``metrics.jsonl``, pictures included; None: it is not all there."""
    digest = sha256()
    try:
        content = (directory / METRICS_FILE).read_bytes()[:length]
        for line in content.splitlines(keepends=True):
            row = from_json(line)
            if "image" in row:
                digest.update((directory / row["image"]).read_bytes())
            digest.update(line)
    except (OSError, ValueError, TypeError):
        return None
    return digest if len(content) == length else None


class StopOnSignal(Callback):
    """On SIGTERM or SIGINT lets the step finish, then stops.

    ``received`` names the signal, ``interrupted`` says whether steps were left undone. A second SIGINT
    stops at once. Signals reach only a process's main thread; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self.interrupted = False
        self._replaced: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            # Set after the trainer's own handlers, which would stop without a checkpoint.
            for number in (signal.SIGTERM, signal.SIGINT):
                self._replaced[number] = signal.signal(number, self._receive)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.strategy.reduce_boolean_decision(self.received is not None, all=False):
            self.received = self.received or signal.SIGTERM.name
            self.interrupted = not is_last_step(trainer)
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name

    def _restore(self) -> None:
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        self._replaced = {}


class RunCheckpoint(Callback):
    """Saves a checkpoint every so many steps, after the last step, and when a signal stops the run.

    ``finished`` is false in a checkpoint from which the optimisation still has to go on.
    """

    def __init__(self, path: Path, every: int, signals: StopOnSignal) -> None:
        self.path = path
        self.every = every
        self.signals = signals
        self.finished = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = is_last_step(trainer)
        self.finished = last and not self.signals.interrupted
        if last or trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path)

    def state_dict(self) -> dict[str, Any]:
        return {"finished": self.finished}


def is_last_step(trainer: Trainer) -> bool:
    """Whether no step follows the one that has just been made."""
    return trainer.should_stop or trainer.global_step >= trainer.max_steps


def callback_state(checkpoint: Mapping[str, Any], kind: type[Callback]) -> dict[str, Any]:
    """What a callback of ``kind`` put into a checkpoint."""
    return checkpoint["callbacks"][kind.__qualname__]
