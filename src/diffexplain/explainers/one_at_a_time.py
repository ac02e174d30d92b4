"""One at a time: which of many words move the class, found at shared noise.

Each word alone is added to the class's prompt, and the picture compared with that of the bare prompt from the same
noise: the noise's own part, which is most of what pictures differ in, falls out. All words are tried at few noises, and
those that moved the class most at more of them. Where there are many words and few of them matter, this finds more than
a regression on prompts that name several, with as many pictures. Which go on depends on the classifier; the first
pictures do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffexplain.editing import State
from diffexplain.effects.estimation import top
from diffexplain.effects.population import Population
from diffexplain.effects.records import Record, Values
from diffexplain.effects.regression import Screen
from diffexplain.effects.results import Path
from diffexplain.explainers.discovery import Discovery, outcomes_of

ALMOST_NONE = 1e-9
"""The least standard deviation that differences are counted in: words that all change nothing have scores of 0."""


@dataclass(frozen=True, kw_only=True)
class OneAtATime(Discovery):
    """The method and its settings.

    Attributes:
        noises: that every concept is tried at.
        kept: concepts that go on, those that moved the class most.
        more: further noises that those are tried at.
    """

    counts: ClassVar[tuple[str, ...]] = ("noises", "kept", "tested")

    noises: int = 1
    kept: int = 30
    more: int = 3
    tested: int = 12

    def screens(self, population: Population, count: int) -> list[Screen]:
        """See `Discovery.screens`: mean differences, over how far any concept moves the class at one noise."""
        paths = list(population.composition.concepts)
        first = self._made(population, paths, range(self.noises))
        every = [np.stack([_moved(first, path, who) for path in paths]) for who in range(count)]
        spreads = [np.maximum(moved.std(axis=(0, 1)), ALMOST_NONE) for moved in every]
        beforehand = [_scores(moved, spread) for moved, spread in zip(every, spreads, strict=True)]
        kept = [[paths[place] for place in sorted(top(list(abs(one)), self.kept))] for one in beforehand]
        union = [path for path in paths if any(path in those for those in kept)]
        then = self._made(population, union, range(self.noises, self.noises + self.more)) if self.more else {}
        found = []
        for who, (those, spread) in enumerate(zip(kept, spreads, strict=True)):
            single = dict(zip(paths, map(float, beforehand[who]), strict=True))
            for path in those if self.more else ():
                moved = np.concatenate([_moved(first, path, who), _moved(then, path, who)])
                single[path] = float(_scores(moved[None], spread)[0])
            found.append(Screen(single, ()))
        return found

    def screened(self, concepts: int, classifiers: int) -> int:
        """See `Discovery.screened`: those of the bare prompt are made beside them."""
        kept = min(concepts, self.kept * classifiers)
        return self.noises * (concepts + 1) + self.more * (kept + 1)

    def _made(self, population: Population, paths: Sequence[Path], noises: range) -> dict[Path, list[Record]]:
        """The pictures of each concept, and under the empty path of none, at each of the noises."""
        bare: State = frozenset()
        states = {(): bare} | {path: population.composition.put(bare, path) for path in paths}
        asked = [(path, state, noise) for path, state in states.items() for noise in noises]
        records = population.drawn([state for _, state, _ in asked], [noise for _, _, noise in asked])
        made: dict[Path, list[Record]] = {path: [] for path in states}
        for (path, _, _), record in zip(asked, records, strict=True):
            made[path].append(record)
        return made


def _moved(made: dict[Path, list[Record]], path: Path, who: int) -> Values:
    """How far a concept moves each outcome at each noise, (noises, outcomes)."""
    with_it, without = outcomes_of(made[path], who), outcomes_of(made[()], who)
    return np.stack([one - other for one, other in zip(with_it, without, strict=True)], axis=1)


def _scores(moved: Values, spread: Values) -> Values:
    """The score of each concept, from (concepts, noises, outcomes): in standard errors, a mean over the outcomes."""
    found: Values = (moved.mean(axis=1) / spread).mean(axis=1) * np.sqrt(moved.shape[1])
    return found
