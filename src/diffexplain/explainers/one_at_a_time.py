"""One at a time: which of many words move the class, found at shared noise.

Each word alone is added to the class's prompt, and its pictures compared with those of all other words from the same
few noises: the noise's own part, which is most of what pictures differ in, falls out. Where many words are tried and
few of them matter, this finds more than a regression on prompts that name several. The pictures do not depend on the
classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffexplain.effects.population import Population
from diffexplain.effects.records import Values
from diffexplain.effects.regression import Screen
from diffexplain.explainers.discovery import Discovery, outcomes_of

ALMOST_NONE = 1e-9
"""The least standard deviation that differences are counted in: words that all change nothing have scores of 0."""


@dataclass(frozen=True, kw_only=True)
class OneAtATime(Discovery):
    """The method and its settings.

    Attributes:
        noises: that every concept is tried at.
    """

    counts: ClassVar[tuple[str, ...]] = ("noises", "tested")

    noises: int = 4
    tested: int = 12

    def screens(self, population: Population, count: int) -> list[Screen]:
        """See `Discovery.screens`: how far each concept moves the class beyond what all do, in standard errors."""
        composition = population.composition
        asked = [(path, noise) for path in composition.concepts for noise in range(self.noises)]
        states = [composition.put(frozenset(), path) for path, _ in asked]
        records = population.drawn(states, [noise for _, noise in asked])
        found = []
        for who in range(count):
            scores = [self._scores(values) for values in outcomes_of(records, who)]
            found.append(Screen(dict(zip(composition.concepts, map(float, np.mean(scores, axis=0)), strict=True)), ()))
        return found

    def screened(self, concepts: int) -> int:
        """See `Discovery.screened`."""
        return self.noises * concepts

    def _scores(self, values: Values) -> Values:
        """The score of each concept, from one outcome of its pictures, concept by concept."""
        of_each = values.reshape(-1, self.noises)
        moved = of_each - of_each.mean(axis=0)
        found: Values = moved.mean(axis=1) / max(float(moved.std()), ALMOST_NONE) * np.sqrt(self.noises)
        return found
