"""What a run leaves behind: its summary, its page, its pictures, and how to read them back.

Imports no torch, and nothing at all before it is asked for: a summary is read without what draws pages and pictures.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.report.load import LoadedRun as LoadedRun
    from diffexplain.report.load import load_run as load_run
    from diffexplain.report.page import write_report as write_report
    from diffexplain.report.statement import stated as stated
    from diffexplain.report.summary import SCHEMA_VERSION as SCHEMA_VERSION
    from diffexplain.report.summary import Model as Model
    from diffexplain.report.summary import Optimisation as Optimisation
    from diffexplain.report.summary import Summary as Summary
    from diffexplain.report.summary import summarise as summarise

_HOMES = {"LoadedRun": "load", "load_run": "load", "stated": "statement", "write_report": "page"}
_HOMES |= dict.fromkeys(("SCHEMA_VERSION", "Model", "Optimisation", "Summary", "summarise"), "summary")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
