"""Intervals and tests for the numbers of an evaluation; answers are plain floats."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, hypot, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diffexplain.statistics.estimates import Estimate

CONFIDENCE = 0.95
_NORMAL = NormalDist()
_LEAST_SPREAD = 1e-5
"""Standard deviation of differences below which rounding is all that they show."""
_STAKES = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Of the largest that cannot lose everything."""


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
    changed = better + worse
    fewer = sum(comb(changed, count) for count in range(min(better, worse) + 1))
    return min(1.0, 2 * fewer / 2**changed)


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


def p_mean_above(differences: ArrayLike, bound: float, error: float = 0.0) -> float:
    """One-sided p of H0: the mean of paired differences is at most ``bound``; Student's t test.

    A t test and not sign flips, which assume that differences are symmetric about the bound. It supposes that their
    mean is spread about normally: where a few large differences point upwards they raise the standard error with the
    mean, and it errs on the careful side; where a few rare ones point downwards and are not in the sample, it errs on
    the other side (bulk 0.03, two pairs in a hundred 0.5 lower, mean exactly 0.02: p < 0.05 in 60 % of samples of 25
    pairs, 36 % of 50). `e_mean_beyond` supposes nothing, and needs more pairs.

    No spread is taken to be smaller than rounding. Of few pairs that agree the test makes much: whoever calls something
    by it asks for a smallest number of pairs.

    Args:
        differences: two or more.
        bound: of the mean under H0.
        error: standard error of the mean from other sources than the pairs, added in quadrature.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.
    """
    from scipy.special import stdtr  # half a second, which no list is to wait for

    data = _finite(differences)
    if data.size < 2:
        raise ValueError("a paired test needs at least two pairs")
    excess = float(data.mean()) - bound
    return float(stdtr(data.size - 1, -excess / _standard_error(data, error)))


def p_mean_beyond(differences: ArrayLike, bound: float, error: float = 0.0) -> float:
    """Two-sided p of H0: the mean of paired differences lies within ±``bound``; Student's t test at the nearer end.

    At most q exactly where `mean_interval` at confidence 1 - q lies beyond ±``bound``.

    Raises:
        ValueError: as `p_mean_above`.
    """
    data = _finite(differences)
    return min(1.0, 2 * min(p_mean_above(data, bound, error), p_mean_above(-data, bound, error)))


def e_mean_beyond(differences: ArrayLike, bound: float) -> float:
    """E-value of H0: the mean of differences in [-1, 1] lies within ±``bound``; its mean under H0 is at most 1.

    A bet on every pair in turn: the capital grows by 1 + b (x - bound), with a mixture of stakes b; half of it is bet
    upwards, half downwards (Waudby-Smith & Ramdas, arXiv 2010.09686). Nothing is supposed of how differences are
    spread but their bounds, nor when one stopped looking.

    Raises:
        ValueError: no difference, or one outside [-1, 1].
    """
    data = _finite(differences)
    if np.abs(data).max() > 1:
        raise ValueError("an e-value needs differences in [-1, 1]")
    stakes = np.asarray(_STAKES)[:, None] / (1 + bound)
    capital = [np.exp(np.log1p(stakes * (x - bound)).sum(axis=1)).mean() for x in (data, -data)]
    return float(np.mean(capital))


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE, error: float = 0.0) -> Estimate:
    """A mean with Student's t interval; ``error``: standard error from other sources, added in quadrature.

    Where all values are equal, and there is no other error, it is the point itself.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    from scipy.special import stdtrit  # as above

    data = _finite(values)
    if data.size < 2:
        raise ValueError("an interval needs at least two values")
    mean = float(data.mean())
    spread = 0.0 if np.ptp(data) <= 1e-12 else float(data.std(ddof=1))
    half = float(stdtrit(data.size - 1, 0.5 + confidence / 2)) * spread / sqrt(data.size)
    half = hypot(half, _NORMAL.inv_cdf(0.5 + confidence / 2) * error)
    return Estimate(mean, mean - half, mean + half, int(data.size))


def _standard_error(data: NDArray[np.float64], other: float = 0.0) -> float:
    return max(hypot(float(data.std(ddof=1)) / sqrt(data.size), other), _LEAST_SPREAD / sqrt(data.size))


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


def benjamini_hochberg_e(e_values: Sequence[float], rate: float) -> list[bool]:
    """Which hypotheses are rejected at a false discovery rate of ``rate``, however the e-values depend on each other
    (Wang & Ramdas, arXiv 2009.02824): the largest k for which the k-th largest e-value is at least n / (rate k).
    """
    order = np.argsort(-np.asarray(e_values, dtype=np.float64), kind="stable")
    rejected = [False] * len(e_values)
    counts = [k for k, place in enumerate(order, 1) if e_values[place] * rate * k >= len(e_values)]
    for place in order[: max(counts, default=0)]:
        rejected[place] = True
    return rejected


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64).ravel()
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("a mean needs at least one value, all of them finite")
    return data
