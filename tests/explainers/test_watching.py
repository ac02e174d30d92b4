"""Loggers and callbacks watch an optimisation: they are shown its record, and change nothing of it."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers.logger import DummyLogger
from tests.explainers.support import QUIET, artefacts, explain

from diffexplain.errors import Interrupted, UserError
from diffexplain.report.file_loggers import csv_logger
from diffexplain.report.load import read_curve
from diffexplain.runs.record import show


class Kept(DummyLogger):
    """A logger that keeps what it is told; ``begins_anew`` as W&B's offline runs do."""

    begins_anew = True

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int | None, dict[str, Any]]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.told.append((step, dict(metrics)))

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        self.told.append((step, {key: [Path(image).name for image in images]}))


class Acts(Callback):
    """Does something behind a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_step: Any) -> None:
        if trainer.global_step == self.step:
            self.action(trainer)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nobody watches."""
    directory = tmp_path_factory.mktemp("alone")
    explain(directory)
    return artefacts(directory)


def test_a_run_that_is_stopped_and_goes_on_is_one_log_and_has_the_bytes_of_one_that_nobody_watches(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    directory, logs = tmp_path / "run", tmp_path / "logs"
    stop = Acts(3, lambda _trainer: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        explain(directory, trainer=replace(QUIET, callbacks=(stop,)), loggers=[Kept(), csv_logger(logs)])
    live = Kept()
    explain(directory, trainer=replace(QUIET, callbacks=(Callback(),)), loggers=[live, csv_logger(logs)])
    assert artefacts(directory) == alone
    # What is logged from the files afterwards is the same: keys, steps and order.
    afterwards = Kept()
    for row in read_curve(directory):
        show([afterwards], directory, row)
    assert live.told == afterwards.told
    assert live.told[0][1].keys() == {"loss", "score", "smoothed", "gradient_norm"}
    assert [step for step, values in live.told if "generated" in values] == [0, 3, 5]
    with (logs / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(6)]
    assert [float(row["score"]) for row in rows] == [row["score"] for row in read_curve(directory)]


def test_a_callback_that_ends_the_run_is_refused(tmp_path: Path) -> None:
    def end(trainer: Any) -> None:
        trainer.should_stop = True

    with pytest.raises(UserError, match="callbacks watch a run") as caught:
        explain(tmp_path, trainer=replace(QUIET, callbacks=(Acts(2, end),)))
    assert caught.value.given == "Acts"
    with pytest.raises(UserError, match=r"does not fit: .*ModelCheckpoint"):
        explain(tmp_path, trainer=replace(QUIET, callbacks=(ModelCheckpoint(),)))
