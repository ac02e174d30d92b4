"""Edits on several devices: a Lightning predict loop over what each of them has to make."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from diffexplain.effects.devices import Item, Step
from diffexplain.effects.edits import Made
from diffexplain.errors import FailedElsewhere, UserError
from diffexplain.explainers.training import TrainerSettings, build_trainer, quiet_lightning

Share = Sequence[tuple[list[Any], int, Exception | None]]
"""What one device made of its part of each batch, what it cost, and why it could not."""


class PredictLoop:
    """A trainer's predict loop, on as many devices as the trainer has; a context manager for all that it makes.

    When the block fails here, the helping processes end with it. When a step fails on any device, it fails on all: the
    first process raises the error, and the others `FailedElsewhere`.

    Args:
        settings: of the trainer; ``progress`` is not shown, as a call of the loop is a short one.
        directory: of the run; nothing is written there.
    """

    def __init__(self, settings: TrainerSettings, directory: Path) -> None:
        with quiet_lightning():
            settings = replace(settings, progress="none", callbacks=())
            self.trainer = build_trainer(settings, 1, directory, [_HandlerKept()], [], inference_mode=False)
        self._quiet = quiet_lightning()

    @property
    def device(self) -> torch.device:
        """Of this process."""
        return self.trainer.strategy.root_device

    @property
    def is_first(self) -> bool:
        return self.trainer.is_global_zero

    def own(self, indices: Sequence[int]) -> tuple[int, ...]:
        return tuple(index for index in indices if index % self.trainer.world_size == self.trainer.global_rank)

    def make(self, step: Step, batches: Sequence[Sequence[Item]]) -> Made:
        alone = self.trainer.world_size == 1
        mine = self._predict(_Module(step, catch=not alone), _Shares(self.trainer, batches))
        shares = [mine] if alone else self._gathered(mine)
        # Its own error first, which knows where it was raised.
        for error in (error for share in (mine, *shares) for _, _, error in share if error is not None):
            if self.is_first:
                raise error
            raise FailedElsewhere
        return merged(batches, shares)

    def _predict(self, module: _Module, shares: _Shares) -> Share:
        try:
            made = self.trainer.predict(module, shares)
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # How the trainer ends on one.
                raise KeyboardInterrupt from None
            raise
        assert made is not None
        return made  # type: ignore[return-value]

    def _gathered(self, mine: Share) -> list[Share]:
        shares: list[Any] = [None] * self.trainer.world_size
        distributed.all_gather_object(shares, [(*made, _sendable(error)) for *made, error in mine])
        return shares

    def __enter__(self) -> PredictLoop:
        self._quiet.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._quiet.__exit__(None, None, None)
        for process in [] if error is None else getattr(self.trainer.strategy.launcher, "procs", []):
            # They write nothing, and may be waiting for this process in a call that hears no other signal.
            process.kill()
            process.wait()
            # Else the trainer's observer would take it for an accident and kill this process as well.
            process.returncode = 0


def merged(batches: Sequence[Sequence[Item]], shares: Sequence[Share]) -> Made:
    """What the devices made of their own images, as if one of them had made all."""
    results: list[Any] = []
    for number, batch in enumerate(batches):
        made = [iter(share[number][0]) for share in shares]
        results += [next(made[item[0] % len(shares)]) for item in batch]
    return results, sum(evaluations for share in shares for _, evaluations, _ in share)


def _sendable(error: Exception | None) -> Exception | None:
    """The error as another process can read it."""
    if error is None:
        return None
    readable: Exception = RuntimeError(f"{type(error).__name__}: {error}")
    with suppress(Exception):
        readable = copy.copy(error)  # It is made anew as it is where it arrives.
    if not isinstance(error, UserError):
        readable.add_note("".join(format_exception(error)))
    return readable


class _Module(LightningModule):
    """The loop's module: it has no parameters, the step knows the editor and the classifiers."""

    def __init__(self, step: Step, *, catch: bool) -> None:
        super().__init__()
        self.step = step
        self.catch = catch

    def predict_step(self, batch: Sequence[Item], batch_idx: int) -> tuple[list[Any], int, Exception | None]:
        if not batch:
            return [], 0, None
        try:
            return (*self.step(batch), None)
        except Exception as error:
            if not self.catch:
                raise
            return [], 0, error  # The other devices wait to hear of it.


class _Shares:
    """The loader: of every batch what belongs to this device, perhaps nothing, so that all make equally many steps."""

    def __init__(self, trainer: Trainer, batches: Sequence[Sequence[Item]]) -> None:
        self.trainer = trainer
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Item]]:
        world, rank = self.trainer.world_size, self.trainer.global_rank
        return ([item for item in batch if item[0] % world == rank] for batch in self.batches)


class _HandlerKept(Callback):
    """Leaves SIGTERM to whoever handled it before.

    The trainer's handler would first broadcast to the other processes, which may not be listening.
    """

    def __init__(self) -> None:
        self._handler: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)  # Before the trainer's own is there.

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
