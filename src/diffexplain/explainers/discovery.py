"""Discovery: a screen says which concepts are worth a test, and the engine of effects tests those.

Pictures that chose a concept do not test it, and scores of a screen are never shown as effects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffexplain.effects.budget import SCREENED
from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import PriorError
from diffexplain.effects.population import Population
from diffexplain.effects.records import Record, Values, scores
from diffexplain.effects.regression import Screen, candidates
from diffexplain.effects.results import EffectsResult, Untested
from diffexplain.errors import UserError

BELOW = "its score in the screen is below those that were tested"


@dataclass(frozen=True, kw_only=True)
class Discovery(ABC):
    """What discoveries share.

    Attributes:
        tested: concepts that are tested on all images, those with the largest scores.
        pairs: and the members of so many pairs of concepts that score beyond the sum of both.
        others: images that each of the other concepts is tested on; 0 leaves them untested.
    """

    finds: ClassVar[str] = "effects"
    together: ClassVar[int] = 1
    counts: ClassVar[tuple[str, ...]] = ("tested",)
    """The settings that are 1 at least."""

    tested: int = 8
    pairs: int = 0
    others: int = 0

    def __post_init__(self) -> None:
        for name in self.counts:
            if getattr(self, name) < 1:
                raise UserError("There must be at least one.", given=f"{name}={getattr(self, name)}")

    @abstractmethod
    def screens(self, population: Population, count: int) -> list[Screen]:
        """The screen of each of the first ``count`` classifiers, on the same pictures."""

    @abstractmethod
    def screened(self, concepts: int) -> int:
        """Pictures that a screen of so many concepts makes."""

    def rank(
        self, population: Population, studied: Sequence[Studied], engine: Engine, error: PriorError | None = None
    ) -> EffectsResult:
        """Screen, and test what it found, for every classifier on the same pictures.

        Args:
            population: of images.
            studied: at least one, in the order of the population's readers.
            engine: of the effects.
            error: of the prior.

        Raises:
            UserError: fewer images for each of the other concepts than a test needs, or photographs, which have no
                prompts.
        """
        if 0 < self.others < engine.smallest:
            message = f"A test needs effects.smallest={engine.smallest} images; 0 leaves the other concepts untested."
            raise UserError(message, given=f"others={self.others}")
        if population.images is not None:
            message = "A screen makes pictures of its own: explainer=diffex edits photographs."
            raise UserError(message, given="images")
        own = [who for who, one in enumerate(studied) if not one.control]
        screens = self.screens(population, len(own))
        # Each classifier is told what it would be told alone; a control reads all that was made.
        firsts = [candidates(found, self.tested, self.pairs) for found in screens]
        shares = [engine.test(population, first, self.others) for first in firsts]
        every = engine.test(population, [path for first in firsts for path in first], self.others)
        rankings = []
        for who, one in enumerate(studied):
            scores_of, mine = (screens[who].single, shares[who]) if who in own else ({}, every)
            untested = [
                Untested(path, concept.text, concept.kind, BELOW)
                for path, concept in population.composition.concepts.items()
                if path not in mine
            ]
            first = firsts[who] if who in own else ()
            rankings.append(
                engine.ranking(
                    population, who, one, mine, error=error, untested=untested, screened=scores_of, first=first
                )
            )
        return engine.result(population, studied, every, rankings, error=error, policy=SCREENED)


def outcomes_of(records: Sequence[Record], who: int) -> list[Values]:
    """What a screen of one classifier looks at, (N,) each: its score, and the log-odds where it has them."""
    log_odds = [record.log_odds[who] for record in records]
    known = [value for value in log_odds if value is not None]
    found = [scores(records, who)]
    return [*found, np.asarray(known)] if len(known) == len(log_odds) else found
