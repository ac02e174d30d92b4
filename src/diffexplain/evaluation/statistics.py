"""Intervals and tests for the numbers of an evaluation; answers are plain floats."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import binomtest

from diffexplain.evaluation.results import Estimate

CONFIDENCE = 0.95
_NORMAL = NormalDist()


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A share with its Wilson score interval, which stays inside [0, 1] and has width even at 0 and 1.

    Raises:
        ValueError: nothing was counted, or more successes than trials.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n >= 1; given {successes} of {n}")
    share = successes / n
    z = _NORMAL.inv_cdf(0.5 + confidence / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the bound is exact; rounding would leave 1e-17 instead.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(share, low, high, n)


def share_difference(first: Estimate, second: Estimate) -> Estimate:
    """``first - second`` of two independent shares with Newcombe's interval, made of their Wilson intervals.

    ``n`` is the smaller of the two counts.
    """
    value = first.value - second.value
    below = sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    above = sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return Estimate(value, max(-1.0, value - below), min(1.0, value + above), min(first.n, second.n))


def paired_share_difference(better: int, worse: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """The difference of two shares of the same n things, with Bonett and Price's interval (2012).

    It has width even where all pairs agree: one pair of each kind is added.

    Args:
        better: pairs in which the first alone holds.
        worse: pairs in which the second alone does.
    """
    first, second = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    half = _NORMAL.inv_cdf(0.5 + confidence / 2) * sqrt((first + second - (first - second) ** 2) / (n + 2))
    value = (better - worse) / n
    low, high = max(-1.0, first - second - half), min(1.0, first - second + half)
    return Estimate(value, min(low, value), max(high, value), n)


def mcnemar(better: int, worse: int) -> float:
    """Two-sided exact p of H0: as many pairs changed one way as the other; 1 if none changed."""
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def bootstrap_mean(
    values: ArrayLike, generator: np.random.Generator, resamples: int, confidence: float = CONFIDENCE
) -> Estimate:
    """A mean with its BCa bootstrap interval (Efron 1987), which follows the skew of probabilities.

    Where all values are equal, or there is one only, the interval is the point itself.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    data = _finite(values)
    mean = float(data.mean())
    if data.size == 1 or np.ptp(data) == 0:
        return Estimate(mean, mean, mean, int(data.size))
    picks = generator.integers(0, data.size, size=(resamples, data.size))
    means = np.sort(data[picks].mean(axis=1))
    # Bias correction: ties count half, or a coarse distribution would look biased.
    below = float((means < mean).mean() + (means == mean).mean() / 2)
    bias = _NORMAL.inv_cdf(min(max(below, 1 / (2 * resamples)), 1 - 1 / (2 * resamples)))
    # Acceleration from the jackknife: the means without one value differ from theirs by -(x - mean)/(n - 1).
    spread = data - mean
    acceleration = float((spread**3).sum() / (6 * (spread**2).sum() ** 1.5))
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + _NORMAL.inv_cdf(tail)
        level = _NORMAL.cdf(bias + z / (1 - acceleration * z))
        ends.append(float(np.quantile(means, level)))
    return Estimate(mean, min(ends[0], mean), max(ends[1], mean), int(data.size))


def p_mean_above(differences: ArrayLike, bound: float) -> float:
    """One-sided p of H0: the mean of paired differences is at most ``bound``; Student's t test.

    A t test and not sign flips: flipping assumes that differences are symmetric about the bound, and those
    of an element that rarely matters are not (most are 0, a few are large and positive). There the t test
    errs on the careful side, because the same few values raise its standard error.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.
    """
    data = _finite(differences)
    if data.size < 2:
        raise ValueError("a paired test needs at least two pairs")
    excess = float(data.mean()) - bound
    error = float(data.std(ddof=1)) / sqrt(data.size)
    if error <= 1e-12:  # all pairs agree: rounding aside, no noise to compare with
        return 0.0 if excess > 1e-12 else 1.0
    return float(stdtr(data.size - 1, -excess / error))


def p_mean_beyond(differences: ArrayLike, bound: float) -> float:
    """Two-sided p of H0: the mean of paired differences lies within ±``bound``; Student's t test at the nearer end.

    At most q exactly where `mean_interval` at confidence 1 - q lies beyond ±``bound``.

    Raises:
        ValueError: as `p_mean_above`.
    """
    data = _finite(differences)
    return min(1.0, 2 * min(p_mean_above(data, bound), p_mean_above(-data, bound)))


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """A mean with Student's t interval; where all values are equal, the point itself.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    data = _finite(values)
    if data.size < 2:
        raise ValueError("an interval needs at least two values")
    mean = float(data.mean())
    error = float(data.std(ddof=1)) / sqrt(data.size)
    half = float(stdtrit(data.size - 1, 0.5 + confidence / 2)) * error if error > 1e-12 else 0.0
    return Estimate(mean, mean - half, mean + half, int(data.size))


def false_coverage_confidence(adjusted: Sequence[float], rate: float) -> float:
    """The confidence of intervals of which, after choosing those with adjusted p <= ``rate``, a share of at most
    ``rate`` misses (Benjamini & Yekutieli 2005): 1 - rate · chosen / all, with at least one chosen.
    """
    chosen = sum(p <= rate for p in adjusted)
    return 1.0 - rate * max(chosen, 1) / max(len(adjusted), 1)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the given order: calling all below q keeps the false discovery rate at q."""
    p = np.asarray(p_values, dtype=np.float64)
    if p.size == 0:
        return []
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return [float(value) for value in adjusted]


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64).ravel()
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("a mean needs at least one value, all of them finite")
    return data
