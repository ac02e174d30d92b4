"""Salient ImageNet's labels and agreement with them, on made files of the same columns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from diffexplain.errors import UserError
from experiments.hidden_units.salient_imagenet import (
    COLUMNS,
    FeatureLabel,
    agreement,
    auroc,
    clustered_auroc,
    load_labels,
)

CORE = ("main_object",) * 5
BOUNDARY = ("main_object", "background", "main_object", "separate_object", "main_object")
SPURIOUS = ("main_object", "background", "separate_object", "background", "main_object")


def write(file: Path, questions: Sequence[tuple[int, int, Sequence[str]]], columns: Sequence[str] = COLUMNS) -> Path:
    """A file with the answers to each (class, feature)."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(columns)
        for class_index, feature, answers in questions:
            for person, answer in enumerate(answers):
                reasons = 'it is, "clearly",\nthe thing itself'  # quoted commas and line breaks, as people write
                row = [f"W{person}", f"n{class_index:08d}", class_index, feature, 1, answer, 4, reasons]
                table.writerow(row[: len(columns)])
    return file


def label(class_index: int, feature: int, spurious: bool) -> FeatureLabel:
    return FeatureLabel(class_index, feature, "n00000000", 1, 1 if spurious else 5, 4 if spurious else 0, 0)


def test_three_of_five_answers_make_a_feature_spurious(tmp_path: Path) -> None:
    file = write(tmp_path / "labels.csv", [(695, 12, CORE), (695, 40, BOUNDARY), (890, 12, SPURIOUS)])
    core, boundary, spurious = load_labels(file)
    assert (core.key, core.spurious, core.main_object) == ((695, 12), False, 5)
    assert (boundary.key, boundary.spurious, boundary.main_object) == ((695, 40), False, 3)
    assert (spurious.key, spurious.spurious) == ((890, 12), True)
    assert (spurious.main_object, spurious.background, spurious.separate_object) == (2, 2, 1)
    assert (spurious.wnid, spurious.rank) == ("n00000890", 1)


def test_a_missing_file_says_where_it_comes_from_and_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load_labels(tmp_path / "none.csv")
    message = str(error.value)
    assert "mturk_results/discover_spurious_features.csv" in message
    assert "singlasahil14/salient_imagenet" in message
    assert "research" in message
    assert "outside this repository" in message


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "labels.csv", [(695, 12, CORE)], COLUMNS[:5])
    with pytest.raises(UserError, match=r"Answer\.main"):
        load_labels(file)


def test_an_unknown_answer_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    rows = [f"W,n00000001,1,2,1,{answer},4,because" for answer in ("main_object", "separate_objekt")]
    file.write_text("\n".join([",".join(COLUMNS), *rows]), encoding="utf-8")
    with pytest.raises(UserError, match="line 3") as error:
        load_labels(file)
    assert error.value.given == "separate_objekt"
    assert error.value.nearest[0] == "separate_object"


@pytest.mark.parametrize(
    ("row", "said"),
    [("W,n1,one,2,1,main_object,4,x", r"line 2: Input\.class_index"), ("W,n1,1,2,1", r"line 2: there is no Answer")],
)
def test_a_damaged_line_is_named(tmp_path: Path, row: str, said: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(",".join(COLUMNS) + "\n" + row, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        load_labels(file)


def test_too_few_answers_are_not_taken_for_a_majority(tmp_path: Path) -> None:
    file = write(tmp_path / "labels.csv", [(695, 12, CORE), (695, 40, SPURIOUS[:4])])
    with pytest.raises(UserError, match=r"class 695, feature 40 has 4 answers, not 5"):
        load_labels(file)


def test_an_empty_file_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no answers"):
        load_labels(write(tmp_path / "labels.csv", []))


def test_auroc_counts_ties_half() -> None:
    # Of the four pairs (spurious, core) two are in order, one is tied, one is not: (2 + 1/2) / 4.
    assert auroc([3, 1, 1, 2], [True, True, False, False]) == 0.625
    assert auroc([1, 2], [True, True]) is None


def test_the_interval_counts_groups_and_not_their_members() -> None:
    generator = np.random.default_rng(0)
    scores, positive = [3.0, 1.0, 2.0, 4.0, 5.0, 1.0], [True, False, True, False, True, False]
    few = clustered_auroc(scores, positive, [0, 0, 1, 1, 2, 2], generator)
    # The same three groups with every member a hundred times: no more is known.
    many = clustered_auroc(scores * 100, positive * 100, [0, 0, 1, 1, 2, 2] * 100, generator)
    assert few is not None
    assert many is not None
    assert few.value == pytest.approx(many.value)
    assert (few.n, many.n) == (6, 600)
    assert many.high - many.low == pytest.approx(few.high - few.low, abs=0.02)
    assert clustered_auroc(scores, positive, [0] * 6, generator) is None


def test_agreement_over_classes() -> None:
    labels = [label(c, f, f == 0) for c in range(4) for f in range(5)] + [label(9, 0, True)]
    right = {one.key: float(one.spurious) for one in labels if one.class_index < 4} | {(77, 1): 0.5}
    found = agreement(labels, right, np.random.default_rng(0))
    assert found.auroc is not None
    assert (found.auroc.value, found.auroc.low, found.auroc.high, found.auroc.n) == (1.0, 1.0, 1.0, 20)
    assert (found.spurious, found.classes, found.unscored) == (0.2, 4, 1)

    half = agreement(labels, dict.fromkeys(right, 0.3), np.random.default_rng(0))
    assert half.auroc is not None
    assert (half.auroc.value, half.auroc.low, half.auroc.high) == (0.5, 0.5, 0.5)


def test_scores_of_other_features_are_refused() -> None:
    with pytest.raises(UserError, match="imagenet_l2_3_0"):
        agreement([label(0, 0, True)], {(1, 1): 0.5}, np.random.default_rng(0))
