"""What an explanation is worth: activation scores, words, and how often its object is absent.

The records in ``results.py`` can be read without torch; ``evaluate`` is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.evaluation.evaluation import evaluate
    from diffexplain.evaluation.settings import EvaluationSettings

__all__ = ["EvaluationSettings", "evaluate"]

_HOMES = {"evaluate": "evaluation", "EvaluationSettings": "settings"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
