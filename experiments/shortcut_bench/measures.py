"""What the benchmark measures of an answer, given the truth table, and over many answers.

A concept is *there* in a classifier if its true effect on the class's probability, in scenes that show the class, is at
least 0.2 in size, and *absent* if it lies within ±0.02; what lies between counts for neither. Who says that it raises
the class where it lowers it has not found it, and who reports that has made a false discovery.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from torchmetrics.functional.classification import binary_average_precision

from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson
from experiments.hidden_units import salient_imagenet
from experiments.shortcut_bench.explained import Explained, Finding, WordFinding
from experiments.shortcut_bench.specification import Specification, Value
from experiments.shortcut_bench.words import WORDS, credit, weight
from experiments.world.truth import ABSENT, THERE

RESAMPLES = 2000
BOOTSTRAP_SEED = 7
MISSED = 0.05
"""What a 95 % interval may miss."""


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
        painted: the effect of the classifier's mark; None without one.
    """

    specification: Specification
    explained: Explained
    true: Mapping[Value, float]
    unsure: Mapping[Value, float]
    alone: float
    interaction: float | None = None
    painted: float | None = None

    @property
    def there(self) -> list[bool]:
        """Of each finding, whether its concept is there."""
        return [abs(self.true[finding.value]) >= THERE for finding in self.explained.findings]

    @property
    def absent(self) -> list[bool]:
        """Of each finding, whether its concept is absent."""
        return [abs(self.true[finding.value]) <= ABSENT for finding in self.explained.findings]

    @property
    def signed_right(self) -> list[bool]:
        """Of each finding, whether it says raises where the true effect does, and lowers where it lowers."""
        return [raises(finding) == (self.true[finding.value] >= 0) for finding in self.explained.findings]

    @property
    def false(self) -> list[bool]:
        """Of each finding, whether it is a false discovery: reported, and absent or of the other sign."""
        rows = zip(self.explained.findings, self.absent, self.signed_right, strict=True)
        return [finding.reported and (absent or not right) for finding, absent, right in rows]

    @property
    def scores(self) -> list[float]:
        """Of each finding: how strongly the method says that there is something, whichever way."""
        return [abs(finding.score) for finding in self.explained.findings]


def raises(finding: Finding | WordFinding) -> bool:
    """Whether it says that the class is raised; what states no effect says so by its score."""
    return (finding.score if finding.effect is None else finding.effect) >= 0


def recall_at(answer: Answer, k: int) -> float | None:
    """Share of what is there among the first k, of as many as there can be; None where nothing is there.

    Between equal scores the order is left to chance: the expected share counts.
    """
    there = np.asarray(answer.there)
    if not there.any():
        return None
    found = there & np.asarray(answer.signed_right)
    scores = np.asarray(answer.scores)
    last = np.sort(scores)[::-1][min(k, len(scores)) - 1]
    above, level = scores > last, scores == last
    room = (min(k, len(scores)) - above.sum()) / level.sum()
    return float((found[above].sum() + room * found[level].sum()) / min(k, there.sum()))


def auroc(answer: Answer) -> float | None:
    """Probability that a concept that is there stands before one that is absent; None without either."""
    scores, labels = _there_or_absent(answer)
    return salient_imagenet.auroc(scores, labels)


def average_precision(answer: Answer) -> float | None:
    """Mean precision at each concept that is there, among those there and absent; None without either."""
    scores, labels = _there_or_absent(answer)
    if not any(labels) or all(labels):
        return None
    ranks = rankdata(scores) / (len(scores) + 1)  # in (0, 1), as the measure wants them
    return float(binary_average_precision(torch.from_numpy(ranks), torch.tensor(labels, dtype=torch.int64)))


def _there_or_absent(answer: Answer) -> tuple[list[float], list[bool]]:
    """The scores of what is there or absent, and which of the two; what is there comes last with the wrong sign."""
    rows = zip(answer.scores, answer.there, answer.absent, answer.signed_right, strict=True)
    kept = [(score if right or absent else -score, there) for score, there, absent, right in rows if there or absent]
    return [score for score, _ in kept], [there for _, there in kept]


def first_is_there(answer: Answer) -> float | None:
    """Recall among the first one."""
    return recall_at(answer, 1)


def three_are_there(answer: Answer) -> float | None:
    """Recall among the first three."""
    return recall_at(answer, 3)


