"""The benchmark's measures on answers whose worth is known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

FLAG, SNOW, NIGHT, RED, SMALL = (
    ("companion", "flag"), ("setting", "snow"), ("setting", "night"), ("colour", "red"), ("size", "small"),
)  # fmt: skip
TRUE = {FLAG: 0.5, SNOW: 0.3, NIGHT: 0.01, RED: -0.4, SMALL: -0.015}


def answer(
    scores: Sequence[float],
    reported: Sequence[bool] = (False,) * 5,
    true: dict[Any, float] = TRUE,
    intervals: Sequence[tuple[float, float]] | None = None,
    absent: float | None = None,
    alone: float = 0.0,
    kind: str = "companion",
    unsure: float = 0.0,
) -> Any:
    from catalogue import chosen
    from explained import Account, Explained, Finding
    from measures import Answer
    from specification import Value

    findings = []
    for place, (value, score) in enumerate(zip(true, scores, strict=True)):
        low, high = (None, None) if intervals is None else intervals[place]
        effect = None if intervals is None else score
        findings.append(Finding(Value(*value), score, reported[place], effect, low, high))
    (one,) = chosen([f"{kind}_flagpole_cnn"])
    explained = Explained("method", one.name, tuple(findings), Account(), absent)
    effects = {Value(*value): effect for value, effect in true.items()}
    return Answer(one, explained, effects, dict.fromkeys(effects, unsure), alone)


def test_recall_counts_what_is_there_among_the_first() -> None:
    from measures import recall_at

    right = answer([0.9, 0.8, 0.1, 0.0, 0.0])
    assert (recall_at(right, 1), recall_at(right, 3)) == (1.0, 1.0)
    late = answer([0.3, 0.1, 0.9, 0.8, 0.2])  # flag is third, snow last
    assert (recall_at(late, 1), recall_at(late, 3)) == (0.0, 0.5)
    assert recall_at(answer([1.0, 1, 1, 1, 1], true=dict.fromkeys(TRUE, 0.0)), 1) is None


def test_equal_scores_are_worth_what_chance_gives() -> None:
    from measures import auroc, recall_at

    silent = answer([0.0] * 5)
    assert recall_at(silent, 1) == pytest.approx(2 / 5)
    assert recall_at(silent, 3) == pytest.approx(3 / 5)
    assert auroc(silent) == pytest.approx(0.5)
    one_first = answer([0.7, 0.0, 0.0, 0.0, 0.0])
    assert recall_at(one_first, 3) == pytest.approx((1 + 2 / 4) / 2)


def test_what_is_between_or_lowers_counts_for_neither() -> None:
    from measures import auroc, average_precision, false_share

    # Red stands first: its effect is neither there nor absent.
    ordered = answer([0.5, 0.4, 0.1, 0.9, 0.0], reported=[True, False, False, True, False])
    assert auroc(ordered) == 1.0
    assert average_precision(ordered) == pytest.approx(1.0)
    assert false_share(ordered) == 0.0
    # Night before flag and snow: of 2 x 2 pairs 2 are right; precision 1/2 and 2/3.
    wrong = answer([0.5, 0.4, 0.6, 0.0, 0.0], reported=[False, False, True, True, False])
    assert auroc(wrong) == pytest.approx(0.5)
    assert average_precision(wrong) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert false_share(wrong) == pytest.approx(1 / 2)


def test_intervals_hold_the_truth_or_not() -> None:
    from measures import covered, half_width, mean_error

    intervals = [(0.4, 0.6), (0.4, 0.6), (0.0, 0.02), (-0.5, -0.3), (0.0, 0.1)]
    effects = [0.5, 0.5, 0.01, -0.4, 0.05]
    stated = answer(effects, intervals=intervals)
    assert covered(stated) == pytest.approx(3 / 5)
    assert half_width(stated) == pytest.approx(0.1)
    assert mean_error(stated) == pytest.approx(sum(abs(a - b) for a, b in zip(effects, TRUE.values(), strict=True)) / 5)
    # An error of 0.2 is within what a half-width of 0.1 and a truth known to 0.18 allow: 0.206.
    assert covered(answer(effects, intervals=intervals, unsure=0.18)) == pytest.approx(1)
    assert covered(answer([0.5] * 5)) is None


def test_the_correlation_is_over_all_classifiers_together() -> None:
    from measures import spearman

    same = answer([0.5, 0.3, 0.0, -0.4, 0.0])
    estimate = spearman([same, same])
    assert estimate is not None
    assert (estimate.value, estimate.n) == (pytest.approx(1.0), 6)
    against = spearman([answer([-0.5, -0.3, 0.0, 0.4, 0.0])] * 2)
    assert against is not None
    assert against.value == pytest.approx(-1.0)
    assert spearman([answer([0.0] * 5)]) is None


def test_absence_of_the_object_is_judged_by_what_is_enough_alone() -> None:
    from measures import object_absence

    known = ((0.9, 0.5), (0.8, 0.3), (0.1, 0.0), (0.2, 0.1))
    found = object_absence([answer([0.0] * 5, absent=share, alone=alone) for share, alone in known])
    assert found is not None
    assert found.value == 1.0
    assert object_absence([answer([0.0] * 5, absent=0.5, alone=0.5)]) is None


def test_methods_are_compared_on_the_classifiers_that_both_have() -> None:
    from measures import first_is_there, paired_difference

    right, wrong = answer([0.9, 0, 0, 0, 0]), answer([0, 0, 0.9, 0, 0])
    difference = paired_difference({"a": right, "b": right, "c": right}, {"a": wrong, "b": right}, first_is_there)
    assert difference is not None
    assert (difference.value, difference.n) == (0.5, 2)


def test_answers_come_back_from_their_files() -> None:
    import json

    from explained import Explained

    explained = answer([0.5] * 5, intervals=[(0.4, 0.6)] * 5, absent=0.25).explained
    assert Explained.from_json(json.loads(json.dumps(explained.to_json()))) == explained
