"""Descriptions: what CLIP tells of images, and whole evaluations of toy classifiers that answer to the weather."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation import toy
from tests.evaluation.toy import SETTINGS, answers_to_pole, element
from torch import Tensor

from diffexplain.evaluation.described import exchanged, said, with_descriptions
from diffexplain.evaluation.results import Evaluation, Verdict
from diffexplain.evaluation.sight import Sight
from diffexplain.evaluation.vocabulary import Phrase, Vocabulary

FOG, RAIN = (Phrase(text, "description", of="weather") for text in ("in fog", "in the rain"))
LEFT, RIGHT = (Phrase(f"on the {side}", "description", of="position") for side in ("left", "right"))
VOCABULARY = Vocabulary((*toy.VOCABULARY.phrases, FOG, RAIN))
POLE = Phrase("a pole")
FOGGY = {"a pole": 1.0, "in the snow": 1.0, "in fog": 0.8}
CPU = torch.device("cpu")


def run(weigh: toy.Weigh, *words: str, **changes: Any) -> Evaluation:
    return toy.run(weigh, FOGGY, words=[[word] for word in words], vocabulary=VOCABULARY, **changes)


def answers_to_fog(there: Callable[[str], Tensor]) -> Tensor:
    return 100 * there("in fog") - 4


def test_what_a_classifier_answers_to_without_a_mask_is_spurious() -> None:
    fog = element(run(answers_to_fog), "in fog")
    assert (fog.kind, fog.of, fog.verdict) == ("description", "weather", Verdict.SPURIOUS)
    assert fog.overlap is None
    assert fog.shown is not None
    assert fog.shown.value == 1  # other images do not activate
    assert fog.removal is not None
    assert fog.removal.drop.value > 0.9
    assert fog.removal.took.value == 1
    assert fog.removal.blur_drop is None
    assert fog.removal.neutral_drop is None


def test_a_fair_classifier_does_not_answer_to_it() -> None:
    found = run(answers_to_pole)
    fog = element(found, "in fog")
    assert fog.verdict is Verdict.NOT_RELEVANT
    assert fog.removal is not None
    assert fog.removal.drop.value == pytest.approx(0, abs=1e-6)
    assert [e.phrase for e in found.having(Verdict.CORE)] == ["a pole"]


def test_its_images_show_the_target_so_described_or_otherwise_and_nothing_else_that_is_said() -> None:
    prior = toy.Prior()
    run(answers_to_fog, prior=prior)
    weather = {text for text in prior.asked if "fog" in text or "rain" in text}
    edits = {"a photo of a pole in fog", "a photo of a pole in the rain"}
    assert edits <= weather
    # The rest are phrases tried as prompts.
    assert all("pole" not in text for text in weather - edits)


def test_pairs_that_hide_the_target_do_not_count() -> None:
    """The prior draws no pole in the rain: what that does to the classifier is not the weather's doing."""

    class Hiding(toy.Prior):
        def _draw(self, drawn: Tensor) -> Tensor:
            rain = toy.WORDS.index("in the rain")
            words = ("a pole", "a cap")
            hidden = torch.tensor([word in words and bool(drawn[rain]) for word in toy.WORDS])
            return super()._draw(drawn & ~hidden)

    fog = element(run(answers_to_pole, "fog", prior=Hiding()), "in fog")
    assert fog.verdict is Verdict.UNDECIDED
    assert fog.reason is not None
    assert "in 0 of 20 images only" in fog.reason


def test_what_the_prompt_says_is_tried_though_it_is_not_seen() -> None:
    rain = element(run(answers_to_fog, "rain"), "in the rain")
    assert rain.shown is not None
    assert rain.shown.value == 0
    assert rain.verdict is Verdict.NOT_RELEVANT
    assert rain.removal is not None
    assert rain.removal.drop.value < -0.9
    assert element(run(answers_to_fog), "in the rain").removal is None


def test_no_more_are_tried_than_kinds_of_objects() -> None:
    found = run(answers_to_fog, "rain", settings=replace(SETTINGS, attributes_tried=1))
    fog = element(found, "in fog")
    assert fog.removal is None
    assert fog.reason == "not tried: 1 other descriptions came first"


def test_shown_is_what_lies_farthest_above_neutral_images() -> None:
    sight = Sight((2, 2), 3, {})
    fits = np.array([[0.9, 0.3], [0.9, 0.1], [0.7, 0.0]])
    neutral = np.array([[0.8, 0.1], [0.8, 0.1]])
    shown = with_descriptions(sight, fits, neutral, (FOG, RAIN))
    # 0.1 against 0.2; 0.1 against 0; neither is above what neutral images have.
    assert (shown.showing("in fog"), shown.showing("in the rain")) == ([1], [0])
    assert bool(shown.region(0, "in the rain").all())


def test_one_of_each_aspect_is_shown() -> None:
    shown = with_descriptions(Sight((2, 2), 1, {}), np.ones((1, 4)), np.zeros((1, 4)), (FOG, LEFT, RAIN, RIGHT))
    assert {text for _, text in shown.regions} == {"in fog", "on the left"}


def test_an_exchange_took_where_the_description_gained_more_than_the_other() -> None:
    drawn = toy.Prior().generate(
        [f"a pole {text}" for text in ("in fog", "in the rain", "in fog")], torch.zeros(3, 1, 2, 10)
    )
    foggy, rainy, again = drawn.unbind()
    null, without = torch.stack([foggy, foggy, rainy]), torch.stack([rainy, again, foggy])
    took = exchanged(toy.Segmenter(), null, without, VOCABULARY, POLE, FOG, [RAIN] * 3, 8, CPU)
    assert took.tolist() == [True, False, False]
    placed = exchanged(toy.Segmenter(), null, without, VOCABULARY, POLE, LEFT, [RIGHT] * 3, 8, CPU)
    assert placed.tolist() == [True] * 3


def test_words_say_descriptions() -> None:
    assert said(["Fog", "the", "tree"], Vocabulary((FOG, RAIN, LEFT))) == [FOG]