def false_share(answer: Answer) -> float:
    """Share of all concepts that are falsely reported."""
    return float(np.mean(answer.false))


def any_false(answer: Answer) -> float:
    """Whether any concept is falsely reported."""
    return float(any(answer.false))


def accused(answer: Answer) -> float:
    """Whether any absent concept is reported: of a classifier whose shortcut no word names.

    A concept that the mark truly moves, as a tint may move "yellow", is none.
    """
    rows = zip(answer.explained.findings, answer.absent, strict=True)
    return float(any(finding.reported and absent for finding, absent in rows))


def told_of_more(answer: Answer) -> float | None:
    """Whether it is said that the class may be after something that no word names; None where that was not asked."""
    said = answer.explained.extra.get("asks_for_more")
    return None if said is None else float(said)


def found_share(answer: Answer) -> float | None:
    """Share of what is there that is reported, with its sign; None where nothing is."""
    rows = zip(answer.explained.findings, answer.there, answer.signed_right, strict=True)
    flags = [finding.reported and right for finding, there, right in rows if there]
    return sum(flags) / len(flags) if flags else None


def pair_among_first(answer: Answer, k: int = 3) -> float | None:
    """Whether the planted pair is among the first k pairs; None where it is not there, or the method tries no pairs.

    A pair is there if its true interaction is at least 0.2 in size.
    """
    if answer.interaction is None or abs(answer.interaction) < THERE or "combinations" not in answer.explained.extra:
        return None
    joints = [{Value(*value) for value in joint} for joint in answer.explained.extra["combinations"]]
    first = [joint for joint in joints if len(joint) == 2][:k]
    return float(set(answer.specification.planted[0]) in first)


def pair_members_among_first(answer: Answer, k: int = 3) -> float | None:
    """Share of the planted pair's two members among the first k concepts; None where the pair is not there.

    Whoever reports them has found what is needed, though not that both count together alone.
    """
    if answer.interaction is None or abs(answer.interaction) < THERE:
        return None
    ordered = sorted((one for one in answer.explained.findings if one.score), key=lambda one: -abs(one.score))
    members = set(answer.specification.planted[0])
    return len(members & {one.value for one in ordered[:k]}) / len(members)


Called = Literal["reported", "no effect", "undecided", "not tested"]


def called(finding: Finding, margin: float = ABSENT) -> Called:
    """What the method calls a concept: by its verdict, or *no effect* where its interval lies within the margin."""
    if finding.reported:
        return "reported"
    if finding.low is None or finding.high is None:
        return "not tested"
    if finding.verdict is not None:
        return "no effect" if finding.verdict == "no effect" else "undecided"
    return "no effect" if -margin <= finding.low and finding.high <= margin else "undecided"


def first_word_is_there(answer: Answer) -> float | None:
    """What the first word is worth; None where nothing is there, or the method needs a list.

    A word with several readings counts half. Between equal scores the expected worth counts, and a word with no score
    is worth nothing.
    """
    if not answer.explained.words or not _count_there(answer):
        return None
    most = max(abs(one.score) for one in answer.explained.words)
    if most == 0:
        return 0.0
    first = [one for one in answer.explained.words if abs(one.score) == most]
    return sum(_worth(answer, one) for one in first) / len(first)


def words_among_first(answer: Answer, k: int = 3) -> float | None:
    """What the first k words are worth, each concept once, of as many as are there; None as `first_word_is_there`."""
    if not answer.explained.words or not _count_there(answer):
        return None
    ordered = sorted((one for one in answer.explained.words if one.score), key=lambda one: -abs(one.score))
    worth: dict[Value, float] = {}
    for one in ordered[:k]:
        # A word is worth something once, for the first of its readings that is right and that none named before.
        right = _right(answer, one)
        value = next((value for value in WORDS.get(one.word, ()) if value in right), None)
        if value is not None:
            worth[value] = max(worth.get(value, 0.0), weight(one.word, answer.specification.class_name))
    return sum(worth.values()) / min(k, _count_there(answer))


def _count_there(answer: Answer) -> int:
    """How many concepts are there, whether or not the method knows them."""
    return sum(abs(true) >= THERE for true in answer.true.values())


def _right(answer: Answer, one: WordFinding) -> set[Value]:
    """The concepts that are there with the sign that is said of the word."""
    return {v for v, true in answer.true.items() if abs(true) >= THERE and (true >= 0) == raises(one)}


