"""Salient ImageNet (Singla & Feizi 2022, arXiv 2110.04301): which features of a robust ResNet-50 people call spurious.

Five people looked at each of a class's five most important features, and said what it shows: the main object, the
background, or a separate object. The file of their answers is the user's to fetch, see `load_labels`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from diffexplain.errors import UserError
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import CONFIDENCE

RESAMPLES = 2000
Answer = Literal["main_object", "background", "separate_object"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
PEOPLE = 5
"""Answers to each question."""
MAJORITY = 3
"""So many of them that are not the main object make a feature spurious."""

FILE = "mturk_results/discover_spurious_features.csv"
REPOSITORY = "https://github.com/singlasahil14/salient_imagenet"
LICENCE = (
    "Its licence allows use for research at universities and non-profit institutions only, and no copies to third "
    "parties: keep it outside this repository."
)
COLUMNS = (
    "WorkerId",
    "Input.wordnet_id",
    "Input.class_index",
    "Input.feature_index",
    "Input.feature_rank",
    "Answer.main",
    "Answer.confidence",
    "Answer.reasons",
)

Key = tuple[int, int]
"""Index of a class, and of a feature of the layer before the last."""


@dataclass(frozen=True)
class FeatureLabel:
    """What people said of one feature of one class.

    Attributes:
        class_index: of ImageNet's 1000.
        feature_index: of the robust ResNet-50's 2048 (``imagenet_l2_3_0.pt``); it means nothing for other weights.
        wnid: WordNet id of the class.
        rank: of the feature in the class, as the file counts.
        main_object: answers that it is the object, of five.
        background: answers that it is the background.
        separate_object: answers that it is another object.
    """

    class_index: int
    feature_index: int
    wnid: str
    rank: int
    main_object: int
    background: int
    separate_object: int

    @property
    def key(self) -> Key:
        """Class and feature."""
        return self.class_index, self.feature_index

    @property
    def spurious(self) -> bool:
        """Whether at least three of the five say that it is not the main object."""
        return self.background + self.separate_object >= MAJORITY


@dataclass(frozen=True)
class Agreement:
    """Scores beside the labels.

    Attributes:
        auroc: of the score for "spurious", with a bootstrap interval over classes; ``n`` counts pairs of class and
            feature. None where the scored pairs are all of one kind, or of one class.
        spurious: share of the scored pairs that people call spurious, the precision of a guess.
        classes: of the scored pairs.
        unscored: labelled pairs that have no score.
    """

    auroc: Estimate | None
    spurious: float
    classes: int
    unscored: int


def load_labels(path: str | Path) -> tuple[FeatureLabel, ...]:
    """The labels in ``discover_spurious_features.csv``, in the order of the file.

    Raises:
        UserError: the file is missing (with where it comes from), is no such table, lacks a column, holds a value
            that is none of the accepted ones, or other than five answers to a question.
    """
    file = Path(path).expanduser()
    answers: dict[Key, list[Answer]] = {}
    described: dict[Key, tuple[str, int]] = {}
    for line, row in _rows(file):
        key = _whole(row, "Input.class_index", file, line), _whole(row, "Input.feature_index", file, line)
        about = row["Input.wordnet_id"].strip(), _whole(row, "Input.feature_rank", file, line)
        if described.setdefault(key, about) != about:
            message = f"{file}, line {line}: class {key[0]}, feature {key[1]} had another id or rank before."
            raise UserError(message, given=" ".join(map(str, about)), accepted=[" ".join(map(str, described[key]))])
        answers.setdefault(key, []).append(_answer(row, file, line))
    if not answers:
        raise UserError(f"{file} holds no answers.")
    return tuple(_label(key, described[key], given, file) for key, given in answers.items())


def agreement(
    labels: Sequence[FeatureLabel],
    scores: Mapping[Key, float],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Agreement:
    """How well scores agree with what people said.

    ``scores``: by class and feature, higher for what is rather spurious; pairs without a label are not looked at.

    Raises:
        UserError: no labelled pair has a score.
    """
    scored = [label for label in labels if label.key in scores]
    if not scored:
        raise UserError(
            "None of the scored features has a label: the indices are those of imagenet_l2_3_0.pt alone.",
            given=next(iter(scores), "no score at all"),
        )
    positive = [label.spurious for label in scored]
    classes = [label.class_index for label in scored]
    measured = clustered_auroc([scores[label.key] for label in scored], positive, classes, generator, resamples)
    return Agreement(measured, sum(positive) / len(positive), len(set(classes)), len(labels) - len(scored))


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """The chance that a positive thing has the higher score than another one, ties counting half, in [0, 1].

    ``scores`` (N,) are finite; None where all things are of one kind.
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


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and content of every answer."""
    if not file.is_file():
        message = f"The labels of Salient ImageNet are not there. Download {FILE} from {REPOSITORY}. {LICENCE}"
        raise UserError(message, given=file)
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{file} has no column {missing[0]}.", accepted=COLUMNS)
            for row in reader:
                short = [column for column in COLUMNS if row[column] is None]
                if short:
                    raise UserError(f"{file}, line {reader.line_num}: there is no {short[0]}.")
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read as CSV: {error}") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error


def _whole(row: Mapping[str, str], column: str, file: Path, line: int) -> int:
    text = row[column].strip()
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"{file}, line {line}: {column} is no whole number.", given=text)
    return int(text)


def _answer(row: Mapping[str, str], file: Path, line: int) -> Answer:
    text = row["Answer.main"].strip()
    for answer in ANSWERS:
        if text == answer:
            return answer
    raise UserError(f"{file}, line {line}: there is no such answer.", given=text, accepted=ANSWERS)


def _label(key: Key, about: tuple[str, int], given: Sequence[Answer], file: Path) -> FeatureLabel:
    if len(given) != PEOPLE:
        raise UserError(
            f"{file}: class {key[0]}, feature {key[1]} has {len(given)} answers, not {PEOPLE}; is the file complete?"
        )
    votes = Counter(given)
    return FeatureLabel(*key, *about, votes["main_object"], votes["background"], votes["separate_object"])
