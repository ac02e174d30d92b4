"""DiffEx's Algorithm 1 (arXiv 2412.18604): which concepts move the classifier most together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from diffexplain.editing import Change, Composition
from diffexplain.effects.estimation import Mean, top
from diffexplain.effects.population import Population, Shares
from diffexplain.effects.records import Record, Values, scores, shows
from diffexplain.effects.results import Combination, Path
from diffexplain.progress import progress
from diffexplain.statistics.tests import p_mean_above, wilson


class Search:
    """Algorithm 1: beam search for the best joint combination of one classifier, in these steps.

    1. Score the root groups: f(b) is the mean score of the images with b in them, minus the null edits'.
    2. Keep the best B of those with f(b) >= delta as the beam.
    3. While there are candidates, extend each item b of the beam with features of the next level.
    4. Keep an extension b' only if f(b') > f(b).
    5. The best B of those are the next beam. (As printed, the beam stays as it is.)
    6. Return the best joint combination.

    Args:
        population: of images.
        who: of its classifiers.
        mean: of gains, with its interval.
        beam: B.
        threshold: delta.
        roots: so many concepts are extended by and extended with at most, those with the largest gains.
        largest: concepts in a combination at most.
        indices: of the images that each combination is tried on.
        significance: largest p of a combination that beats its parents.
    """

    def __init__(
        self,
        population: Population,
        who: int,
        mean: Mean,
        *,
        beam: int,
        threshold: float,
        roots: int,
        largest: int,
        indices: range,
        significance: float,
    ) -> None:
        self.population = population
        self.who = who
        self.mean = mean
        self.beam = beam
        self.threshold = threshold
        self.roots = roots
        self.largest = largest
        self.indices = indices
        self.significance = significance

    def run(self, shares: Shares) -> tuple[Combination, ...]:
        """All combinations that were kept, best first; ``shares``: the images that each concept has had."""
        # Step 1, on the images that each root has had; those above delta again on all of the search's.
        tops: list[tuple[Path, ...]] = [(path,) for path in self.population.composition.tops()]
        roots = {paths: self._gains(paths, shares[paths[0]].indices) for paths in tops if paths[0] in shares}
        above = [paths for paths, gains in roots.items() if gains.mean() >= self.threshold]
        firsts = _best(above, roots, self.roots)
        scored = {paths: self._gains(paths) for paths in progress(firsts, "concepts to combine")}
        firsts = _best(firsts, scored, len(firsts))
        kept = {paths: self._combination(paths, scored[paths], None) for paths in firsts}
        beam = firsts[: self.beam]  # Step 2
        while beam:
            survivors: dict[tuple[Path, ...], Values] = {}
            for parent in progress(beam, "combinations to extend"):  # Step 3
                for child in self._extensions(parent, [paths[0] for paths in firsts]):
                    if child in kept or child in survivors:
                        continue
                    gains = self._gains(child)
                    over_parent = gains - max((scored[b] for b in _parents(child, parent, scored)), key=np.mean)
                    # Step 4: beyond the images' noise.
                    if p_mean_above(over_parent, 0.0) <= self.significance:
                        survivors[child] = gains
                        kept[child] = self._combination(child, gains, over_parent)
            scored |= survivors
            beam = _best(list(survivors), scored, self.beam)  # Step 5
        return tuple(kept[paths] for paths in _best(list(kept), scored, len(kept)))  # Step 6

    def _extensions(self, parent: tuple[Path, ...], firsts: Sequence[Path]) -> list[tuple[Path, ...]]:
        """One member made finer, or one more concept that goes with all of them."""
        composition = self.population.composition
        found = []
        for place, member in enumerate(parent):
            below = [path for path in composition.concepts if path[:-1] == member]
            found += [tuple(sorted((*parent[:place], path, *parent[place + 1 :]))) for path in below]
        if len(parent) < self.largest:
            for path in firsts:
                apart = all(m[: len(path)] != path and composition.compatible(path, m) for m in parent)
                found += [tuple(sorted((*parent, path)))] if apart else []
        return list(dict.fromkeys(found))

    def _gains(self, paths: tuple[Path, ...], indices: Sequence[int] | None = None) -> Values:
        indices = self.indices if indices is None else indices
        return scores(self._records(paths, indices), self.who) - scores(self.population.null(indices), self.who)

    def _records(self, paths: tuple[Path, ...], indices: Sequence[int]) -> list[Record]:
        return self.population.records([Change(path) for path in paths], indices)

    def _combination(self, paths: tuple[Path, ...], gains: Values, over_parent: Values | None) -> Combination:
        indices, composition = self.indices, self.population.composition
        shown = [
            [shows(composition, path, record, before) for path in paths]
            for record, before in zip(self._records(paths, indices), self.population.null(indices), strict=True)
        ]
        known = not any(None in those for those in shown)
        took = wilson(sum(map(all, shown)), len(shown)) if known else None
        return Combination(paths, self.mean(gains), None if over_parent is None else self.mean(over_parent), took)


def most_combinations(composition: Composition, *, beam: int, roots: int, largest: int) -> int:
    """How many combinations a search tries at most beyond the single concepts it begins with, whatever it finds.

    Each level extends at most ``beam`` items, by their members' finer concepts and, while there is room, by the other
    roots; a combination can be joined ``largest`` - 1 times, and each of its members made finer down to the leaves.
    """
    below = Counter(path[:-1] for path in composition.concepts if path[:-1] in composition.concepts)
    finest = max((sum(path[:k] in below for k in range(1, len(path))) for path in composition.concepts), default=0)
    widest = max(below.values(), default=0)
    extensions = max(
        members * widest + (max(0, roots - members) if members < largest else 0) for members in range(1, largest + 1)
    )
    return beam * extensions * (largest - 1 + largest * finest)


def _parents(
    child: tuple[Path, ...], parent: tuple[Path, ...], scored: Collection[tuple[Path, ...]]
) -> list[tuple[Path, ...]]:
    """What the child must beat: the item it extends, and every other one that lacks one of its members.

    Without the others, anything joined by the best concept would beat itself.
    """
    lacking = [child[:place] + child[place + 1 :] for place in range(len(child))]
    return [parent, *(paths for paths in lacking if paths in scored and paths != parent)]


def _best(
    candidates: Sequence[tuple[Path, ...]], scored: dict[tuple[Path, ...], Values], count: int
) -> list[tuple[Path, ...]]:
    return [candidates[place] for place in top([float(scored[paths].mean()) for paths in candidates], count)]
