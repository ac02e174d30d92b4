"""Which concepts get how many images: small objects that see the differences so far and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from diffexplain.effects.estimation import top
from diffexplain.effects.records import Values
from diffexplain.errors import UserError
from diffexplain.statistics.tests import mean_interval


class Policy(Protocol):
    """``name`` says in the report what was done."""

    @property
    def name(self) -> str: ...

    def choosing(self, images: int) -> list[int]:
        """How many images a concept has had by the end of each round that chooses, if it is in it; may be none."""
        ...

    def testing(self, images: int) -> range:
        """The images on which the concepts that are left are tested; no round that chose has seen them."""
        ...

    def survivors(self, differences: Sequence[Values]) -> list[int]:
        """Which of these concepts, given their differences so far, go into the next round."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Every concept is tested on every image."""

    name: str = "uniform"

    def choosing(self, images: int) -> list[int]:
        return []

    def testing(self, images: int) -> range:
        return range(images)

    def survivors(self, differences: Sequence[Values]) -> list[int]:
        return list(range(len(differences)))


@dataclass(frozen=True)
class Halving:
    """Batched successive halving (Karnin, Koren & Somekh 2013) with confidence bounds in the place of a fixed half.

    Images double from round to round, up to a quarter of all; what is left is tested on the other images. The ``keep``
    concepts with the largest absolute mean go on; of the others, those whose upper confidence bound exceeds both the
    lower one of the ``keep``-th best and what an effect is worth. So nothing is dropped by chance alone, and nothing
    goes on to fill a half.

    Attributes:
        first: images in the first round.
        keep: so many concepts always go on.
        worth: a concept whose effect is surely smaller need not be known better; an effect is there from 0.2 on.
        confidence: of the bounds.
    """

    first: int = 6
    keep: int = 5
    worth: float = 0.2
    confidence: float = 0.9
    name: str = "halving"

    def __post_init__(self) -> None:
        if self.first < 2 or self.keep < 1:
            raise ValueError("halving needs two images in its first round, and one concept to keep")

    def choosing(self, images: int) -> list[int]:
        counts = []
        count = self.first
        while count <= images / 4:
            counts.append(count)
            count *= 2
        return counts

    def testing(self, images: int) -> range:
        return range(max(self.choosing(images), default=0), images)

    def survivors(self, differences: Sequence[Values]) -> list[int]:
        if len(differences) <= self.keep:
            return list(range(len(differences)))
        intervals = [mean_interval(values, self.confidence) for values in differences]
        size = [abs(interval.value) for interval in intervals]
        half = [interval.high - interval.value for interval in intervals]
        better = set(top(size, self.keep))
        lower = np.asarray(size) - np.asarray(half)
        bound = float(lower[top(list(lower), self.keep)[-1]])
        return [k for k in range(len(size)) if k in better or size[k] + half[k] > max(bound, self.worth)]


SCREENED = "screened"
"""What a report says where other pictures chose which concepts are tested on how many images."""
POLICIES = {"uniform": Uniform, "halving": Halving}


def policy_named(name: str) -> Policy:
    """The policy of this name, with its own settings.

    Raises:
        UserError: there is none.
    """
    if name not in POLICIES:
        raise UserError("There is no such policy for the budget.", given=name, accepted=tuple(POLICIES))
    policy: Policy = POLICIES[name]()
    return policy
