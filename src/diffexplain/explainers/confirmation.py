"""Given photographs apart: what a concept does put into those of other classes, and taken out of the target's own.

The effect over all photographs mixes the two. Whether a classifier may be fooled is seen where a concept is put in,
whether it relies on the concept where that is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diffexplain.evaluation.effect_results import Confirmation, ConfirmedConcept, Path
from diffexplain.explainers.diffex import DiffEx
from diffexplain.explainers.edited import Edited
from diffexplain.explainers.effects import Differences, Values, estimate_effects

_ADDED, _TAKEN_OUT = "added", "taken out"


def confirm(method: DiffEx, edited: Edited, counts: Mapping[Path, int]) -> Confirmation | None:
    """The first classifier's effects by what the photographs show; no image is edited that was not edited already.

    Args:
        method: that ranked them.
        edited: the population.
        counts: for each concept, the number of photographs that it was tried on.

    Returns:
        None where no images were given.
    """
    if edited.images is None:
        return None
    reader = edited.readers[0]
    own = reader.read(edited.images[: edited.count], "a photograph").activates
    others = ~own
    if reader.target.kind != "class":  # A unit has no photographs of its own.
        own = others = np.ones_like(own)
    parts: dict[Path, Differences] = {}
    for path, count in counts.items():
        pairs = method.pairs(edited, 0, path, count)
        states = edited.states(range(count))
        shown = np.asarray([edited.composition.shows(state, path) for state in states])
        for name, kind, which in ((_ADDED, others, ~shown), (_TAKEN_OUT, own, shown)):
            chosen = which & kind[:count]
            if chosen.sum() >= 2:
                parts[*path, name] = _those(pairs, chosen)
    margin = method.margin if reader.target.kind == "class" else 0.0
    effects = estimate_effects(parts, margin, method.significance, method.resamples, edited.files.draws)
    concepts = tuple(
        ConfirmedConcept(path, effects.get((*path, _ADDED)), effects.get((*path, _TAKEN_OUT))) for path in counts
    )
    return Confirmation(int(own.sum()), int(others.sum()), concepts)


def _those(pairs: Differences, which: NDArray[np.bool_]) -> Differences:
    def some(values: Values | None) -> Values | None:
        return None if values is None else values[which]

    return Differences(pairs.score[which], some(pairs.log_odds), None if pairs.took is None else pairs.took[which])
