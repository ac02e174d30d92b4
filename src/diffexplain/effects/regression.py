"""Which concepts move the score, by regression on pictures whose prompts name random ones.

A screen, cheap and coarse: its scores choose what is tested, and are never shown as effects. Words crowd each other,
and the object, out of a picture, so that a coefficient is no effect of the concept alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from diffexplain.editing import Composition, State
from diffexplain.effects.records import Values
from diffexplain.effects.results import Path

RIDGE = 1.0
"""Added to the sums of squares of all terms: as if each concept had been named in one more picture without effect."""
TOGETHER = 3
"""Pictures that must name both of two concepts before anything is said of the two."""


@dataclass(frozen=True)
class Screen:
    """Scores of concepts, and of pairs of concepts beyond the sum of both.

    Attributes:
        single: by path, signed, in standard errors.
        pairs: likewise, largest size first.
    """

    single: dict[Path, float]
    pairs: tuple[tuple[tuple[Path, Path], float], ...]

    def ordered(self) -> list[Path]:
        """The concepts, largest size first."""
        return sorted(self.single, key=lambda path: -abs(self.single[path]))


def draw_state(composition: Composition, generator: np.random.Generator, stated: int, most: int) -> State:
    """What one picture names: one value each of at most ``stated`` things that have several, and 0 to ``most`` objects.

    An object that has sub-types is named as one of them. Of words, of which there are many, ``most`` are named.
    """
    state = composition.draw_values(generator, stated)
    _, objects = composition.choices()
    count = int(generator.integers(min(most, len(objects)) + 1))
    for place in sorted(generator.permutation(len(objects))[:count]):
        kinds = composition.subtypes(objects[place]) or (objects[place],)
        state = composition.put(state, kinds[int(generator.integers(len(kinds)))])
    words = composition.words()
    return state | {words[place] for place in generator.permutation(len(words))[:most]} if words else state


def screen(composition: Composition, states: Sequence[State], outcomes: Sequence[Values], among: int = 10) -> Screen:
    """Ridge regression of each outcome on what the prompts named; scores are means over the outcomes.

    Args:
        composition: subject and concepts.
        states: what each of N prompts named.
        outcomes: (N,) each: probability and log-odds, or an activation.
        among: pairs are looked for among so many concepts, those with the largest scores, and with each other one.
    """
    tops = composition.tops()
    paths = [*tops, *(path for path in composition.concepts if path not in tops)]
    named = np.asarray([[composition.shows(state, path) for path in paths] for state in states], dtype=np.float64)
    # A sub-type is named wherever its object is: what it adds is looked for in what its object leaves.
    broad, fine = named[:, : len(tops)], named[:, len(tops) :]
    of_broad, of_fine = (_contrasts(composition, some) for some in (paths[: len(tops)], paths[len(tops) :]))
    fits = [_fit(broad, values, of_broad) for values in outcomes]
    scores = [np.concatenate([score, _fit(fine, rest, of_fine)[0]]) for score, rest in fits]
    found = np.mean(scores, axis=0)
    single = {path: float(score) for path, score in zip(paths, found, strict=True)}
    strongest = set(sorted(range(len(paths)), key=lambda place: -abs(found[place]))[:among])
    pairs = []
    last = np.eye(len(tops) + 1)[-1:]
    for first, second in combinations(range(len(paths)), 2):
        both = named[:, first] * named[:, second]
        if strongest.isdisjoint((first, second)) or both.sum() < TOGETHER or _overlap(paths[first], paths[second]):
            continue
        beyond = [float(_fit(np.column_stack([broad, both]), values, last)[0][0]) for values in outcomes]
        pairs.append(((paths[first], paths[second]), float(np.mean(beyond))))
    return Screen(single, tuple(sorted(pairs, key=lambda pair: -abs(pair[1]))))


def candidates(found: Screen, most: int, pairs: int) -> list[Path]:
    """The concepts worth a test: the ``most`` with the largest scores, and the members of so many ``pairs``."""
    return list(dict.fromkeys([*found.ordered()[:most], *(path for both, _ in found.pairs[:pairs] for path in both)]))


def _contrasts(composition: Composition, paths: Sequence[Path]) -> NDArray[np.float64]:
    """A row for each concept: itself, less the mean of its rivals, of which one holds where it does not."""
    rows = np.eye(len(paths))
    for place, path in enumerate(paths):
        rivals = [paths.index(rival) for rival in composition.rivals(path) if rival in paths]
        rows[place, rivals] = -1 / len(rivals) if rivals else 0.0
    return rows


def _fit(
    named: NDArray[np.float64], values: Values, contrasts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Values]:
    """Contrasts of the coefficients over their standard errors, and the residuals."""
    centred = named - named.mean(axis=0)
    inverse = np.linalg.inv(centred.T @ centred + RIDGE * np.eye(named.shape[1]))
    coefficients = inverse @ (centred.T @ (values - values.mean()))
    residuals: Values = values - values.mean() - centred @ coefficients
    freedom = max(1.0, len(values) - float(np.trace(inverse @ (centred.T @ centred))) - 1)
    spread = max(float(np.sqrt((residuals**2).sum() / freedom)), 1e-9)
    errors = spread * np.sqrt(np.einsum("ij,jk,ik->i", contrasts, inverse, contrasts))
    standardised: NDArray[np.float64] = contrasts @ coefficients / errors
    return standardised, residuals


def _overlap(one: Path, other: Path) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer[: len(shorter)] == shorter
