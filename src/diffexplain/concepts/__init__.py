"""Where concepts come from: the hierarchy, and the proposers that fill it.

Imports nothing before it is asked for: a list of concepts is read without what finds and merges them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.concepts.clip import ClipProposer as ClipProposer
    from diffexplain.concepts.concept import Concept as Concept
    from diffexplain.concepts.endpoint import Endpoint as Endpoint
    from diffexplain.concepts.hierarchy import Hierarchy as Hierarchy
    from diffexplain.concepts.model import ModelProposer as ModelProposer
    from diffexplain.concepts.proposer import Proposer as Proposer
    from diffexplain.concepts.vlm import LocalModel as LocalModel

_HOMES = {"ClipProposer": "clip", "Concept": "concept", "Endpoint": "endpoint", "Hierarchy": "hierarchy"}
_HOMES |= {"LocalModel": "vlm", "ModelProposer": "model", "Proposer": "proposer"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
