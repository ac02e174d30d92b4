"""Who makes the edits: this process alone, or devices that share the images (`diffexplain.pipelines.distributed`).

An image belongs to one device, by its index; all its edits are made there, so that each device prepares its own images
and no others. Every device asks for the same batches in the same order and is given what all of them made, in the order
of the items: whatever is decided from that is decided alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from diffexplain.effects.edits import Made

Item = tuple[Any, ...]
"""Something to be made of an image, whose index comes first."""
Step = Callable[[Sequence[Any]], Made]
"""Makes a batch's items."""


class Devices(Protocol):
    """Makes batches of items, alone or together with others."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that a person looks at."""
        ...

    def own(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Which of these images are edited here."""
        ...

    def make(self, step: Step, batches: Sequence[Sequence[Item]]) -> Made:
        """What ``step`` makes of the batches, as one list in the items' order; ``step`` is given own images alone."""
        ...


class OneDevice:
    """Everything is made here, without a trainer."""

    is_first = True

    def own(self, indices: Sequence[int]) -> tuple[int, ...]:
        return tuple(indices)

    def make(self, step: Step, batches: Sequence[Sequence[Item]]) -> Made:
        made = [step(batch) for batch in batches]
        return [one for results, _ in made for one in results], sum(evaluations for _, evaluations in made)
