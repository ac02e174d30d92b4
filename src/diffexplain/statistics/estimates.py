"""A number, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the number of images (or pairs of images) behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class SameAnswer:
    """The classifier answered all pictures alike, whatever they show, so that nothing can be told of what it looks for.

    ``score``: the probability of the class (for a unit: its activation) in each of so many ``pictures``.
    """

    score: float
    pictures: int
