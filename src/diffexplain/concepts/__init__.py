"""Where concepts come from: the hierarchy, and the proposers that fill it.

Nothing here loads torch when it is imported; a proposer that needs it does so when it proposes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffexplain.concepts.clip import ClipProposer
from diffexplain.concepts.concept import Concept
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.model import ModelProposer
from diffexplain.concepts.proposer import Proposer
from diffexplain.concepts.vlm import LocalModel

if TYPE_CHECKING:
    from diffexplain.concepts.endpoint import Endpoint

__all__ = [
    "ClipProposer",
    "Concept",
    "Endpoint",
    "Hierarchy",
    "LocalModel",
    "ModelProposer",
    "Proposer",
]


def __getattr__(name: str) -> Any:
    if name != "Endpoint":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from diffexplain.concepts.endpoint import Endpoint  # imports what reaches the network

    return Endpoint
