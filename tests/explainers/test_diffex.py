"""The ranked tree where every effect is known by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.explainers.known_effects import (
    BASE,
    BLUE,
    DOG,
    FLAG,
    GRASS,
    HIERARCHY,
    PLAIN,
    POLE,
    RED,
    SEA,
    SNOW,
    STRIPED,
    TREE,
    Checks,
    Classifier,
    Editor,
    bytes_of,
    effects_of,
)

from diffexplain.effects.engine import Engine, Studied, subject_of
from diffexplain.effects.results import EffectsResult, Ranking
from diffexplain.errors import UserError
from diffexplain.explainers.diffex import DiffEx
from diffexplain.target import ResolvedTarget

FLAGS_AND_SNOW = Classifier(lambda shows: 2.0 * shows(FLAG) - 1.0 * shows(SNOW))
PAIR = Classifier(lambda shows: 4.0 * shows(TREE) * shows(SNOW) - 2.0)
SUB_TYPE = Classifier(lambda shows: 3.0 * shows(STRIPED))
BASES = (BASE, frozenset({SNOW, RED}), frozenset({SEA, BLUE, DOG}), frozenset({GRASS, RED, FLAG}))


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def rank(directory: Path, *classifiers: Classifier, editor: Any = None, **settings: Any) -> EffectsResult:
    own = {"search_images": 12} | {key: settings.pop(key) for key in ("beam", "threshold") if key in settings}
    method = DiffEx(**own)
    return effects_of(directory, *classifiers, method=method, editor=editor, checks=Checks(), **settings)


def effects(ranking: Ranking) -> dict[tuple[str, ...], float]:
    return {concept.path: concept.over_all.score.value for concept in ranking.concepts}


def test_effects_are_signed_and_those_known_by_hand(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, FLAGS_AND_SNOW).rankings
    found = effects(ranking)
    assert found[FLAG] == pytest.approx(sigmoid(2) - sigmoid(0))
    assert found[SNOW] == pytest.approx(sigmoid(-1) - sigmoid(0))
    assert found[TREE] == found[DOG] == found[RED] == found[BLUE] == 0
    assert [concept.path for concept in ranking.ranked[:2]] == [FLAG, SNOW]
    logits = {concept.path: concept.over_all.log_odds for concept in ranking.concepts}
    assert logits[FLAG] is not None and logits[FLAG].value == pytest.approx(2)
    # Each other setting is better than the mean of its rivals, of which one is snow.
    assert found[GRASS] == found[SEA] == pytest.approx((sigmoid(0) - sigmoid(-1)) / 2)
    significant = {concept.path for concept in ranking.concepts if concept.over_all.significant}
    assert significant == {FLAG, SNOW, GRASS, SEA}
    assert all(concept.took is not None and concept.took.value == 1 for concept in ranking.concepts)


def test_what_an_image_shows_already_is_taken_out_instead(tmp_path: Path) -> None:
    flags = Classifier(lambda shows: 2.0 * shows(FLAG))
    (ranking,) = rank(tmp_path, flags, editor=Editor(BASES)).rankings
    # The quarter that shows a flag has it in the null edit and loses it; the effect is the same.
    assert effects(ranking)[FLAG] == pytest.approx(sigmoid(2) - sigmoid(0))
    assert ranking.null_score.value == pytest.approx((sigmoid(2) + 3 * sigmoid(0)) / 4)


def test_a_value_is_compared_with_its_rivals(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, Classifier(lambda shows: shows(SNOW)), editor=Editor(BASES), images=32).rankings
    found = effects(ranking)
    gap = sigmoid(1) - sigmoid(0)
    assert found[SNOW] == pytest.approx(gap)
    assert -gap < found[GRASS] < 0  # Where grass is, snow or sea is put instead, each half of the time.


def test_a_sub_type_is_compared_with_another_one(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, SUB_TYPE).rankings
    found = effects(ranking)
    assert found[STRIPED] == pytest.approx(sigmoid(3) - sigmoid(0))
    assert found[PLAIN] == pytest.approx(sigmoid(0) - sigmoid(3))
    assert found[FLAG] == 0


def test_no_edit_is_made_twice(tmp_path: Path) -> None:
    editor = Editor(BASES)
    result = rank(tmp_path, FLAGS_AND_SNOW, SUB_TYPE, editor=editor)
    made = result.budget.images + result.budget.search_images
    assert len(editor.asked) == len(set(editor.asked)) == made == result.budget.evaluations
    assert result.budget.preparing == 12
    assert result.budget.uniform_images == 12 * 10


def test_combinations_need_to_beat_their_parents(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, FLAGS_AND_SNOW).rankings
    assert ranking.best is not None
    assert ranking.best.paths == (FLAG,)
    assert all(SNOW not in combination.paths for combination in ranking.combinations)
    assert all(len(combination.paths) == 1 for combination in ranking.combinations)


def test_two_things_that_count_together_are_found_together(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, PAIR, editor=Editor(BASES)).rankings
    assert ranking.best is not None
    assert set(ranking.best.paths) == {TREE, SNOW}
    # A quarter of the images shows snow already.
    base = sigmoid(-2)
    assert ranking.best.gain.value == pytest.approx(sigmoid(2) - base)
    assert ranking.best.over_parent is not None and ranking.best.over_parent.low > 0
    assert ranking.best.took is not None and ranking.best.took.value == 1


def test_the_search_goes_down_to_the_sub_type(tmp_path: Path) -> None:
    classifier = Classifier(lambda shows: 1.0 * shows(FLAG) + 2.0 * shows(STRIPED))
    (ranking,) = rank(tmp_path, classifier).rankings
    assert ranking.best is not None and ranking.best.paths == (STRIPED,)


def test_the_threshold_decides_what_the_search_begins_with(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, FLAGS_AND_SNOW, threshold=0.9).rankings
    assert ranking.combinations == () and ranking.best is None


def test_an_edit_that_failed_is_reported_and_left_out_of_the_second_effect(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, FLAGS_AND_SNOW, editor=Editor(stubborn=(TREE,))).rankings
    tree = next(concept for concept in ranking.concepts if concept.path == TREE)
    assert tree.took is not None and tree.took.value == 0
    assert tree.over_took is None and tree.over_all.n == 12


def test_an_edit_that_moved_the_rest_did_not_take(tmp_path: Path) -> None:
    (ranking,) = rank(tmp_path, FLAGS_AND_SNOW, editor=Editor(spill=0.3)).rankings
    assert all(concept.took is not None and concept.took.value == 0 for concept in ranking.concepts)


def test_classifiers_are_compared_on_the_same_edits(tmp_path: Path) -> None:
    alone = rank(tmp_path / "alone", FLAGS_AND_SNOW, beam=0)
    both = rank(tmp_path / "both", FLAGS_AND_SNOW, SUB_TYPE, beam=0)
    assert both.rankings[0] == alone.rankings[0]
    assert both.budget == alone.budget
    flag = next(difference for difference in both.differences if difference.path == FLAG)
    assert (flag.first, flag.second) == ("classifier 0", "classifier 1")
    assert flag.effect.score.value == pytest.approx(sigmoid(2) - sigmoid(0))


def test_halving_spends_less_and_keeps_the_first_places(tmp_path: Path) -> None:
    uniform = rank(tmp_path / "uniform", FLAGS_AND_SNOW, editor=Editor(BASES), images=48, beam=0)
    halving = rank(tmp_path / "halving", FLAGS_AND_SNOW, editor=Editor(BASES), images=48, beam=0, policy="halving")
    assert halving.budget.images <= 0.7 * uniform.budget.images
    for result in (uniform, halving):
        assert {concept.path for concept in result.rankings[0].ranked[:2]} == {FLAG, SNOW}
    best = halving.rankings[0].ranked[0].over_all
    assert best.n == 36  # what chose it does not test it
    assert min(concept.over_all.n for concept in halving.rankings[0].concepts) < 48


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[EffectsResult, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    return rank(folder, PAIR, FLAGS_AND_SNOW, editor=Editor(BASES), policy="halving"), bytes_of(folder)


@pytest.mark.parametrize("stop_after", [0, 7, 40, 90])
def test_a_run_resumed_anywhere_ends_with_equal_bytes(
    tmp_path: Path, stop_after: int, uninterrupted: tuple[EffectsResult, dict[str, bytes]]
) -> None:
    whole, files = uninterrupted
    with pytest.raises(KeyboardInterrupt):
        rank(tmp_path / "again", PAIR, FLAGS_AND_SNOW, editor=Editor(BASES, stop_after=stop_after), policy="halving")
    again = Editor(BASES)
    resumed = rank(tmp_path / "again", PAIR, FLAGS_AND_SNOW, editor=again, policy="halving")
    assert resumed == whole
    assert bytes_of(tmp_path / "again") == files
    # At most the one unit in which it stopped, of 12 images, is made again.
    assert len(again.asked) < whole.budget.evaluations - stop_after + 12
    finished = Editor(BASES, stop_after=0)
    assert rank(tmp_path / "again", PAIR, FLAGS_AND_SNOW, editor=finished, policy="halving") == whole


def test_given_images_are_compared_with_their_null_edits(tmp_path: Path) -> None:
    editor = Editor()
    images = torch.stack([editor._draw(state) for state in BASES] * 3)
    result = effects_of(
        tmp_path, FLAGS_AND_SNOW, method=DiffEx(beam=0), editor=editor, checks=Checks(), given=images, chunk=5
    )
    (ranking,) = result.rankings
    assert ranking.null_shift is not None and ranking.null_shift.value == 0
    # Sight tells which images show a flag to begin with.
    assert effects(ranking)[FLAG] > 0.2
    tree = next(concept for concept in ranking.concepts if concept.path == TREE)
    assert tree.within_noise is True


def test_a_unit_has_no_log_odds(tmp_path: Path) -> None:
    unit = ResolvedTarget("unit", "unit:pixels:3", "unit", module="pixels", channel=3)
    result = effects_of(tmp_path, FLAGS_AND_SNOW, method=DiffEx(beam=0), target=unit)
    tree = next(concept for concept in result.rankings[0].concepts if concept.path == TREE)
    assert tree.over_all.score.value == 1 and tree.over_all.log_odds is None and tree.over_all.significant
    assert tree.took is None and tree.over_took is None


def test_the_result_is_plain_json(tmp_path: Path) -> None:
    content = rank(tmp_path, FLAGS_AND_SNOW, SUB_TYPE).to_json()
    assert json.loads(json.dumps(content, allow_nan=False))["subject"] == "a flagpole"


def test_something_must_say_what_the_images_show() -> None:
    unit = ResolvedTarget("unit", "unit:pixels:3", "unit", module="pixels", channel=3)
    bare = type(HIERARCHY)("", HIERARCHY.roots)
    with pytest.raises(UserError, match="unit:<module>:<channel>@<class>"):
        subject_of(bare, [Studied("one", FLAGS_AND_SNOW, unit)])
    assert subject_of(bare, [Studied("one", FLAGS_AND_SNOW, POLE)]) == "a flagpole"


@pytest.mark.parametrize(
    "settings",
    [
        *({"policy": "halve"}, {"images": 1}, {"smallest": 1}, {"significance": 5.0}, {"images": 7, "smallest": 8}),
        *({"margin": -0.1}, {"margin": 0.06}, {"unit_margin": -0.1}),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Engine(**settings)
