"""The rule: which elements the classifier answers to, and whether they are the target's own.

Relevant: without the element the class probability is lower by more than the margin (0.02) on average,
one-sided paired test against the null edit, Benjamini-Hochberg over all elements tried. Core: relevant,
and at least half of the element's mask lies inside the target's own. Spurious: relevant, and not so. What
has no mask, a description, is spurious if it is relevant: the object is there with it and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffexplain.evaluation.activation import PURPOSE, Reading, Seeds
from diffexplain.evaluation.removal import Edits
from diffexplain.evaluation.results import Element, Estimate, Removal, Verdict
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.evaluation.statistics import benjamini_hochberg, bootstrap_mean, p_mean_above, wilson
from diffexplain.evaluation.vocabulary import Phrase
from diffexplain.runs.draws import Draws

ORDER = (Verdict.SPURIOUS, Verdict.CORE, Verdict.UNDECIDED, Verdict.NOT_RELEVANT, Verdict.NOT_SEEN)


@dataclass(frozen=True)
class Trial:
    """An element that was taken out. ``p`` is None, with ``reason``, where too few edits took."""

    phrase: Phrase
    edits: Edits
    p: float | None
    reason: str | None


def try_out(phrase: Phrase, edits: Edits, settings: EvaluationSettings) -> Trial:
    """Test H0: the mean drop is at most the margin, on the pairs whose edit took."""
    took = int(edits.took.sum())
    if took < settings.minimum_edits:
        count = len(edits.indices)
        reason = f"the prior took it out, and kept it in the null edit, in {took} of {count} images only"
        return Trial(phrase, edits, None, reason)
    return Trial(phrase, edits, p_mean_above(probability_drops(edits), settings.margin), None)


def relevant(trials: Sequence[Trial], settings: EvaluationSettings) -> dict[str, float]:
    """Adjusted p of every element that could be tested, by its text."""
    tested = [(trial.phrase.text, trial.p) for trial in trials if trial.p is not None]
    adjusted = benjamini_hochberg([p for _, p in tested])
    return {text: value for (text, _), value in zip(tested, adjusted, strict=True)}


def verdict(adjusted_p: float, overlap: float | None, settings: EvaluationSettings) -> Verdict:
    """The verdict on a tested element whose mask lies inside the target's own by the share ``overlap``.

    None: it has no mask.
    """
    if adjusted_p > settings.significance:
        return Verdict.NOT_RELEVANT
    return Verdict.SPURIOUS if overlap is None or overlap < settings.core_overlap else Verdict.CORE


def probability_drops(edits: Edits) -> NDArray[np.float64]:
    """Class probability with the element (the null edit) minus without it, for the pairs that took."""
    return (_probability(edits.read_null) - _probability(edits.read_without))[edits.took]


def removal(
    trial: Trial, adjusted_p: float, neutral: Edits | None, draws: Draws, settings: EvaluationSettings
) -> Removal:
    """The numbers of a tested element; ``neutral`` are the same edits of neutral images."""
    edits, took = trial.edits, trial.edits.took
    assert trial.p is not None

    def mean(values: NDArray[np.float64]) -> Estimate:
        return bootstrap_mean(values, draws.generator(PURPOSE, Seeds.BOOTSTRAP), settings.resamples)

    before = _probability(edits.read_before)
    without, null = _probability(edits.read_without), _probability(edits.read_null)
    blurred = None if edits.read_blurred is None else mean((before - _probability(edits.read_blurred))[took])
    odds_null, odds_without = edits.read_null.log_odds, edits.read_without.log_odds
    assert odds_null is not None
    assert odds_without is not None
    return Removal(
        drop=mean((null - without)[took]),
        log_odds_drop=mean((odds_null - odds_without)[took]),
        raw_drop=mean((before - without)[took]),
        null_drop=mean((before - null)[took]),
        blur_drop=blurred,
        neutral_drop=mean(probability_drops(neutral)) if neutral is not None and neutral.took.any() else None,
        took=wilson(int(took.sum()), len(took)),
        p=trial.p,
        adjusted_p=adjusted_p,
    )


def ordered(elements: Sequence[Element]) -> tuple[Element, ...]:
    """Spurious first, then core and the rest; within each the largest effect, then the largest lift first."""

    def key(element: Element) -> tuple[int, float, float, str]:
        drop = 0.0 if element.removal is None else element.removal.drop.value
        lift = 0.0 if element.lift is None else element.lift.value
        return (ORDER.index(element.verdict), -drop, -lift, element.phrase)

    return tuple(sorted(elements, key=key))


def _probability(reading: Reading) -> NDArray[np.float64]:
    assert reading.probability is not None, "verdicts need a class"
    return reading.probability
