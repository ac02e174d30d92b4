"""What the benchmark measures of an answer, given the truth table, and over many answers.

A concept is *there* in a classifier if its true effect on the class's probability, in scenes that show the class, is at
least 0.2, and *absent* if it lies within ±0.02. What lies between, or lowers the probability, counts for neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from explained import Explained
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from specification import Specification, Value
from torchmetrics.functional.classification import binary_average_precision

from diffexplain.evaluation import agreement
from diffexplain.evaluation.results import Estimate
from diffexplain.world.truth_table import ABSENT, THERE

RESAMPLES = 2000
BOOTSTRAP_SEED = 7


@dataclass(frozen=True)
class Answer:
    """One method's answer for one classifier, beside the truth.

    Attributes:
        specification: of the classifier.
        explained: the answer.
        true: the effect of every concept on the class's probability in scenes that show the class.
        unsure: half-widths of the 95 % intervals of those effects, which rest on so many renders.
        alone: the largest of the effects in scenes that do not show it.
        interaction: of the first shortcut, if it is a pair: the effect of both together less the sum of either alone.
    """

    specification: Specification
    explained: Explained
    true: Mapping[Value, float]
    unsure: Mapping[Value, float]
    alone: float
    interaction: float | None = None

    @property
    def there(self) -> list[bool]:
        """Of each finding, whether its concept is there."""
        return [self.true[finding.value] >= THERE for finding in self.explained.findings]

    @property
    def absent(self) -> list[bool]:
        """Of each finding, whether its concept is absent."""
        return [abs(self.true[finding.value]) <= ABSENT for finding in self.explained.findings]

    @property
    def scores(self) -> list[float]:
        """Of each finding."""
        return [finding.score for finding in self.explained.findings]


def recall_at(answer: Answer, k: int) -> float | None:
    """Share of what is there among the first k, of as many as there can be; None where nothing is there.

    Between equal scores the order is left to chance: the expected share counts.
    """
    there = answer.there
    if not any(there):
        return None
    scores = np.asarray(answer.scores)
    last = np.sort(scores)[::-1][min(k, len(scores)) - 1]
    above, level = scores > last, scores == last
    room = (min(k, len(scores)) - above.sum()) / level.sum()
    flags = np.asarray(there)
    return float((flags[above].sum() + room * flags[level].sum()) / min(k, flags.sum()))


def auroc(answer: Answer) -> float | None:
    """Probability that a concept that is there stands before one that is absent; None without either."""
    scores, labels = _there_or_absent(answer)
    return agreement.auroc(scores, labels)


def average_precision(answer: Answer) -> float | None:
    """Mean precision at each concept that is there, among those there and absent; None without either."""
    scores, labels = _there_or_absent(answer)
    if not any(labels) or all(labels):
        return None
    ranks = rankdata(scores) / (len(scores) + 1)  # in (0, 1), as the measure wants them
    return float(binary_average_precision(torch.from_numpy(ranks), torch.tensor(labels, dtype=torch.int64)))


def _there_or_absent(answer: Answer) -> tuple[list[float], list[bool]]:
    """The scores of what is there or absent, and which of the two."""
    rows = [(s, t) for s, t, a in zip(answer.scores, answer.there, answer.absent, strict=True) if t or a]
    return [score for score, _ in rows], [there for _, there in rows]


def first_is_there(answer: Answer) -> float | None:
    """Recall among the first one."""
    return recall_at(answer, 1)


def three_are_there(answer: Answer) -> float | None:
    """Recall among the first three."""
    return recall_at(answer, 3)


def false_share(answer: Answer) -> float | None:
    """Share of the absent concepts that are reported."""
    flags = [f.reported for f, absent in zip(answer.explained.findings, answer.absent, strict=True) if absent]
    return sum(flags) / len(flags) if flags else None


def any_false(answer: Answer) -> float | None:
    """Whether any absent concept is reported."""
    share = false_share(answer)
    return None if share is None else float(share > 0)


def found_share(answer: Answer) -> float | None:
    """Share of what is there that is reported; None where nothing is."""
    flags = [f.reported for f, there in zip(answer.explained.findings, answer.there, strict=True) if there]
    return sum(flags) / len(flags) if flags else None


def covered(answer: Answer) -> float | None:
    """Share of the stated intervals that hold the true effect; None where none is stated.

    The true effect is measured, too: an interval is as much wider as the truth is unsure, squares added.
    """
    inside = []
    for value, effect, low, high in _stated(answer):
        error = answer.true[value] - effect
        stated = high - effect if error > 0 else effect - low
        inside.append(abs(error) <= math.hypot(stated, answer.unsure[value]))
    return sum(inside) / len(inside) if inside else None


def mean_error(answer: Answer) -> float | None:
    """Mean absolute error of the stated effects; None where none is stated."""
    errors = [abs(answer.true[value] - effect) for value, effect, _, _ in _stated(answer)]
    return float(np.mean(errors)) if errors else None


def half_width(answer: Answer) -> float | None:
    """Median half-width of the stated intervals; None where none is stated."""
    widths = [(high - low) / 2 for _, _, low, high in _stated(answer)]
    return float(np.median(widths)) if widths else None


def _stated(answer: Answer) -> list[tuple[Value, float, float, float]]:
    """Concept, effect and interval of each finding that states one."""
    return [
        (one.value, one.effect, one.low, one.high)
        for one in answer.explained.findings
        if one.effect is not None and one.low is not None and one.high is not None
    ]


Measure = Callable[[Answer], float | None]


def mean_over(answers: Sequence[Answer], measure: Measure) -> Estimate | None:
    """The mean of a measure over classifiers, with its bootstrap interval; None where none has it."""
    values = [value for value in map(measure, answers) if value is not None]
    if not values:
        return None
    data = np.asarray(values)
    means = data[resamples(len(data))].mean(axis=1)
    return Estimate(float(data.mean()), *_interval(means), len(data))


def spearman(answers: Sequence[Answer]) -> Estimate | None:
    """Rank correlation of scores with true effects beyond ±0.02, over all concepts of all classifiers together.

    The interval is of a bootstrap over classifiers; n counts concepts. None with fewer than three, or equal scores.
    """
    parts = []
    for answer in answers:
        rows = [
            (score, answer.true[finding.value])
            for score, finding in zip(answer.scores, answer.explained.findings, strict=True)
            if abs(answer.true[finding.value]) > ABSENT
        ]
        if rows:
            parts.append(np.asarray(rows))
    if not parts or len(np.concatenate(parts)) < 3:
        return None
    whole = _correlation(np.concatenate(parts))
    if math.isnan(whole):
        return None
    drawn = [_correlation(np.concatenate([parts[k] for k in picks])) for picks in resamples(len(parts))[:500]]
    return Estimate(whole, *_interval(np.asarray(drawn)), len(np.concatenate(parts)))


def _correlation(rows: NDArray[np.float64]) -> float:
    if np.ptp(rows[:, 0]) == 0 or np.ptp(rows[:, 1]) == 0:
        return math.nan
    return float(spearmanr(rows[:, 0], rows[:, 1]).statistic)


def object_absence(answers: Sequence[Answer]) -> Estimate | None:
    """AUROC of the share of activating pictures without the object: is the class given without it?

    True where some concept, put into scenes that do *not* show the class, raises its probability by 0.2 or more.
    None where fewer than two classifiers are of either kind. The interval is of a bootstrap over classifiers.
    """
    rows = [
        (answer.explained.object_absent, answer.alone >= THERE)
        for answer in answers
        if answer.explained.object_absent is not None
    ]
    shares, labels = np.asarray([r[0] for r in rows]), np.asarray([r[1] for r in rows], dtype=bool)
    if labels.sum() < 2 or (~labels).sum() < 2:
        return None

    def area(picks: NDArray[np.int64]) -> float:
        found = agreement.auroc(shares[picks], labels[picks])
        return math.nan if found is None else found

    drawn = np.asarray([area(picks) for picks in resamples(len(rows))[:500]])
    return Estimate(area(np.arange(len(rows))), *_interval(drawn[~np.isnan(drawn)]), len(rows))


def paired_difference(mine: Mapping[str, Answer], theirs: Mapping[str, Answer], measure: Measure) -> Estimate | None:
    """The mean difference of a measure on the classifiers that both have, with its bootstrap interval."""
    pairs = [(measure(mine[name]), measure(theirs[name])) for name in mine if name in theirs]
    differences = np.asarray([a - b for a, b in pairs if a is not None and b is not None])
    if not len(differences):
        return None
    means = differences[resamples(len(differences))].mean(axis=1)
    return Estimate(float(differences.mean()), *_interval(means), len(differences))


def resamples(count: int) -> NDArray[np.int64]:
    """Places drawn with replacement, (resamples, count); the same for all measures of as many classifiers."""
    generator = np.random.Generator(np.random.Philox(key=BOOTSTRAP_SEED))
    return generator.integers(0, count, size=(RESAMPLES, count))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(np.nanquantile(values, 0.025)), float(np.nanquantile(values, 0.975))
