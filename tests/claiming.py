"""A run taken without what `diffexplain.app.make` does around it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffexplain.runs.run import Run, planned
from diffexplain.target import ResolvedTarget


def claim(config: Mapping[str, Any], root: str | Path, *, target: ResolvedTarget | None = None) -> Run:
    """Take the run of ``config`` for this process, to begin it, to go on with it, or to read it.

    Args:
        config, root, target: as those of `planned`; ``force`` true sets an earlier attempt aside.

    Raises:
        OwnedElsewhere: another process is making it.
        RetryableError: ``root`` cannot be written to or is full.
    """
    run = planned(config, root, target=target)
    # Where nothing will be written, neither lock nor write access is needed.
    return run if run.is_writer and run.is_done() else run.taken()
