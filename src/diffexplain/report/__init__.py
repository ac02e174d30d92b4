"""What a run leaves behind: its summary, its page, its pictures, and how to read them back.

Imports no torch, and nothing at all before it is asked for: a summary is read without what draws pages and pictures.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.report.load import LoadedRun, load_run
    from diffexplain.report.page import write_report
    from diffexplain.report.statement import stated
    from diffexplain.report.summary import (
        SCHEMA_VERSION,
        Model,
        Optimisation,
        Summary,
        summarise,
    )

__all__ = [
    "SCHEMA_VERSION",
    "LoadedRun",
    "Model",
    "Optimisation",
    "Summary",
    "load_run",
    "stated",
    "summarise",
    "write_report",
]

_HOMES = {"LoadedRun": "load", "load_run": "load", "stated": "statement", "write_report": "page"}
"""Of those that are not in ``summary.py``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'summary')}"), name)
