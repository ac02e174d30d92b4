"""What loggers are shown of a run's record, ``metrics.jsonl``: the same keys at the same steps, live and afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffexplain.weights.store import inside

PICTURE = "generated"


def show(loggers: Sequence[Any], directory: Path, row: Mapping[str, Any]) -> None:
    """Log a row of the record of the run in ``directory``: its numbers, and its picture where a logger takes any.

    Raises:
        UserError: the picture lies outside the run, which may come from elsewhere.
    """
    numbers = {
        key: value
        for key, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "step"
    }
    picture = inside(directory, row["image"]) if isinstance(row.get("image"), str) else None
    for logger in loggers:
        logger.log_metrics(numbers, step=row["step"])
        if picture is not None and picture.is_file() and hasattr(logger, "log_image"):
            logger.log_image(key=PICTURE, images=[str(picture)], step=row["step"])
