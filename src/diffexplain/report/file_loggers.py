"""Lightning's loggers that write files beside a run: CSV and TensorBoard."""

from __future__ import annotations

import shutil
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger


class RunCSVLogger(CSVLogger):
    """Lightning's, whose file begins anew; what was logged before is logged again when a run goes on."""

    begins_anew = True


def csv_logger(save_dir: Path) -> RunCSVLogger:
    """``metrics.csv``, a line for each step, in ``save_dir``, a folder of the logger's own."""
    shutil.rmtree(save_dir, ignore_errors=True)
    return RunCSVLogger(save_dir, name="", version="", flush_logs_every_n_steps=1)


def tensorboard_logger(save_dir: Path) -> TensorBoardLogger:
    """TensorBoard's event files in ``save_dir``; those of a run that goes on stand beside the earlier ones.

    Without a metric of its own that says -1 for what is not measured.
    """
    return TensorBoardLogger(save_dir, name="", version="", default_hp_metric=False)
