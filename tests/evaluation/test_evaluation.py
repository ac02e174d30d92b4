"""Whole evaluations of toy classifiers whose right answers are known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from tests.evaluation import toy
from tests.evaluation.toy import EVERYTHING, SETTINGS, answers_to_flag, answers_to_pole, run
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.concepts.vocabulary import Phrase
from diffexplain.config.configuration import compose
from diffexplain.config.instantiate import build
from diffexplain.errors import UserError
from diffexplain.evaluation.evaluation import SAME_ANSWER
from diffexplain.evaluation.results import ObjectAbsence
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson
from diffexplain.target import ResolvedTarget

FLAG, SNOW = Phrase("a flag", companion=True), Phrase("in the snow", "setting")


class Careless(toy.Prior):
    """Of every two pictures of a text it draws what the text says in the first alone."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
        images = super().generate(prompts, latents)
        if not isinstance(prompts, Tensor) and self.word in prompts[0]:
            images[1::2] = super().generate(["a photo"], latents)[1::2]
        return images


class Wishful(toy.Prior):
    """Draws a pole where nothing is asked for, in every second picture."""

    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
        images = super().generate(prompts, latents)
        if not isinstance(prompts, Tensor) and list(prompts) == ["a photo"]:
            images[1::2] = super().generate(["a photo of a pole"], latents)[1::2]
        return images


def test_an_object_that_is_always_there_is_absent_from_none() -> None:
    absence = run(answers_to_flag, EVERYTHING).object_absence
    assert absence.reason is None
    assert absence.share is not None and absence.share.value == 0
    # Of 40 pictures of each kind half set the bound; the others say how well the object is seen.
    assert absence.sensitivity == absence.specificity == wilson(20, 20)


def test_an_object_that_is_never_there_is_reported_absent() -> None:
    absence = run(answers_to_flag, {"a flag": 1.0, "on the grass": 1.0}).object_absence
    assert absence.share == wilson(40, 40)
    assert absence.sensitivity == absence.specificity == wilson(20, 20)


def test_absence_is_of_activating_images_alone() -> None:
    settings = replace(SETTINGS, examples=SETTINGS.images)
    found = run(answers_to_flag, {"a flag": 0.8, "a pole": 0.4}, settings=settings)
    without = [not (example.image[20:30, 14:18] == 128).all() for example in found.examples if example.activates]
    assert 0 < sum(without) < len(without) < SETTINGS.images
    assert found.object_absence.share == wilson(sum(without), len(without))


def test_how_well_the_object_is_seen_is_measured_on_pictures_that_did_not_set_the_bound() -> None:
    missed = run(answers_to_flag, EVERYTHING, prior=Careless("a pole")).object_absence
    assert (missed.sensitivity, missed.specificity) == (wilson(0, 20), wilson(20, 20))
    taken = run(answers_to_flag, EVERYTHING, prior=Wishful()).object_absence
    assert (taken.sensitivity, taken.specificity) == (wilson(20, 20), wilson(0, 20))


def test_the_object_is_told_from_other_ones() -> None:
    # A tree fits as well as the pole does: what shows both is not told to show the pole.
    both = {"a flag": 1.0, "a pole": 1.0, "a tree": 1.0}
    assert run(answers_to_flag, both).object_absence.share == wilson(0, 40)
    assert run(answers_to_flag, both, others=["a tree"]).object_absence.share == wilson(40, 40)


def test_too_few_activating_images_give_reasons_and_no_zero() -> None:
    found = run(lambda there: there("a pole") - 1, EVERYTHING)
    assert found.activating_images == 0
    assert found.found.share.value == 0
    absence = found.object_absence
    assert (absence.share, absence.sensitivity, absence.specificity) == (None, None, None)
    assert absence.reason is not None and "0 of 40" in absence.reason
    assert len(found.examples) == SETTINGS.examples
    assert not any(example.activates for example in found.examples)


def test_a_unit_has_a_threshold_and_no_object_without_a_class() -> None:
    channel = toy.WORDS.index("a flag")
    unit = ResolvedTarget("unit", f"unit:layer:{channel}", f"unit-layer-{channel}", module="layer", channel=channel)
    found = run(answers_to_pole, EVERYTHING, target=unit)
    assert found.unit_threshold == 0
    assert found.found.share.value == pytest.approx(0.9, abs=0.1)
    assert [row.name for row in found.baselines] == ["neutral", "random words"]
    assert found.object_absence.share is None and found.object_absence.reason == unit.no_object

    of_class = run(answers_to_flag, EVERYTHING, target=replace(unit, class_index=0, class_name="pole"))
    assert isinstance(of_class.object_absence.share, Estimate)


