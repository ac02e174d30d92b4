"""What an evaluation asks of an explanation; the package's own fits, and so do fakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class WordLike(Protocol):
    """A word near a token of the prompt."""

    @property
    def text(self) -> str: ...


class ExplanationLike(Protocol):
    """What an explainer found: the prompt's hidden states (1, T, D) and each token's nearest words."""

    @property
    def condition(self) -> Tensor: ...

    @property
    def words(self) -> Sequence[Sequence[WordLike]]: ...
