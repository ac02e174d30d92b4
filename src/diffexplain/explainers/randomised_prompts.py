"""Randomised prompts: which words move the class, found on pictures whose prompts name random ones.

Each picture of the class names a random subset of the concepts. Regression of what the classifier answers on what was
named scores them; those with the largest scores are then tested by the engine of effects, on pictures of their own. No
gradient is needed, and the pictures do not depend on the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diffexplain.effects.population import Population
from diffexplain.effects.regression import Screen, draw_state, screen
from diffexplain.errors import UserError
from diffexplain.explainers.discovery import Discovery, outcomes_of

PURPOSE = "randomised prompts"


@dataclass(frozen=True, kw_only=True)
class RandomisedPrompts(Discovery):
    """The method and its settings.

    Attributes:
        pictures: of the screen.
        stated: things with values (colour, setting, ...) that a prompt states at most; its length is limited.
        objects: beside the class's own that a prompt names at most; of words, each names so many.
    """

    counts: ClassVar[tuple[str, ...]] = ("pictures", "stated", "objects", "tested")

    pictures: int = 96
    stated: int = 5
    objects: int = 2
    pairs: int = 2
    others: int = 18

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pictures < 4:
            raise UserError("A regression needs at least four pictures.", given=f"pictures={self.pictures}")

    def screens(self, population: Population, count: int) -> list[Screen]:
        """See `Discovery.screens`: a regression."""
        composition, draws = population.composition, population.files.draws
        states = [
            draw_state(composition, draws.generator(PURPOSE, 0, index), self.stated, self.objects)
            for index in range(self.pictures)
        ]
        records = population.drawn(states)
        return [screen(composition, states, outcomes_of(records, who)) for who in range(count)]

    def screened(self, concepts: int) -> int:
        """See `Discovery.screened`: the same however many there are."""
        return self.pictures
