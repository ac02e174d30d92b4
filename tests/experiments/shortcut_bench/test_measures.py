"""The benchmark's measures on answers whose worth is known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    name: str = "companion_flagpole_cnn",
    unsure: float = 0.0,
    **facts: Any,
) -> Any:
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.explained import Account, Explained, Finding
    from experiments.shortcut_bench.measures import Answer
    from experiments.shortcut_bench.specification import Value

    findings = []
    for place, (value, score) in enumerate(zip(true, scores, strict=True)):
        low, high = (None, None) if intervals is None else intervals[place]
        effect = None if intervals is None else score
        findings.append(Finding(Value(*value), score, reported[place], effect, low, high))
    (one,) = chosen([name])
    said = {key: facts.pop(key) for key in ("extra", "words") if key in facts}
    explained = Explained("method", one.name, tuple(findings), Account(), absent, **said)
    effects = {Value(*value): effect for value, effect in true.items()}
    return Answer(one, explained, effects, dict.fromkeys(effects, unsure), alone, **facts)


def test_recall_counts_what_is_there_among_the_first() -> None:
    from experiments.shortcut_bench.measures import recall_at

    right = answer([0.9, 0.8, 0.1, -0.7, 0.0])
    assert (recall_at(right, 1), recall_at(right, 3)) == (1.0, 1.0)
    late = answer([0.3, 0.1, 0.9, 0.0, 0.4])  # flag is third, snow and red come later
    assert (recall_at(late, 1), recall_at(late, 3)) == (0.0, pytest.approx(1 / 3))
    assert recall_at(answer([1.0, 1, 1, 1, 1], true=dict.fromkeys(TRUE, 0.0)), 1) is None


def test_what_lowers_the_class_is_found_with_its_sign_alone() -> None:
    from experiments.shortcut_bench.measures import first_is_there, found_share, three_are_there

    lowers = answer([0.3, 0.2, 0.0, -0.9, 0.1], reported=[False, False, False, True, False])
    assert (first_is_there(lowers), three_are_there(lowers)) == (1.0, 1.0)
    assert found_share(lowers) == pytest.approx(1 / 3)
    raises = answer([0.3, 0.2, 0.0, 0.9, 0.1], reported=[False, False, False, True, False])
    assert (first_is_there(raises), three_are_there(raises)) == (0.0, pytest.approx(2 / 3))
    assert found_share(raises) == 0.0
    # What states an effect says the sign by it, whatever the score is.
    stated = answer([0.1, 0.0, 0.0, -0.9, 0.0], intervals=[(0, 0)] * 5)
    assert first_is_there(stated) == 1.0


def test_equal_scores_are_worth_what_chance_gives() -> None:
    from experiments.shortcut_bench.measures import auroc, recall_at

    silent = answer(
        [0.0] * 5
    )  # of five, flag and snow raise the class; red, which lowers it, would be said to raise it
    assert recall_at(silent, 1) == pytest.approx(2 / 5)
    assert recall_at(silent, 3) == pytest.approx(3 / 5 * 2 / 3)
    assert auroc(silent) == pytest.approx(0.5)
    one_first = answer([0.7, 0.0, 0.0, 0.0, 0.0])
    assert recall_at(one_first, 3) == pytest.approx((1 + 2 / 4) / 3)


def test_what_is_between_counts_for_neither() -> None:
    from experiments.shortcut_bench.measures import auroc, average_precision

    true = TRUE | {RED: 0.1}
    # Red stands first: its effect is neither there nor absent.
    ordered = answer([0.5, 0.4, 0.1, 0.9, 0.0], true=true)
    assert auroc(ordered) == 1.0
    assert average_precision(ordered) == pytest.approx(1.0)
    # Night before flag and snow: of 2 x 2 pairs 2 are right; precision 1/2 and 2/3.
    wrong = answer([0.5, 0.4, 0.6, 0.0, 0.0], true=true)
    assert auroc(wrong) == pytest.approx(0.5)
    assert average_precision(wrong) == pytest.approx((1 / 2 + 2 / 3) / 2)
    # With the wrong sign, a flag comes behind all that is absent: of 2 x 2 pairs 2 are right.
    assert auroc(answer([-0.5, 0.4, 0.1, 0.9, 0.0], true=true)) == pytest.approx(0.5)


def test_a_false_discovery_is_absent_or_has_the_wrong_sign() -> None:
    from experiments.shortcut_bench.measures import any_false, false_share

    right = answer([0.5, 0.4, 0.1, -0.9, 0.0], reported=[True, True, False, True, False])
    assert (false_share(right), any_false(right)) == (0.0, 0.0)
    absent = answer([0.5, 0.4, 0.6, -0.1, 0.0], reported=[False, False, True, False, False])
    assert (false_share(absent), any_false(absent)) == (pytest.approx(1 / 5), 1.0)
    other_way = answer([0.5, -0.4, 0.1, 0.9, 0.0], reported=[True, True, False, True, False])
    assert false_share(other_way) == pytest.approx(2 / 5)
    # What lies between is false with the wrong sign alone.
    for score, share in ((0.3, 0.0), (-0.3, 1 / 5)):
        between = answer([0.0, 0.0, 0.0, 0.0, score], [False] * 4 + [True], true=TRUE | {SMALL: 0.1})
        assert false_share(between) == pytest.approx(share)


def test_a_concept_that_a_mark_truly_moves_is_not_accused() -> None:
    from experiments.shortcut_bench.measures import accused

    moved = answer([0.0, 0.0, 0.0, -0.4, 0.0], reported=[False, False, False, True, False])
    unmoved = answer([0.0, 0.0, 0.0, 0.0, 0.4], reported=[False, False, False, False, True])
    assert (accused(moved), accused(unmoved)) == (0.0, 1.0)


def test_a_pair_is_there_by_its_interaction_and_found_among_the_first_pairs() -> None:
    from experiments.shortcut_bench.measures import pair_among_first

    pair, other = [["companion", "flag"], ["companion", "tree"]], [["setting", "sea"], ["companion", "tree"]]
    triple = [*pair, ["setting", "sea"]]

    def of(interaction: float | None, *joints: Any) -> Any:
        return answer([0.0] * 5, name="pair_flagpole_cnn", extra={"combinations": joints}, interaction=interaction)

    assert pair_among_first(of(0.3, other, triple, other, pair)) == 1.0
    assert pair_among_first(of(0.3, other, pair[::-1]), k=1) == 0.0
    assert pair_among_first(of(-0.3, pair[::-1])) == 1.0
    assert pair_among_first(of(0.3)) == 0.0
    assert pair_among_first(of(0.1, pair)) is None
    assert pair_among_first(of(None, pair)) is None
    assert pair_among_first(answer([0.0] * 5, name="pair_flagpole_cnn", interaction=0.3)) is None


def test_no_effect_is_said_where_the_whole_interval_lies_in_the_margin() -> None:
    from experiments.shortcut_bench.measures import absent_share, called

    # Night and small are absent.
    intervals = [(0.4, 0.6), (0.2, 0.4), (-0.02, 0.02), (-0.5, -0.3), (-0.01, 0.03)]
    said = answer([0.5, 0.3, 0.0, -0.4, 0.01], intervals=intervals)
    assert [called(one) for one in said.explained.findings] == ["undecided"] * 2 + ["no effect"] + ["undecided"] * 2
    assert called(said.explained.findings[-1], margin=0.05) == "no effect"
    for verdict in ("no effect", "undecided"):  # of a method that has verdicts, they count
        assert [called(replace(one, verdict=verdict)) for one in said.explained.findings] == [verdict] * 5
    untested, reported = answer([0.0] * 5), answer([0.0] * 5, reported=[True] * 5)

    def share(name: Any) -> tuple[float, int]:
        found = absent_share([said, untested, reported], name)
        assert found is not None
        return found.value, found.n

    assert [share(name) for name in ("no effect", "undecided", "not tested", "reported")] == [
        (pytest.approx(1 / 6), 6), (pytest.approx(1 / 6), 6), (pytest.approx(2 / 6), 6), (pytest.approx(2 / 6), 6),
    ]  # fmt: skip
    assert absent_share([answer([0.0] * 5, true=dict.fromkeys(TRUE, 0.5))], "undecided") is None


def test_words_count_for_the_concepts_that_they_stand_for() -> None:
    from experiments.shortcut_bench.explained import WordFinding
    from experiments.shortcut_bench.measures import first_word_is_there, words_among_first

    def of(**scores: float) -> Any:
        words = tuple(WordFinding(word, score, reported=False) for word, score in scores.items())
        found = answer([0.0] * 5, words=words)
        return replace(found, explained=replace(found.explained, findings=()))  # it knows no list

    assert first_word_is_there(of(teapot=0.1, banner=0.9)) == 1.0
    assert first_word_is_there(of(red=-0.9, banner=0.5)) == 0.5  # the colour or a flower
    assert first_word_is_there(of(red=0.9, banner=0.5)) == 0.0  # it lowers
    assert first_word_is_there(of(banner=0.5, teapot=0.5)) == 0.5
    assert first_word_is_there(of(banner=0.0)) == 0.0
    assert first_word_is_there(answer([0.9, 0, 0, 0, 0])) is None  # a method that has a list
    # Flag and snow of three that are there; the second word for a flag adds nothing.
    assert words_among_first(of(banner=0.9, flag=0.8, snowy=0.7, red=-0.6)) == pytest.approx(2 / 3)
    assert words_among_first(of(banner=0.9, snowy=0.7, red=-0.6)) == pytest.approx(2.5 / 3)
    # The flagpole's own words name no concept.
    assert words_among_first(of(flagpole=0.9, snow=0.8), k=1) == 0.0


def test_intervals_hold_the_truth_or_not() -> None:
    from experiments.shortcut_bench.measures import covered, half_width, mean_error

    intervals = [(0.4, 0.6), (0.4, 0.6), (0.0, 0.02), (-0.5, -0.3), (0.0, 0.1)]
    effects = [0.5, 0.5, 0.01, -0.4, 0.05]
    stated = answer(effects, intervals=intervals)
    assert covered(stated) == pytest.approx(3 / 5)
    assert half_width(stated) == pytest.approx(0.1)
    assert mean_error(stated) == pytest.approx(sum(abs(a - b) for a, b in zip(effects, TRUE.values(), strict=True)) / 5)
    # An error of 0.2 is within what a half-width of 0.1 and a truth known to 0.18 allow: 0.206.
    assert covered(answer(effects, intervals=intervals, unsure=0.18)) == pytest.approx(1)
    assert covered(answer([0.5] * 5)) is None


def test_coverage_is_of_each_group_over_all_concepts() -> None:
    from experiments.shortcut_bench.measures import coverage, unstated_share

    # Flag held, snow not, night held, red held, small not.
    intervals = [(0.4, 0.6), (0.4, 0.6), (0.0, 0.02), (-0.5, -0.3), (0.0, 0.1)]
    first = answer([0.5, 0.5, 0.01, -0.4, 0.05], intervals=intervals)
    second = answer([0.5, 0.3, 0.01, -0.4, 0.0], intervals=[(-1, 1)] * 5, true=TRUE | {RED: 0.1})
    found = {group: coverage([first, second], group) for group in ("there", "between", "absent")}
    assert {group: (one.value, one.n) for group, one in found.items()} == {
        "there": (pytest.approx(4 / 5), 5), "between": (1.0, 1), "absent": (pytest.approx(3 / 4), 4),
    }  # fmt: skip
    assert (found["there"].low, found["there"].high) == pytest.approx((0.3755, 0.9638), abs=1e-4)
    assert coverage([answer([0.5] * 5)], "there") is None
    share = unstated_share([first, second, answer([0.5] * 5)])
    assert share is not None
    assert (share.value, share.n) == (pytest.approx(1 / 3), 15)


def test_what_is_there_is_reported_with_its_sign_over_all_concepts() -> None:
    from experiments.shortcut_bench.measures import reported_of_there

    # Flag and red are reported, red with the wrong sign; then all three, rightly.
    some = answer([0.5, 0.4, 0.1, 0.9, 0.0], reported=[True, False, False, True, False])
    every = answer([0.5, 0.4, 0.1, -0.9, 0.0], reported=[True, True, False, True, False])
    found = reported_of_there([some, every])
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(4 / 6), 6)
    assert reported_of_there([answer([0.0] * 5, true=dict.fromkeys(TRUE, 0.0))]) is None


def test_members_of_a_pair_that_is_there_are_looked_for_among_the_first_concepts() -> None:
    from experiments.shortcut_bench.measures import pair_members_among_first

    true = {FLAG: 0.1, ("companion", "tree"): 0.05, NIGHT: 0.01, RED: -0.4, SMALL: -0.015}

    def of(scores: Sequence[float], interaction: float | None) -> Any:
        return answer(scores, true=true, name="pair_flagpole_cnn", interaction=interaction)

    assert pair_members_among_first(of([0.3, -0.2, 0.1, 0.0, 0.0], 0.3)) == 1.0
    assert pair_members_among_first(of([0.3, 0.1, 0.2, -0.4, 0.0], 0.3)) == 0.5
    assert pair_members_among_first(of([0.0] * 5, -0.3)) == 0.0  # what has no score is in no place
    assert pair_members_among_first(of([0.3, 0.2, 0.1, 0.0, 0.0], 0.1)) is None
    assert pair_members_among_first(of([0.3, 0.2, 0.1, 0.0, 0.0], None)) is None


def test_the_interval_score_is_width_and_forty_times_what_is_missed() -> None:
    from experiments.shortcut_bench.measures import interval_score

    held = answer([0.0] * 5, intervals=[(-0.5, 0.5)] * 5)
    assert interval_score(held) == pytest.approx(1.0)
    # Flag lies 0.1 above, red 0.6 below.
    missed = answer([0.3, 0.3, 0.3, 0.3, 0.3], intervals=[(0.2, 0.4), *[(-0.1, 0.3)] * 2, (0.2, 0.4), (-0.1, 0.1)])
    assert interval_score(missed) == pytest.approx((0.2 + 4.0 + 0.4 + 0.4 + 0.2 + 24.0 + 0.2) / 5)
    assert interval_score(answer([0.5] * 5)) is None


def test_counts_by_kind_have_width_where_all_agree() -> None:
    from experiments.shortcut_bench.measures import by_kind, counted, first_is_there

    right, wrong = answer([0.9, 0, 0, 0, 0]), answer([0, 0, 0.9, 0, 0])
    pair = answer([0.9, 0, 0, 0, 0], name="pair_flagpole_cnn")
    found = by_kind([right, wrong, pair, right, right], first_is_there)
    assert list(found) == ["companion", "pair"]
    assert (found["companion"].value, found["companion"].n) == (0.75, 4)
    assert (found["companion"].low, found["companion"].high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert (found["pair"].value, found["pair"].high) == (1.0, 1.0)
    assert found["pair"].low == pytest.approx(0.2065, abs=1e-4)
    assert counted([answer([0.0] * 5, true=dict.fromkeys(TRUE, 0.0))], first_is_there) is None


def test_the_correlation_is_over_all_classifiers_together() -> None:
    from experiments.shortcut_bench.measures import spearman

    same = answer([0.5, 0.3, 0.0, -0.4, 0.0])
    estimate = spearman([same, same])
    assert estimate is not None
    assert (estimate.value, estimate.n) == (pytest.approx(1.0), 6)
    against = spearman([answer([-0.5, -0.3, 0.0, 0.4, 0.0])] * 2)
    assert against is not None
    assert against.value == pytest.approx(-1.0)
    assert spearman([answer([0.0] * 5)]) is None


def test_absence_of_the_object_is_judged_by_what_is_enough_alone() -> None:
    from experiments.shortcut_bench.measures import object_absence

    known = ((0.9, 0.5), (0.8, 0.3), (0.1, 0.0), (0.2, 0.1))
    found = object_absence([answer([0.0] * 5, absent=share, alone=alone) for share, alone in known])
    assert found is not None
    assert found.value == 1.0
    assert object_absence([answer([0.0] * 5, absent=0.5, alone=0.5)]) is None


def test_methods_are_compared_on_the_classifiers_that_both_have() -> None:
    from experiments.shortcut_bench.measures import first_is_there, paired_difference

    right, wrong = answer([0.9, 0, 0, 0, 0]), answer([0, 0, 0.9, 0, 0])
    difference = paired_difference({"a": right, "b": right, "c": right}, {"a": wrong, "b": right}, first_is_there)
    assert difference is not None
    assert (difference.value, difference.n) == (0.5, 2)


def test_answers_come_back_from_their_files() -> None:
    import json

    from experiments.shortcut_bench.explained import Explained, WordFinding

    words = (WordFinding("banner", 0.5, True, 0.4, 0.3, 0.5),)
    explained = answer([0.5] * 5, intervals=[(0.4, 0.6)] * 5, absent=0.25, words=words).explained
    assert Explained.from_json(json.loads(json.dumps(explained.to_json()))) == explained
