"""From paired differences to effects: intervals, tests, and their adjustment for a whole tree of concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffexplain.evaluation.effect_results import Effect, Path
from diffexplain.evaluation.results import Estimate
from diffexplain.evaluation.statistics import (
    benjamini_hochberg,
    bootstrap_mean,
    false_coverage_confidence,
    mean_interval,
    p_mean_beyond,
)
from diffexplain.runs.draws import Draws

Values = NDArray[np.float64]
Mean = Callable[[Values], Estimate]
"""The mean of some values with its interval."""


@dataclass(frozen=True)
class Differences:
    """One concept's paired differences, (n,) each: image with it minus image without it.

    ``took``: whether the pair's edit passed its check; None where nothing was checked.
    """

    score: Values
    log_odds: Values | None
    took: NDArray[np.bool_] | None

    def those_that_took(self) -> Differences | None:
        """The pairs whose edit passed; None where nothing was checked or fewer than two passed."""
        if self.took is None or int(self.took.sum()) < 2:
            return None
        odds = None if self.log_odds is None else self.log_odds[self.took]
        return Differences(self.score[self.took], odds, self.took[self.took])

    def minus(self, other: Differences) -> Differences:
        """How much larger these are than another classifier's on the same pairs."""
        odds = None if self.log_odds is None or other.log_odds is None else self.log_odds - other.log_odds
        return Differences(self.score - other.score, odds, self.took)


def bootstrapped(draws: Draws, resamples: int) -> Mean:
    """The bootstrap's mean. The same resamples for all values: their intervals then differ by the data alone."""
    return lambda values: bootstrap_mean(values, draws.generator("diffex bootstrap"), resamples)


def estimate_effects(
    pairs: Mapping[Path, Differences], margin: float, rate: float, resamples: int, draws: Draws
) -> dict[Path, Effect]:
    """The effect of every concept, adjusted for all of them together.

    Args:
        pairs: of the concepts with at least two pairs each.
        margin: a mean of the score within ±margin is no effect.
        rate: the false discovery rate, and that of intervals that miss.
        resamples: of the bootstrap.
        draws: of the run.
    """
    p_values = [p_mean_beyond(pair.score, margin) for pair in pairs.values()]
    adjusted = benjamini_hochberg(p_values)
    confidence = false_coverage_confidence(adjusted, rate)

    mean = bootstrapped(draws, resamples)
    found = {}
    for (path, pair), p, adjusted_p in zip(pairs.items(), p_values, adjusted, strict=True):
        found[path] = Effect(
            score=mean(pair.score),
            log_odds=None if pair.log_odds is None else mean(pair.log_odds),
            adjusted=mean_interval(pair.score, confidence),
            p=p,
            adjusted_p=adjusted_p,
            significant=adjusted_p <= rate,
        )
    return found


def within(effect: Estimate, noise: Estimate | None) -> bool | None:
    """Whether the whole interval lies inside ± the largest shift that the null edit may make by itself."""
    if noise is None:
        return None
    limit = max(abs(noise.low), abs(noise.high))
    return -limit <= effect.low and effect.high <= limit


def top(values: Sequence[float], count: int) -> list[int]:
    """Places of the ``count`` largest values, the largest first; of equal ones the first."""
    return sorted(range(len(values)), key=lambda place: (-values[place], place))[:count]
