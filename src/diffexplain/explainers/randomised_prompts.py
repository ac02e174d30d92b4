"""Randomised prompts: which words move the class, found on pictures whose prompts name random ones.

Each picture of the class names a random subset of the concepts. Regression of what the classifier answers on what was
named scores them; those with the largest scores are then tested by the engine of effects, on pictures of their own. No
gradient is needed, and the pictures do not depend on the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffexplain.effects.budget import SCREENED
from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import PriorError
from diffexplain.effects.population import Population
from diffexplain.effects.records import scores
from diffexplain.effects.regression import Screen, candidates, draw_state, screen
from diffexplain.effects.results import EffectsResult, Untested
from diffexplain.errors import UserError

PURPOSE = "randomised prompts"
BELOW = "its score in the screen is below those that were tested"


@dataclass(frozen=True)
class RandomisedPrompts:
    """The method and its settings.

    Attributes:
        pictures: of the screen.
        stated: things with values (colour, setting, ...) that a prompt states at most; its length is limited.
        objects: beside the class's own that a prompt names at most; of words, each names so many.
        tested: concepts that are tested on all images, those with the largest scores.
        pairs: and the members of so many pairs of concepts that score beyond the sum of both.
        others: images that each of the other concepts is tested on; 0 leaves them untested.
    """

    finds: ClassVar[str] = "effects"
    together: ClassVar[int] = 1

    pictures: int = 96
    stated: int = 5
    objects: int = 2
    tested: int = 8
    pairs: int = 2
    others: int = 6

    def __post_init__(self) -> None:
        for name in ("pictures", "stated", "objects", "tested"):
            if getattr(self, name) < 1:
                raise UserError("There must be at least one.", given=f"{name}={getattr(self, name)}")
        if self.pictures < 4:
            raise UserError("A regression needs at least four pictures.", given=f"pictures={self.pictures}")

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
            UserError: fewer images for each of the other concepts than a test needs.
        """
        if 0 < self.others < engine.smallest:
            message = f"A test needs effects.smallest={engine.smallest} images; 0 leaves the other concepts untested."
            raise UserError(message, given=f"others={self.others}")
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

    def screens(self, population: Population, count: int) -> list[Screen]:
        """The screen of each classifier, on the same pictures.

        Raises:
            UserError: photographs are edited, which have no prompts.
        """
        if population.images is not None:
            message = "Randomised prompts make pictures of their own: explainer=diffex edits photographs."
            raise UserError(message, given="images")
        composition, draws = population.composition, population.files.draws
        states = [
            draw_state(composition, draws.generator(PURPOSE, 0, index), self.stated, self.objects)
            for index in range(self.pictures)
        ]
        records = population.drawn(states)
        found = []
        for who in range(count):
            outcomes = [scores(records, who)]
            log_odds = [record.log_odds[who] for record in records]
            known = [value for value in log_odds if value is not None]
            if len(known) == len(log_odds):
                outcomes.append(np.asarray(known))
            found.append(screen(composition, states, outcomes))
        return found
