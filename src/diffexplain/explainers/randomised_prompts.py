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

from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import PriorError
from diffexplain.effects.population import Population
from diffexplain.effects.records import scores
from diffexplain.effects.regression import Screen, candidates, draw_state, screen
from diffexplain.effects.results import EffectsResult, Path, Untested
from diffexplain.errors import UserError
from diffexplain.explainers.confirmation import confirm

PURPOSE = "randomised prompts"
BELOW = "its score in the screen is below those that were tested"


@dataclass(frozen=True)
class RandomisedPrompts:
    """The method and its settings.

    Attributes:
        pictures: of the screen.
        stated: things with values (colour, setting, ...) that a prompt states at most; its length is limited.
        objects: beside the class's own that a prompt names at most.
        tested: concepts that go on to the test at most, those with the largest scores.
        pairs: and the members of so many pairs of concepts that score beyond the sum of both.
    """

    finds: ClassVar[str] = "effects"
    together: ClassVar[int] = 1

    pictures: int = 96
    stated: int = 5
    objects: int = 2
    tested: int = 48
    pairs: int = 2

    def __post_init__(self) -> None:
        for name in ("pictures", "stated", "objects", "tested"):
            if getattr(self, name) < 1:
                raise UserError("There must be at least one.", given=f"explainer.{name}={getattr(self, name)}")
        if self.pictures < 4:
            raise UserError("A regression needs at least four pictures.", given=f"explainer.pictures={self.pictures}")

    def rank(
        self, population: Population, studied: Sequence[Studied], engine: Engine, error: PriorError | None = None
    ) -> EffectsResult:
        """Screen, and test what it found, for every classifier on the same pictures.

        Args:
            population: of images.
            studied: at least one, in the order of the population's readers.
            engine: of the effects.
            error: of the prior.
        """
        screens = self.screens(population, len(studied))
        chosen: list[Path] = list(
            dict.fromkeys(path for found in screens for path in candidates(found, self.tested, self.pairs))
        )
        shares = engine.share_out(population, range(len(studied)), chosen)
        composition = population.composition
        untested = [
            Untested(path, concept.text, concept.kind, BELOW, screens[0].single[path])
            for path, concept in composition.concepts.items()
            if path not in shares
        ]
        screened = [found.single for found in screens]
        rankings = engine.rank(population, studied, shares, error=error, untested=untested, screened=screened)
        return EffectsResult(
            composition.subject,
            rankings,
            engine.differences(population, studied, shares),
            engine.budget(population, shares, population.made),
            confirm(engine, population, shares),
        )

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
