"""What concepts come to, in a world in which every effect is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.explainers.known_effects import (
    BASE,
    DOG,
    FLAG,
    GRASS,
    HIERARCHY,
    PLACES,
    POLE,
    RED,
    SEA,
    SNOW,
    STRIPED,
    TREE,
    Checks,
    Classifier,
    Editor,
    Exchanging,
    bytes_of,
    effects_of,
    population_of,
)

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.editing import Composition
from diffexplain.effects.engine import denotes, others_of
from diffexplain.effects.estimation import LARGEST_RIVAL, PriorError
from diffexplain.effects.population import Images
from diffexplain.effects.regression import candidates, draw_state, screen
from diffexplain.effects.results import ConceptEffect, Effect, EffectsResult, Ranking, Verdict
from diffexplain.effects.verdicts import judge
from diffexplain.errors import UserError
from diffexplain.explainers import DiffEx, RandomisedPrompts
from diffexplain.runs.draws import Draws
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget

ALL = Classifier(lambda shows: 2 * shows(FLAG) + 2 * shows(DOG) - 2 * shows(SNOW) + 2 * shows(RED))
BASES = (BASE, frozenset({SNOW, RED}), frozenset({SEA, DOG}), frozenset({GRASS, RED, FLAG}))
ALONE = DiffEx(beam=0)
SCREEN = RandomisedPrompts(pictures=64, tested=3, pairs=0, others=0)


def found(ranking: Ranking) -> dict[tuple[str, ...], ConceptEffect]:
    return {concept.path: concept for concept in ranking.concepts}


def test_a_concept_is_called_by_its_effect_and_by_where_it_lies(tmp_path: Path) -> None:
    (ranking,) = effects_of(tmp_path, ALL, method=ALONE, editor=Editor(BASES), checks=Checks()).rankings
    verdicts = {path: concept.verdict for path, concept in found(ranking).items()}
    assert verdicts[FLAG] is Verdict.SPURIOUS  # drawn beside the pole
    assert verdicts[DOG] is Verdict.CORE  # drawn inside it
    assert verdicts[SNOW] is Verdict.SPURIOUS and found(ranking)[SNOW].over_all.score.value < 0
    assert verdicts[RED] is Verdict.APPEARANCE
    assert verdicts[TREE] is Verdict.NO_EFFECT
    assert found(ranking)[DOG].inside is not None


@pytest.mark.parametrize("spill", [2.0, -0.5, math.nan, math.inf])
def test_an_edit_that_is_no_picture_is_refused_with_its_range(tmp_path: Path, spill: float) -> None:
    with pytest.raises(UserError, match=r"finite and in \[0, 1\](.|\n)*values from "):
        effects_of(tmp_path, ALL, method=ALONE, editor=Editor(BASES, spill=spill))


def test_a_thing_that_is_never_seen_is_relevant_and_nothing_more(tmp_path: Path) -> None:
    (ranking,) = effects_of(tmp_path, ALL, method=ALONE, editor=Editor(BASES)).rankings
    flag = found(ranking)[FLAG]
    assert flag.verdict is Verdict.RELEVANT and flag.inside is None and flag.reason is not None


def test_the_object_is_tested_by_another_one_in_its_place(tmp_path: Path) -> None:
    editor = Exchanging(BASES)
    pole = _OfThePole()
    (ranking,) = effects_of(tmp_path, pole, method=ALONE, editor=editor, checks=Checks()).rankings
    itself = ranking.itself
    assert itself is not None and itself.effect is not None and itself.helps is True
    assert itself.effect.score.value == pytest.approx(1 / (1 + math.exp(-3)) - 0.5)
    assert itself.recognised is not None and itself.recognised.value == 1
    # It stands outside the ranking and the family of tests.
    assert all(concept.verdict is Verdict.NO_EFFECT for concept in ranking.concepts)


def test_an_object_that_cannot_be_exchanged_is_said_to_be_untested(tmp_path: Path) -> None:
    (ranking,) = effects_of(tmp_path, ALL, method=ALONE).rankings
    assert ranking.itself is not None and ranking.itself.effect is None and ranking.itself.helps is None
    assert ranking.itself.reason


def test_what_the_screen_left_out_is_not_tested_and_never_without_effect(tmp_path: Path) -> None:
    (ranking,) = effects_of(tmp_path, ALL, method=SCREEN, editor=Editor(BASES), checks=Checks()).rankings
    tested, left = set(found(ranking)), {one.path for one in ranking.untested}
    assert tested.isdisjoint(left) and tested | left == set(dict(HIERARCHY.concepts()))
    assert all(one.reason and one.screened is not None for one in ranking.untested)


def test_the_screen_is_not_what_is_reported(tmp_path: Path) -> None:
    result = effects_of(tmp_path, ALL, method=SCREEN, editor=Editor(BASES), checks=Checks())
    by_screen = effects_of(tmp_path / "all", ALL, method=ALONE, editor=Editor(BASES), checks=Checks())
    alone = found(by_screen.rankings[0])
    for path, concept in found(result.rankings[0]).items():
        assert concept.over_all.score == alone[path].over_all.score
        assert concept.screened is not None
    assert result.budget.screening == 64


def test_what_the_screen_left_out_may_be_tested_on_fewer_images(tmp_path: Path) -> None:
    method = replace(SCREEN, others=6)
    (ranking,) = effects_of(tmp_path, ALL, method=method, editor=Editor(BASES), checks=Checks()).rankings
    (chosen,) = effects_of(tmp_path / "0", ALL, method=SCREEN, editor=Editor(BASES), checks=Checks()).rankings
    images = {path: concept.over_all.n for path, concept in found(ranking).items()}
    assert ranking.untested == () and images.keys() == dict(HIERARCHY.concepts()).keys()
    assert images == {path: 12 if path in found(chosen) else 6 for path in images}
    # Whichever images a concept has, none of them chose it: of what moves the class all is called.
    assert {path for path, concept in found(ranking).items() if concept.over_all.significant} >= {FLAG, DOG, SNOW, RED}
    assert found(ranking)[TREE].verdict is Verdict.NO_EFFECT


def test_too_few_images_for_the_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"effects\.smallest=6") as refused:
        effects_of(tmp_path, ALL, method=replace(SCREEN, others=5))
    assert refused.value.given == "others=5"
    assert not (tmp_path / "effects").exists()


def test_concepts_that_come_first_are_tested_on_all_images_and_the_others_on_a_few(tmp_path: Path) -> None:
    population, _, engine = population_of(tmp_path, ALL)
    shares = engine.test(population, [FLAG], 6)
    assert shares.keys() == dict(HIERARCHY.concepts()).keys()
    assert shares[FLAG] == Images(range(12), tested=True, rivals=6)
    assert {path: those for path, those in shares.items() if path != FLAG} == {
        path: Images(range(6), tested=True, rivals=6) for path in shares if path != FLAG
    }
    assert engine.test(population, [FLAG], 0) == {FLAG: Images(range(12), tested=True, rivals=0)}
    assert engine.test(population, [], 100)[FLAG].indices == range(12)  # there are no more


def test_beyond_the_images_of_its_rivals_a_value_is_compared_with_the_one_that_is_drawn(tmp_path: Path) -> None:
    editor = Editor()  # All images show grass, which stands in the place of snow wherever one rival does.
    population, _, engine = population_of(tmp_path, Classifier(lambda shows: 2 * shows(GRASS)), editor=editor)
    shares = engine.test(population, [SNOW], 6)
    drop = 0.5 - 1 / (1 + math.exp(-2))
    # Of the rivals, grass and the sea, the classifier answers to one.
    expected = [drop / 2] * 6 + [drop] * 6
    assert engine.pairs(population, 0, SNOW, shares[SNOW]).score.tolist() == pytest.approx(expected)
    assert {index for index, state in editor.asked if SEA in state} == set(range(6))
    alone = engine.pairs(population, 0, SNOW, Images(range(12), tested=True, rivals=0))
    assert alone.score.tolist() == pytest.approx([drop] * 12)


def test_where_an_image_shows_the_value_its_rival_is_drawn_for_each_image(tmp_path: Path) -> None:
    classifier, editor = Classifier(lambda shows: 2 * shows(GRASS)), Editor((frozenset({SNOW, RED}),))
    population, _, engine = population_of(tmp_path, classifier, editor=editor, images=24)
    population.start(24)
    scores = engine.pairs(population, 0, SNOW, Images(range(24), tested=True, rivals=0)).score
    drop = 0.5 - 1 / (1 + math.exp(-2))
    drawn = dict(editor.asked)
    assert scores.tolist() == pytest.approx([drop if GRASS in drawn[index] else 0.0 for index in range(24)])
    assert {SEA in state for state in drawn.values()} == {True, False}


@pytest.mark.parametrize("method", [SCREEN, replace(SCREEN, others=6), DiffEx(search_images=12)], ids=str)
def test_a_control_reads_what_was_made_and_chooses_nothing(method: Any, tmp_path: Path) -> None:
    to_trees = Classifier(lambda shows: 3 * shows(TREE))
    settings: dict[str, Any] = {"method": method, "checks": Checks(), "images": 48, "policy": "halving"}
    alone = effects_of(tmp_path / "alone", ALL, editor=Editor(BASES), **settings)
    editor = Editor(BASES)
    both = effects_of(tmp_path / "both", ALL, editor=editor, control=to_trees, **settings)
    assert alone.control is None and both.control is not None
    # It is no ranking, is compared with nothing, and no image is made for it.
    assert replace(both, control=None) == alone
    control = found(both.control)
    assert both.control.classifier == "control" and both.control.combinations == ()
    assert {path: concept.over_all.n for path, concept in control.items()} == {
        path: concept.over_all.n for path, concept in found(both.rankings[0]).items()
    }
    assert all(concept.over_all.score.value == 0 for path, concept in control.items() if path != TREE)
    if TREE in control:
        assert control[TREE].over_all.score.value == pytest.approx(1 / (1 + math.exp(-3)) - 0.5)
    # Nothing was screened for it.
    assert all(one.screened is None for one in (*both.control.concepts, *both.control.untested))


def test_each_classifier_has_the_scores_of_its_own_screen(tmp_path: Path) -> None:
    other = Classifier(lambda shows: -2 * shows(FLAG))
    result = effects_of(tmp_path, ALL, other, method=replace(SCREEN, tested=1), editor=Editor(BASES))
    scores = [{one.path: one.screened for one in (*ranking.concepts, *ranking.untested)} for ranking in result.rankings]
    assert scores[0].keys() == scores[1].keys() == dict(HIERARCHY.concepts()).keys()
    assert scores[0][FLAG] is not None and scores[0][FLAG] > 2
    assert scores[1][FLAG] is not None and scores[1][FLAG] < -2
    assert scores[0][DOG] != scores[1][DOG]


@pytest.mark.parametrize("others", [0, 6])
def test_each_classifier_is_told_what_it_would_be_told_alone(others: int, tmp_path: Path) -> None:
    method = replace(SCREEN, tested=1, others=others)
    other = Classifier(lambda shows: 2 * shows(TREE) - shows(GRASS))

    def ranked(name: str, *classifiers: Classifier, control: Any = None) -> EffectsResult:
        return effects_of(
            tmp_path / name, *classifiers, method=method, editor=Editor(BASES), checks=Checks(), control=control
        )

    both = ranked("both", ALL, other, control=other)
    (first,), (second,) = ranked("first", ALL).rankings, ranked("second", other).rankings
    assert both.rankings == (first, replace(second, classifier="classifier 1"))
    # They are compared on, and the control reads, all that was made for either.
    every = {path for ranking in both.rankings for path in found(ranking)}
    assert {difference.path for difference in both.differences} == every
    assert both.control is not None and set(found(both.control)) == every
    most = {path: max(found(one)[path].over_all.n for one in both.rankings if path in found(one)) for path in every}
    assert {path: concept.over_all.n for path, concept in found(both.control).items()} == most


def test_a_resumed_screen_ends_with_equal_bytes(tmp_path: Path) -> None:
    whole = effects_of(tmp_path / "whole", ALL, method=SCREEN, editor=Editor(BASES), checks=Checks())
    with pytest.raises(KeyboardInterrupt):
        effects_of(tmp_path / "again", ALL, method=SCREEN, editor=Editor(BASES, stop_after=9), checks=Checks())
    assert effects_of(tmp_path / "again", ALL, method=SCREEN, editor=Editor(BASES), checks=Checks()) == whole
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "whole")


def test_photographs_have_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="explainer=diffex"):
        effects_of(tmp_path, ALL, method=SCREEN, given=torch.zeros(12, 3, 4, 4))


def test_regression_finds_what_moves_the_score_and_what_acts_together() -> None:
    composition, draws = Composition(HIERARCHY, "a flagpole"), Draws(0, "class:flagpole")
    states = [draw_state(composition, draws.generator("test", 0, index), 5, 2) for index in range(400)]

    def shown(path: tuple[str, ...]) -> np.ndarray:
        return np.asarray([composition.shows(state, path) for state in states], dtype=np.float64)

    noise = draws.generator("noise").standard_normal(400)
    result = screen(composition, states, [shown(FLAG) - 0.5 * shown(RED) + 2 * shown(TREE) * shown(SNOW) + 0.1 * noise])
    assert result.single[FLAG] > 5 and result.single[RED] < -3
    assert set(result.pairs[0][0]) == {TREE, SNOW}
    assert candidates(result, 1, 0) == [result.ordered()[0]]
    assert {TREE, SNOW} <= set(candidates(result, 1, 1))


def test_each_prompt_of_the_screen_names_as_many_words_as_objects_at_most() -> None:
    words = tuple(Concept(text, text, "word") for text in ("banner", "flag", "snow", "sea"))
    composition, draws = Composition(Hierarchy("", words), "a flagpole"), Draws(0, "class:flagpole")
    states = [draw_state(composition, draws.generator("test", 0, index), 5, 2) for index in range(200)]
    assert {len(state) for state in states} == {2}
    assert all(80 < sum(composition.shows(state, path) for state in states) < 120 for path in composition.words())
    assert len(draw_state(composition, draws.generator("test"), 5, 9)) == 4


def test_the_priors_error_is_known_of_the_prior_that_it_was_measured_on(tmp_path: Path) -> None:
    assert PriorError.load(tmp_path) is None
    (tmp_path / "effect_error.json").write_text(
        '{"absolute": {"object": 0.01, "setting": 0.03}, "relative": 0.1, "of_object": 0.2, "classifiers": 8, '
        '"effects": 352, "steps": 4}'
    )
    error = PriorError.load(tmp_path)
    assert error is not None and error.of("setting", 0.0) == (0.03, 0.03)
    assert error.of("object", 1.0) == pytest.approx((math.hypot(0.01, 0.1), 0.01))
    assert error.of("attribute", 0.0).measured == 0.03  # not calibrated: that of the worst
    for damaged in (
        "[]",
        "{}",
        '{"absolute": {}, "relative": 0, "of_object": 0, "classifiers": 0, "effects": 0, "steps": 4}',
    ):
        (tmp_path / "effect_error.json").write_text(damaged)
        with pytest.raises(UserError, match="effect_error"):
            PriorError.load(tmp_path)


def test_each_concept_has_the_priors_error_of_its_kind(tmp_path: Path) -> None:
    absolute = {"object": 0.01, "setting": 0.04, "attribute": 0.02, "sub-type": 0.03}
    error = PriorError(absolute, 0.0, 0.5, 8, 352, 4, of_rival=0.25)
    (ranking,) = effects_of(tmp_path, _OfThePole(), method=ALONE, editor=Exchanging(), error=error).rankings
    half = {path: (one.over_all.score.high - one.over_all.score.low) / 2 for path, one in found(ranking).items()}
    assert half[TREE] == pytest.approx(1.959964 * 0.01) and half[SNOW] == pytest.approx(1.959964 * 0.04)
    assert half[RED] == pytest.approx(1.959964 * 0.02) and half[STRIPED] == pytest.approx(1.959964 * 0.03)
    # A kind of a thing that moves the class, and of one that was not tested, may seem to differ from the others.
    (moved,) = effects_of(tmp_path / "moved", ALL, method=ALONE, editor=Editor(BASES), error=error).rankings
    flag, striped = (found(moved)[path].over_all.score for path in (FLAG, STRIPED))
    exact = effects_of(tmp_path / "moved", ALL, method=ALONE, editor=Editor(BASES)).rankings[0]
    sampling = found(exact)[STRIPED].over_all.score
    spread = 1.959964 * math.hypot(0.03, 0.5 * flag.value)
    assert (striped.high - striped.low) / 2 == pytest.approx(math.hypot((sampling.high - sampling.low) / 2, spread))
    # So may a value whose rival moves it.
    rivals = [one.over_all.score for path, one in found(moved).items() if path[:-1] == RED[:-1] and path != RED]
    sampling, red = (found(one)[RED].over_all.score for one in (exact, moved))
    spread = 1.959964 * math.hypot(0.02, 0.25 * min(LARGEST_RIVAL, max(abs(one.value) for one in rivals)))
    assert (red.high - red.low) / 2 == pytest.approx(math.hypot((sampling.high - sampling.low) / 2, spread))
    # Within 0.05 all of the interval, or more of it.
    assert found(ranking)[TREE].verdict is Verdict.NO_EFFECT and found(ranking)[SNOW].verdict is Verdict.UNDECIDED
    itself = ranking.itself
    assert itself is not None and itself.effect is not None
    assert (itself.effect.score.high - itself.effect.score.low) / 2 == pytest.approx(half[TREE])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.05, 0.05, Verdict.NO_EFFECT), (-0.06, 0.01, Verdict.UNDECIDED), (0.01, 0.06, Verdict.UNDECIDED)],
)
def test_no_effect_is_said_where_the_whole_interval_lies_within_the_bound(
    low: float, high: float, verdict: Verdict
) -> None:
    score = Estimate((low + high) / 2, low, high, 12)
    effect = Effect(score, None, score, 1.0, 1.0, False)
    assert judge(effect, "object", None, equivalence=0.05, of_class=True, is_setting_of_class=False) is verdict


@pytest.mark.parametrize(
    ("value", "inside", "verdict"),
    [
        (0.5, 0.1, Verdict.SPURIOUS),
        (0.5, 0.9, Verdict.CORE),
        (0.5, None, Verdict.RELEVANT),
        (-0.5, 0.1, Verdict.RELEVANT),
    ],
)
def test_a_word_that_lowers_may_have_taken_the_objects_place(
    value: float, inside: float | None, verdict: Verdict
) -> None:
    score = Estimate(value, value - 0.1, value + 0.1, 12)
    effect = Effect(score, None, score, 0.001, 0.001, True)
    share = None if inside is None else Estimate(inside, inside, inside, 12)
    assert judge(effect, "word", share, equivalence=0.05, of_class=True, is_setting_of_class=False) is verdict


def test_a_unit_is_counted_in_standard_deviations_of_neutral_pictures(tmp_path: Path) -> None:
    place = PLACES[TREE]
    unit = ResolvedTarget("unit", f"unit:pixels:{place}", "unit", module="pixels", channel=place)
    neutral = torch.zeros(8, 3, 4, 4)
    neutral[::2, 0].view(-1, 16)[:, place] = 1.0  # a tree in every second picture: 0.5 on average, 0.5 from it
    (ranking,) = effects_of(tmp_path, ALL, method=ALONE, target=unit, neutral=neutral).rankings
    tree, dog = found(ranking)[TREE], found(ranking)[DOG]
    assert tree.over_all.score.value == pytest.approx(2.0) and tree.verdict is Verdict.RAISES
    assert ranking.null_score.value == pytest.approx(-1.0)
    assert dog.over_all.score.value == 0 and dog.verdict is Verdict.NO_EFFECT


def test_what_stands_in_the_objects_place() -> None:
    assert others_of(POLE, ["flagpole", "bee", "dog_sled"]) == ("a bee", "a dog sled")
    assert len(others_of(POLE, ["flagpole", "no flagpole"])) > 2  # things of every day
    assert others_of(ResolvedTarget("unit", "unit:a:1", "unit", module="a", channel=1), ["bee", "kite"])


def test_a_class_may_be_named_after_a_setting() -> None:
    assert denotes("seashore", "on the seashore") and denotes("coral_reef", "by a coral reef")
    assert not denotes("flagpole", "by the sea") and not denotes(None, "by the sea")


class _OfThePole:
    """Answers to the pole's own pixel alone."""

    exclusive = True

    def __call__(self, images):  # type: ignore[no-untyped-def]
        logit = 3.0 * images[:, 2, 0, 0]
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)
