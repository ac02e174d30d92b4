"""How well scores tell two kinds of things apart, with an interval over groups of things that belong together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import CONFIDENCE

RESAMPLES = 2000


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """The chance that a positive thing has the higher score than another one, ties counting half.

    Args:
        scores: (N,), finite.
        positive: (N,) bool.

    Returns:
        In [0, 1]; None where all things are of one kind.
    """
    values, there = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    count = int(there.sum())
    others = len(there) - count
    if not count or not others:
        return None
    ranks = rankdata(values)
    return float((ranks[there].sum() - count * (count + 1) / 2) / (count * others))


def clustered_auroc(
    scores: ArrayLike,
    positive: ArrayLike,
    clusters: Sequence[Hashable],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Estimate | None:
    """The AUROC with its 95 % percentile interval by the cluster bootstrap: whole clusters are drawn, with
    replacement. ``n`` is the number of things, not that of clusters.

    A resample of one kind only has no AUROC and is left out; None where the things themselves are of one kind, and
    where there is one cluster only, of which no interval can be made.

    Raises:
        ValueError: lengths differ, or a score is not finite.
    """
    values, there = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    if not len(values) == len(there) == len(clusters) or not np.isfinite(values).all():
        raise ValueError("an AUROC needs as many labels and clusters as scores, and these finite")
    whole = auroc(values, there)
    groups = _groups(clusters)
    if whole is None or len(groups) < 2:
        return None
    found = []
    for picks in generator.integers(0, len(groups), size=(resamples, len(groups))):
        chosen = np.concatenate([groups[pick] for pick in picks])
        found.append(auroc(values[chosen], there[chosen]))
    kept = [value for value in found if value is not None]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, [tail, 1 - tail]) if kept else (whole, whole)
    return Estimate(whole, min(float(low), whole), max(float(high), whole), len(values))


def _groups(clusters: Sequence[Hashable]) -> list[NDArray[np.int64]]:
    places: dict[Hashable, list[int]] = {}
    for place, cluster in enumerate(clusters):
        places.setdefault(cluster, []).append(place)
    return [np.array(found) for found in places.values()]
