"""From paired differences to effects: intervals, tests, and their adjustment for a whole tree of concepts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffexplain.effects.records import Record, Values, log_odds_differences, scores
from diffexplain.effects.results import Effect, Path
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import (
    benjamini_hochberg,
    benjamini_hochberg_e,
    bootstrap_mean,
    e_mean_beyond,
    false_coverage_confidence,
    mean_interval,
    p_mean_beyond,
)
from diffexplain.weights.documents import read_json

Mean = Callable[[Values], Estimate]
"""The mean of some values with its interval."""
_ROUNDING = 1e-4
"""A score moves by so much, between equal images, in batches of another size."""
PRIOR_ERROR_FILE = "effect_error.json"
"""Beside a prior's weights: its `PriorError`."""


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


def differences_of(present: Sequence[Record], instead: Sequence[Sequence[Record]], who: int) -> Differences:
    """One classifier's differences between images and the mean of what stands in their place."""
    score = np.mean([scores(present, who) - scores(records, who) for records in instead], axis=0)
    odds = [log_odds_differences(present, records, who) for records in instead]
    known = [values for values in odds if values is not None]
    return Differences(score, np.mean(known, axis=0) if len(known) == len(odds) else None, None)


def joined(parts: Sequence[Differences], took: NDArray[np.bool_] | None) -> Differences:
    """Differences of one concept on several lots of images as one."""
    odds = [part.log_odds for part in parts]
    known = [values for values in odds if values is not None]
    score = np.concatenate([part.score for part in parts])
    return Differences(score, np.concatenate(known) if len(known) == len(odds) else None, took)


class Error(NamedTuple):
    """The standard deviation of an effect besides by chance: as it was measured, and if in truth there is none.

    Intervals are about the first, tests of there being none about the second.
    """

    measured: float = 0.0
    of_none: float = 0.0


class Beside(NamedTuple):
    """Effects that a concept's own is measured beside.

    ``of_object``: of the object that a sub-type is of. ``of_rival``: of the values that stand in a value's place, the
    largest in size, up to `LARGEST_RIVAL`. 0 where there is none.
    """

    of_object: float = 0.0
    of_rival: float = 0.0


ALONE = Beside()
LARGEST_RIVAL = 0.1
"""A rival's effect beyond this adds no more to the error of a value: what is drawn wrong does not grow with it."""


@dataclass(frozen=True)
class PriorError:
    """How far effects measured on a prior's pictures are off besides by chance, calibrated on classifiers with known
    effects: standard deviations, in probability.

    Attributes:
        absolute: of any effect, by the role of its concept (object, sub-type, attribute, setting).
        relative: and of a large one, as a share of it.
        of_object: and of a sub-type's, as a share of its object's effect: where a class answers to a thing, kinds that
            the prior draws unequally well seem to differ.
        of_rival: and of a value's, as a share of the largest effect among those in its place, up to `LARGEST_RIVAL`:
            what of that is not the rival's own, but of how it is drawn, is in the value's effect, too.
        classifiers: that it was calibrated on.
        effects: and effects of theirs.
        steps: of the sampler that made the pictures.
    """

    absolute: Mapping[str, float]
    relative: float
    of_object: float
    classifiers: int
    effects: int
    steps: int
    of_rival: float = 0.0

    def of(self, role: str, effect: float, beside: Beside = ALONE) -> Error:
        """The error of an effect of this size; a role that was not calibrated has that of the worst.

        Args:
            role: of the concept.
            effect: of it.
            beside: the effects that it is measured beside.
        """
        absolute = self.absolute.get(role, max(self.absolute.values()))
        absolute = math.hypot(absolute, self.of_object * beside.of_object, self.of_rival * beside.of_rival)
        return Error(math.hypot(absolute, self.relative * effect), absolute)

    @staticmethod
    def load(folder: FilePath) -> PriorError | None:
        """What lies beside a prior's weights; None where nothing does.

        Raises:
            UserError: it cannot be read.
        """
        path = folder / PRIOR_ERROR_FILE
        if not path.is_file():
            return None
        try:
            found = PriorError(**read_json(path))
            found.of("object", 0.0)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"The calibration of effects in {path} cannot be read: {error}") from error
        return found


