"""Given photographs apart: what a concept does put into those of other classes, and taken out of the target's own.

The effect over all photographs mixes the two. Whether a classifier may be fooled is seen where a concept is put in,
whether it relies on the concept where that is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diffexplain.effects.estimation import Differences, estimate_effects
from diffexplain.effects.population import Population, Shares
from diffexplain.effects.records import Values
from diffexplain.effects.results import Confirmation, ConfirmedConcept, Path

_ADDED, _TAKEN_OUT = "added", "taken out"


def confirm(
    population: Population, shares: Shares, pairs: Mapping[Path, Differences], margin: float, significance: float
) -> Confirmation:
    """The first classifier's effects by what the photographs show; no image is edited that was not edited already.

    Args:
        population: of photographs.
        shares: the photographs that each concept was tried on.
        pairs: the first classifier's differences on them.
        margin: a mean difference within ±margin is not relevant.
        significance: the false discovery rate.
    """
    assert population.images is not None
    reader = population.readers[0]
    own = reader.read(population.images[: population.count], "a photograph").activates
    others = ~own
    of_class = reader.target.kind == "class"
    if not of_class:  # A unit has no photographs of its own.
        own = others = np.ones_like(own)
    parts: dict[Path, Differences] = {}
    for path, those in shares.items():
        states = population.states(those.indices)
        shown = np.asarray([population.composition.shows(state, path) for state in states])
        for name, kind, which in ((_ADDED, others, ~shown), (_TAKEN_OUT, own, shown)):
            chosen = which & kind[those.indices.start : those.indices.stop]
            if chosen.sum() >= 2:
                parts[*path, name] = _those(pairs[path], chosen)
    tested = {(*path, way) for path, those in shares.items() if those.tested for way in (_ADDED, _TAKEN_OUT)}
    effects = estimate_effects(parts, margin, significance, tested=tested, bounded=of_class)
    concepts = tuple(
        ConfirmedConcept(path, effects.get((*path, _ADDED)), effects.get((*path, _TAKEN_OUT))) for path in shares
    )
    return Confirmation(int(own.sum()), int(others.sum()), concepts)


def _those(pairs: Differences, which: NDArray[np.bool_]) -> Differences:
    def some(values: Values | None) -> Values | None:
        return None if values is None else values[which]

    return Differences(pairs.score[which], some(pairs.log_odds), None if pairs.took is None else pairs.took[which])