def test_a_units_scale_is_that_of_neutral_pictures() -> None:
    channel = toy.WORDS.index("a flag")
    unit = ResolvedTarget("unit", f"unit:layer:{channel}", f"unit-layer-{channel}", module="layer", channel=channel)
    reader = TargetReader(toy.Classifier(answers_to_flag), unit, 16, torch.device("cpu"))
    latents = torch.zeros(8, *toy.Prior().latent_shape)
    pictures = [toy.Prior().generate([text], latents) for text in ("a photo", "a flag")]
    calibrated = reader.calibrated(torch.cat([pictures[0][:6], pictures[1][:2]]))
    # A quarter of the neutral pictures shows a flag: 0.25 of it on average, sqrt(3) / 4 from that.
    without, present = (calibrated.read(some).score for some in pictures)
    assert without.tolist() == pytest.approx([-0.25 / (3**0.5 / 4)] * 8)
    assert present.tolist() == pytest.approx([0.75 / (3**0.5 / 4)] * 8)
    assert calibrated.threshold == pytest.approx(0.75 / (3**0.5 / 4))
    alike = reader.calibrated(pictures[1])  # these do not vary: the unit is counted as it is
    assert (alike.deviation, alike.threshold) == (1.0, 0.0)


def test_words_that_are_tried_are_the_classes_own_what_raises_it_and_the_nearest() -> None:
    settings = replace(SETTINGS, candidates=8, pairs_of_phrases=0)
    prior = toy.Prior()
    words = run(answers_to_flag, words=[["cloud"]], raising=[FLAG, SNOW], settings=settings, prior=prior).words
    texts = ("a photo of a pole", "a photo of something with a flag", "a photo in the snow", "a photo of cloud")
    assert {candidate.text for candidate in words.candidates} == set(texts)
    assert set(texts) <= set(prior.asked)
    assert words.best is not None and words.best.text == texts[1] and words.best.share.value == 1
    # Where nothing raises it, the class's own phrase is tried all the same.
    alone = run(answers_to_flag, words=[["cloud"]], settings=settings).words
    assert {candidate.text for candidate in alone.candidates} == {texts[0], texts[3]}


def test_masks_are_shown_of_what_raises_the_target_and_of_nothing_else() -> None:
    fog = Phrase("in fog", "attribute", of="weather")
    found = run(answers_to_flag, EVERYTHING, raising=[FLAG, fog])
    first = found.examples[0]
    assert first.activates
    assert first.image.shape == (toy.SIZE, toy.SIZE, 3)
    assert first.masks.keys() == {"a flag"}  # a description has no mask of its own
    assert first.masks["a flag"].sum() == 100
    assert all(not example.masks for example in found.examples if not example.activates)
    assert all(not example.masks for example in run(answers_to_flag, EVERYTHING).examples)


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


def test_the_same_seed_gives_the_same_evaluation_and_another_does_not() -> None:
    one, two = run(answers_to_flag, EVERYTHING), run(answers_to_flag, EVERYTHING)
    assert one.object_absence == two.object_absence
    assert one.words == two.words
    assert one.found == two.found
    other = run(answers_to_flag, EVERYTHING, seed=1)
    assert [example.index for example in other.examples] != [example.index for example in one.examples]


@pytest.mark.parametrize(
    ("value", "said"),
    [(math.nan, "nan to nan"), (math.inf, "to inf"), (-1.0, "from -1 to"), (255.0, "to 255")],
)
def test_images_of_a_broken_prior_are_refused_with_their_range(value: float, said: str) -> None:
    class Broken(toy.Prior):
        def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
            images = super().generate(prompts, latents)
            images[0, 1, 2, 3] = value
            return images

    with pytest.raises(UserError, match=f"1 of .*finite and in \\[0, 1\\](.|\n)*{said}.*for a picture of the prior's"):
        run(answers_to_flag, EVERYTHING, prior=Broken())


def test_a_prior_that_draws_one_grey_for_everything_leaves_nothing_to_be_told() -> None:
    class Grey(toy.Prior):
        def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
            return torch.full((len(latents), 3, toy.SIZE, toy.SIZE), 0.5)

    found = run(answers_to_flag, EVERYTHING, prior=Grey())
    assert found.object_absence.share is None and found.object_absence.reason
    assert found.words.best is None or found.words.reason
    assert found.same_answer is not None


def test_without_candidates_the_search_says_so() -> None:
    found = run(answers_to_flag, EVERYTHING, settings=replace(SETTINGS, candidates=0))
    assert found.words.best is None
    assert found.words.reason == "no phrase was tried"


def test_quick_settings_go_through() -> None:
    found = run(answers_to_flag, EVERYTHING, settings=build(compose(["evaluation=quick"])["evaluation"]))
    assert found.images_generated < 120


def test_of_a_classifier_that_answers_everything_alike_nothing_is_told() -> None:
    found = run(lambda there: 0 * there("a pole") + 3, EVERYTHING)
    assert found.same_answer is not None
    # Two logits, 3 and -3.
    assert found.same_answer.score == pytest.approx(1 / (1 + 2.718281828**-6), abs=1e-5)
    assert found.found.share.value == 1
    assert found.words.best is None and found.words.reason == SAME_ANSWER
    assert found.object_absence == ObjectAbsence(None, SAME_ANSWER)
    assert run(answers_to_flag, EVERYTHING).same_answer is None


def test_an_answer_that_is_no_number_is_counted_and_its_prompt_named() -> None:
    def weigh(there: Callable[[str], Tensor]) -> Tensor:
        return torch.where(there("a tree") > 0, torch.nan, answers_to_flag(there))

    with pytest.raises(UserError, match=r"no finite answer to \d+ of 40 pictures") as caught:
        run(weigh, EVERYTHING)
    assert caught.value.given is not None and "found prompt" in caught.value.given
