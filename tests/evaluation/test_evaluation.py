"""Whole evaluations of toy classifiers whose right verdicts are known by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from tests.evaluation import toy
from tests.evaluation.toy import EVERYTHING, SETTINGS, answers_to_flag, answers_to_pole, element, run
from torch import Tensor

from diffexplain.errors import UserError
from diffexplain.evaluation.results import Verdict
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.target import ResolvedTarget


def test_a_fair_classifier_has_nothing_spurious_and_its_object_is_core() -> None:
    found = run(answers_to_pole, EVERYTHING)
    assert found.having(Verdict.SPURIOUS) == ()
    assert [e.phrase for e in found.having(Verdict.CORE)] == ["a pole"]
    for phrase in ("a flag", "a tree", "in the snow"):
        assert element(found, phrase).verdict is Verdict.NOT_RELEVANT
        removal = element(found, phrase).removal
        assert removal is not None
        assert removal.drop.value == pytest.approx(0, abs=1e-6)
        assert removal.took.value == 1


def test_a_shortcut_is_spurious_and_first() -> None:
    found = run(answers_to_flag, EVERYTHING)
    flag = found.elements[0]
    assert flag.phrase == "a flag"
    assert flag.verdict is Verdict.SPURIOUS
    assert flag.removal is not None
    assert flag.removal.drop.value > 0.9
    assert flag.removal.drop.n == 20
    assert flag.removal.adjusted_p < 0.05
    assert flag.removal.blur_drop is not None
    assert flag.removal.blur_drop.value > 0.9
    assert flag.overlap is not None
    assert flag.overlap.value == 0
    # Activating images are those with a flag, no other image is: seen in all of them, never in neutral ones.
    assert flag.shown is not None
    assert flag.shown.value == 1
    assert flag.shown_neutral is not None
    assert flag.shown_neutral.value == 0
    assert flag.lift is not None
    assert flag.lift.value == 1
    assert element(found, "a pole").verdict is Verdict.NOT_RELEVANT
    assert found.object_absent is not None
    assert found.object_absent.value == 0


def test_an_element_without_any_effect_is_edited_half_as_often() -> None:
    removal = element(run(answers_to_pole, EVERYTHING), "a flag").removal
    assert removal is not None
    assert removal.drop.n == 10


def test_a_part_of_the_object_is_core() -> None:
    found = run(lambda there: 400 * there("a cap") - 3, EVERYTHING)
    cap = element(found, "a cap")
    assert cap.verdict is Verdict.CORE
    assert cap.overlap is not None
    assert cap.overlap.value == 1
    assert found.having(Verdict.SPURIOUS) == ()


def test_a_setting_is_exchanged_for_another() -> None:
    prior = toy.Prior()
    found = run(lambda there: 10 * there("in the snow") - 2, EVERYTHING, prior=prior)
    snow = found.elements[0]
    assert (snow.phrase, snow.verdict) == ("in the snow", Verdict.SPURIOUS)
    assert snow.removal is not None
    assert snow.removal.blur_drop is None
    assert {e.phrase for e in found.having(Verdict.SPURIOUS)} == {"in the snow"}
    exchanged = {text for text in prior.asked if "a pole" in text and "snow" not in text}
    assert any("on the grass" in text for text in exchanged)
    assert any("by the sea" in text for text in exchanged)


def test_an_object_that_is_never_there_is_reported_absent() -> None:
    found = run(answers_to_flag, {"a flag": 1.0, "on the grass": 1.0})
    assert found.object_absent is not None
    assert found.object_absent.value == 1
    assert found.object_absent.n == 40
    assert element(found, "a pole").verdict is Verdict.NOT_SEEN
    assert element(found, "a flag").verdict is Verdict.SPURIOUS


def test_too_few_activating_images_give_reasons_and_no_zero() -> None:
    found = run(lambda there: there("a pole") - 1, EVERYTHING)
    assert found.activating_images == 0
    assert found.found.share.value == 0
    assert found.object_absent is None
    assert found.object_absent_reason is not None
    assert "0 of 40" in found.object_absent_reason
    assert found.notes
    for one in found.elements:
        assert one.verdict is Verdict.UNDECIDED
        assert one.reason
        assert (one.shown, one.lift, one.overlap, one.removal) == (None, None, None, None)
    assert len(found.examples) == SETTINGS.examples
    assert not any(example.activates for example in found.examples)


def test_what_editing_itself_costs_does_not_count() -> None:
    # Every edit lowers the logit, whatever it removes: without the null edit all would be relevant.
    found = run(lambda there: 200 * there("a pole") - 5 - 12 * there("edited"), EVERYTHING)
    flag = element(found, "a flag")
    assert flag.removal is not None
    assert flag.removal.raw_drop.value > 0.3
    assert flag.removal.null_drop.value > 0.3
    assert flag.verdict is Verdict.NOT_RELEVANT


def test_an_element_that_the_prior_cannot_take_out_is_undecided() -> None:
    # To the pole a little, too: with a flag in every picture the answer would be the same to all.
    weigh: toy.Weigh = lambda there: answers_to_flag(there) + there("a pole")  # noqa: E731
    found = run(weigh, EVERYTHING, prior=toy.Prior(stubborn=["a flag"]))
    flag = element(found, "a flag")
    assert flag.verdict is Verdict.UNDECIDED
    assert flag.reason is not None
    assert "0 of 20" in flag.reason
    assert flag.removal is None


def answers_to_snow(there: Callable[[str], Tensor]) -> Tensor:
    return 10 * there("in the snow") - 2


def test_a_setting_is_exchanged_where_the_target_is_seen_if_it_is_seen_often_enough() -> None:
    sometimes = element(run(answers_to_snow, {**EVERYTHING, "a pole": 0.3, "a cap": 0.0}), "in the snow").removal
    never = element(run(answers_to_snow, {**EVERYTHING, "a pole": 0.0, "a cap": 0.0}), "in the snow").removal
    assert sometimes is not None
    assert never is not None
    assert SETTINGS.minimum_edits <= sometimes.took.n < SETTINGS.edited_images
    assert never.took.n == SETTINGS.edited_images


def test_an_exchange_that_costs_the_target_does_not_count() -> None:
    class Careless(toy.Prior):
        def inpaint(self, images: Tensor, masks: Tensor, prompts: Sequence[str] | Tensor, noise: Tensor) -> Tensor:
            assert not isinstance(prompts, Tensor)
            return self.generate([text.replace("a pole", "") for text in prompts], noise)

    snow = element(run(answers_to_pole, EVERYTHING, prior=Careless()), "in the snow")
    assert snow.verdict is Verdict.UNDECIDED
    assert "0 of 20" in str(snow.reason)


def test_what_neutral_images_show_more_often_is_not_tried() -> None:
    found = run(answers_to_pole, EVERYTHING, settings=replace(SETTINGS, neutral_text="a tree"))
    tree = element(found, "a tree")
    assert tree.verdict is Verdict.UNDECIDED
    assert tree.reason == "not tried: seen less often than in neutral images"


def test_kinds_are_tried_only_where_their_object_is_relevant() -> None:
    striped = {**EVERYTHING, "a flag": 0.0, "a striped flag": 1.0}
    fair = element(run(answers_to_pole, striped), "a striped flag")
    assert fair.verdict is Verdict.UNDECIDED
    assert fair.reason == "not tried: a flag was not found relevant itself"
    # Exchanged for a plain flag the probability falls only if the classifier asks for stripes.
    wants_stripes = element(run(lambda there: 200 * there("a striped flag") - 2, striped), "a striped flag")
    assert wants_stripes.verdict is Verdict.SPURIOUS
    any_flag = run(lambda there: 200 * (there("a striped flag") + there("a flag")) - 2, striped)
    assert element(any_flag, "a flag").verdict is Verdict.SPURIOUS
    assert element(any_flag, "a striped flag").verdict is Verdict.NOT_RELEVANT


def test_a_unit_has_a_threshold_and_no_verdicts_without_a_class() -> None:
    channel = toy.WORDS.index("a flag")
    unit = ResolvedTarget("unit", f"unit:layer:{channel}", f"unit-layer-{channel}", module="layer", channel=channel)
    found = run(answers_to_pole, EVERYTHING, target=unit)
    assert found.unit_threshold == 0
    assert found.found.share.value == pytest.approx(0.9, abs=0.1)
    assert [row.name for row in found.baselines] == ["neutral", "random words"]
    assert {e.verdict for e in found.elements} == {Verdict.UNDECIDED, Verdict.NOT_SEEN}
    assert all(e.reason for e in found.elements)
    assert element(found, "a flag").lift is not None
    assert found.object_absent is None

    with_class = replace(unit, class_index=0, class_name="pole")
    judged = run(answers_to_flag, EVERYTHING, target=with_class)
    assert element(judged, "a flag").verdict is Verdict.SPURIOUS


def test_baselines_and_words_find_the_flag() -> None:
    found = run(answers_to_flag, EVERYTHING)
    by_name = {row.name: row for row in found.baselines}
    assert list(by_name) == ["class name", "neutral", "random words"]
    assert by_name["class name"].text == "a photo of a pole"
    assert by_name["class name"].share.value == 0
    assert by_name["neutral"].share.n == 40
    assert found.words.best is not None
    assert found.words.best.text is not None
    assert "a flag" in found.words.best.text
    assert found.words.best.share.value == 1
    assert found.words.best.share.n == 8
    assert found.words.nearest == (("flag", "tree"), ("pole",))
    shares = [candidate.share.value for candidate in found.words.candidates]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 3 + 2


def test_examples_show_masks_and_edits() -> None:
    found = run(answers_to_flag, EVERYTHING)
    first = found.examples[0]
    assert first.activates
    assert first.image.shape == (toy.SIZE, toy.SIZE, 3)
    assert first.masks["a flag"].sum() == 100
    edit = next(edit for edit in found.edits if edit.phrase == "a flag")
    assert edit.score_without < 0.2 < 0.9 < edit.score_null
    assert not edit.mask[6:16, 14:18].any()  # the pole beside the flag is left alone


def test_the_same_seed_gives_the_same_evaluation_and_another_does_not() -> None:
    one, two = run(answers_to_flag, EVERYTHING), run(answers_to_flag, EVERYTHING)
    assert one.elements == two.elements
    assert one.words == two.words
    assert one.found == two.found
    other = run(answers_to_flag, EVERYTHING, seed=1)
    assert [example.index for example in other.examples] != [example.index for example in one.examples]


def test_images_of_a_broken_prior_are_refused() -> None:
    class Broken(toy.Prior):
        def generate(self, prompts: object, latents: Tensor) -> Tensor:
            return torch.full((len(latents), 3, toy.SIZE, toy.SIZE), torch.nan)

    with pytest.raises(ValueError, match="finite"):
        run(answers_to_flag, EVERYTHING, prior=Broken())


def test_without_words_or_candidates_the_search_says_so() -> None:
    found = run(answers_to_flag, EVERYTHING, settings=replace(SETTINGS, candidates=0))
    assert found.words.best is None
    assert found.words.reason == "no phrase was tried"


def test_quick_settings_go_through() -> None:
    found = run(answers_to_flag, EVERYTHING, settings=EvaluationSettings.quick())
    assert found.images_generated < 120


def test_of_a_classifier_that_answers_everything_alike_nothing_is_told() -> None:
    found = run(lambda there: 0 * there("a pole") + 3, EVERYTHING)
    assert found.same_answer is not None
    # Two logits, 3 and -3.
    assert found.same_answer.score == pytest.approx(1 / (1 + 2.718281828**-6), abs=1e-5)
    assert found.found.share.value == 1
    assert {e.verdict for e in found.elements} == {Verdict.UNDECIDED}
    assert found.words.best is None and found.object_absent is None
    assert run(answers_to_flag, EVERYTHING).same_answer is None


def test_an_answer_that_is_no_number_is_counted_and_its_prompt_named() -> None:
    def weigh(there: Callable[[str], Tensor]) -> Tensor:
        return torch.where(there("a tree") > 0, torch.nan, answers_to_flag(there))

    with pytest.raises(UserError, match=r"no finite answer to \d+ of 40 pictures") as caught:
        run(weigh, EVERYTHING)
    assert caught.value.given is not None and "found prompt" in caught.value.given