def bootstrapped(draws: Draws, resamples: int) -> Mean:
    """The bootstrap's mean. The same resamples for all values: their intervals then differ by the data alone."""
    return lambda values: bootstrap_mean(values, draws.generator("diffex bootstrap"), resamples)


def estimate_effects(
    pairs: Mapping[Path, Differences],
    margin: float,
    rate: float,
    *,
    tested: Collection[Path] | None = None,
    errors: Mapping[Path, Error] | None = None,
    weights: Mapping[Path, float] | None = None,
    bounded: bool = True,
) -> dict[Path, Effect]:
    """The effect of every concept, adjusted for all of them together.

    Args:
        pairs: of the concepts with at least two pairs each.
        margin: a mean of the score within ±margin is no effect.
        rate: the false discovery rate, and that of intervals that miss.
        tested: the concepts whose pairs had no part in choosing them; the others count in the family of tests and
            cannot be significant. All by default.
        errors: of each effect besides by chance; intervals and tests allow for it.
        weights: of the tests, with mean 1, known before any of these pairs was made (Genovese, Roeder & Wasserman 2006,
            Biometrika 93): a concept is given more of the rate, and the others less. All alike by default.
        bounded: whether a score lies in [0, 1], as a probability does and an activation does not.
    """
    own = dict.fromkeys(pairs, Error()) | dict(errors or {})
    tests = pairs.keys() if tested is None else tested
    p_values = [
        p_mean_beyond(pair.score, margin, own[path].of_none) if path in tests else 1.0 for path, pair in pairs.items()
    ]
    shares = dict.fromkeys(pairs, 1.0) | dict(weights or {})
    adjusted = benjamini_hochberg([min(1.0, p / shares[path]) for path, p in zip(pairs, p_values, strict=True)])
    confidence = false_coverage_confidence(adjusted, rate)
    e_values = [
        shares[path] * e_mean_beyond(pair.score, margin) if path in tests else 0.0
        for path, pair in pairs.items()
        if bounded
    ]
    by_e = iter(zip(e_values, benjamini_hochberg_e(e_values, rate), strict=True))

    ends = _of_probabilities if bounded else lambda interval: interval
    found = {}
    for (path, pair), p, adjusted_p in zip(pairs.items(), p_values, adjusted, strict=True):
        e, holds_by_e = next(by_e, (None, None))
        found[path] = Effect(
            score=ends(mean_interval(pair.score, error=own[path].measured)),
            log_odds=None if pair.log_odds is None else mean_interval(pair.log_odds),
            adjusted=ends(mean_interval(pair.score, confidence, own[path].measured)),
            p=p,
            adjusted_p=adjusted_p,
            significant=adjusted_p <= rate,
            e=e,
            holds_by_e=holds_by_e,
        )
    return found


def _of_probabilities(interval: Estimate) -> Estimate:
    """The interval of a difference of probabilities, which lies in [-1, 1]."""
    return replace(interval, low=max(-1.0, interval.low), high=min(1.0, interval.high))


def within(effect: Estimate, noise: Estimate | None) -> bool | None:
    """Whether the whole interval lies inside ± the largest shift that the null edit may make by itself."""
    if noise is None:
        return None
    limit = max(abs(noise.low), abs(noise.high), _ROUNDING)
    return -limit <= effect.low and effect.high <= limit


def top(values: Sequence[float], count: int) -> list[int]:
    """Places of the ``count`` largest values, the largest first; of equal ones the first."""
    return sorted(range(len(values)), key=lambda place: (-values[place], place))[:count]