def _worth(answer: Answer, one: WordFinding) -> float:
    return credit(one.word, answer.specification.class_name, _right(answer, one))


def covered(answer: Answer) -> float | None:
    """Share of the stated intervals that hold the true effect; None where none is stated."""
    inside = list(_inside(answer).values())
    return sum(inside) / len(inside) if inside else None


def _inside(answer: Answer) -> dict[Value, bool]:
    """Of each concept with a stated interval, whether the true effect is in it.

    The true effect is measured, too: an interval is as much wider as the truth is unsure, squares added.
    """
    inside = {}
    for value, effect, low, high in _stated(answer):
        error = answer.true[value] - effect
        stated = high - effect if error > 0 else effect - low
        inside[value] = abs(error) <= math.hypot(stated, answer.unsure[value])
    return inside


Group = Literal["there", "between", "absent"]


def group_of(effect: float) -> Group:
    """The group of a true effect: at least 0.2 in size, within ±0.02, or between."""
    if abs(effect) >= THERE:
        return "there"
    return "absent" if abs(effect) <= ABSENT else "between"


def coverage(answers: Sequence[Answer], group: Group) -> Estimate | None:
    """Share of the stated intervals of one group that hold the true effect, as `pooled`."""
    return pooled(
        held for answer in answers for value, held in _inside(answer).items() if group_of(answer.true[value]) == group
    )


def unstated_share(answers: Sequence[Answer]) -> Estimate | None:
    """Share of all concepts that no interval is stated for, as `pooled`."""
    return pooled(one.low is None or one.high is None for answer in answers for one in answer.explained.findings)


def reported_of_there(answers: Sequence[Answer]) -> Estimate | None:
    """Share of what is there that is reported with its sign, as `pooled`."""
    return pooled(
        finding.reported and right
        for answer in answers
        for finding, there, right in zip(answer.explained.findings, answer.there, answer.signed_right, strict=True)
        if there
    )


def absent_share(answers: Sequence[Answer], name: Called) -> Estimate | None:
    """Share of the absent concepts that are called so, as `pooled`."""
    return pooled(
        called(finding) == name
        for answer in answers
        for finding, absent in zip(answer.explained.findings, answer.absent, strict=True)
        if absent
    )


def pooled(flags: Iterable[bool]) -> Estimate | None:
    """The share of what holds among all concepts of all classifiers, with its Wilson interval; None without any.

    The interval takes concepts of one classifier as independent, and so is rather too narrow.
    """
    given = list(flags)
    return wilson(sum(given), len(given)) if given else None


def interval_score(answer: Answer) -> float | None:
    """Mean interval score of the stated 95 % intervals, less is better; None where none is stated.

    Width, and 40 times what the truth lies outside (Gneiting and Raftery 2007, equation 43).
    """
    scores = []
    for value, _, low, high in _stated(answer):
        true = answer.true[value]
        scores.append(high - low + 2 / MISSED * (max(low - true, 0) + max(true - high, 0)))
    return float(np.mean(scores)) if scores else None


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


def counted(answers: Sequence[Answer], measure: Measure) -> Estimate | None:
    """The mean of a measure between 0 and 1 over classifiers with its Wilson interval; None where none has it.

    Unlike `mean_over`'s, the interval has width where all classifiers agree. Shares between 0 and 1 count as parts.
    """
    values = [value for value in map(measure, answers) if value is not None]
    return wilson(sum(values), len(values)) if values else None  # type: ignore[arg-type]  # parts of a whole


def by_kind(answers: Sequence[Answer], measure: Measure) -> dict[str, Estimate]:
    """`counted` for each kind and each control, in the order in which they come; without those that have none."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(str(answer.specification.kind or answer.specification.control), []).append(answer)
    estimates = {name: counted(mine, measure) for name, mine in groups.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}


def spearman(answers: Sequence[Answer]) -> Estimate | None:
    """Rank correlation of scores with true effects beyond ±0.02, over all concepts of all classifiers together.

    The interval is of a bootstrap over classifiers; n counts concepts. None with fewer than three, or equal scores.
    """
    parts = []
    for answer in answers:
        rows = [
            (finding.score, answer.true[finding.value])
            for finding in answer.explained.findings
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
        found = salient_imagenet.auroc(shares[picks], labels[picks])
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
