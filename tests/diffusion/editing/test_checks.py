"""Whether an edit took: seen by colour, where every pixel is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tests.evaluation.toy import BOXES, COLOURS, Prior, condition, pixels
from tests.evaluation.toy import Segmenter as Colours
from torch import Tensor

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.diffusion.editing.checks import SUBJECT, Checks, appeared, by_mask, by_similarity
from diffexplain.diffusion.editing.composition import Composition

FLAG, TREE, SNOW, GRASS = ("flag",), ("tree",), ("setting", "snow"), ("setting", "grass")
COMPOSITION = Composition(
    Hierarchy(
        "a pole",
        (
            Concept("flag", "a flag", "object"),
            Concept("tree", "a tree", "object"),
            Concept(
                "setting",
                "",
                "setting",
                (Concept("snow", "in the snow", "setting"), Concept("grass", "on the grass", "setting")),
            ),
        ),
    ),
    "a pole",
)


class Segmenter(Colours):
    """The toy's, with its presence."""

    def presence(self, images: Tensor, phrases: list[str]) -> Tensor:
        return (self.masks(images, phrases) > self.calibration.mask_threshold).float().mean(dim=(-2, -1))


def scene(*words: str) -> Tensor:
    latents = torch.zeros(1, 1, 2, len(COLOURS))
    return Prior().generate(condition(dict.fromkeys(words, 1.0)), latents)


def checks() -> Checks:
    return Checks(Segmenter())  # type: ignore[arg-type]


def test_objects_and_settings_are_seen() -> None:
    images = torch.cat([scene("a pole", "a flag", "in the snow"), scene("a pole", "a tree", "on the grass")])
    seen = checks().seen(COMPOSITION, images, [FLAG, TREE, SNOW, GRASS])
    assert seen.tolist() == [[True, False, True, False], [False, True, False, True]]
    assert checks().seen(COMPOSITION, images, []).shape == (2, 0)


def test_what_is_told_how() -> None:
    attributes = (Concept("red", "red", "attribute"), Concept("left", "on the left", "attribute"))
    coloured = Composition(Hierarchy("a pole", (*attributes, *COMPOSITION.hierarchy.roots)), "a pole")
    paths = [FLAG, SNOW, ("red",), ("left",)]
    assert [by_mask(coloured, path) for path in paths] == [True, False, False, False]
    assert [by_similarity(coloured, path) for path in paths] == [False, True, True, False]


def test_similarity_is_asked_with_the_subject_in_it() -> None:
    asked: list[str] = []

    def similarity(images: Tensor, texts: list[str]) -> Tensor:
        asked.extend(texts)
        return torch.tensor([[float(len(text)) for text in texts]]).expand(len(images), -1)

    segmenter = Segmenter()
    segmenter.similarity = similarity  # type: ignore[attr-defined]
    images = scene("a pole", "a flag", "in the snow")
    fits = Checks(segmenter).fits(COMPOSITION, images, [SUBJECT, SNOW])  # type: ignore[arg-type]
    assert asked == ["a pole", "a pole in the snow"]
    assert fits.tolist() == [[6.0, 18.0]]
    assert Checks(segmenter).fits(COMPOSITION, images, []).shape == (1, 0)  # type: ignore[arg-type]


def test_without_rivals_an_attribute_is_compared_with_the_bare_subject() -> None:
    alone = Composition(Hierarchy("a pole", (Concept("red", "red", "attribute"),)), "a pole")
    red = ("red",)
    assert appeared(alone, red, {SUBJECT: 0.2, red: 0.4}, {SUBJECT: 0.2, red: 0.3}) is True
    assert appeared(alone, red, {SUBJECT: 0.4, red: 0.4}, {SUBJECT: 0.2, red: 0.3}) is False
    assert appeared(alone, red, {red: 0.4}, {red: 0.3}) is None


def test_what_stays_within_the_concept_has_not_strayed() -> None:
    before, after = scene("a pole", "in the snow"), scene("a pole", "a flag", "in the snow")
    assert checks().strayed(COMPOSITION, before, after, [FLAG]).tolist() == [0.0]


def test_what_moves_elsewhere_has_strayed() -> None:
    before, after = scene("a pole", "in the snow"), scene("a pole", "a flag", "on the grass")
    moved = checks().strayed(COMPOSITION, before, after, [FLAG])
    change = np.abs(np.asarray(COLOURS["in the snow"]) - np.asarray(COLOURS["on the grass"])).mean()
    assert 0.8 * change < moved[0] <= change


def test_a_new_setting_may_change_all_but_the_subject() -> None:
    before, after = scene("a pole", "in the snow"), scene("a pole", "on the grass")
    assert checks().strayed(COMPOSITION, before, after, [SNOW, GRASS])[0] == 0
    gone = after.clone()
    gone[:, :, BOXES["a pole"][0], BOXES["a pole"][1]] = 0.0
    assert pixels(gone, "a pole").sum() == 0
    assert checks().strayed(COMPOSITION, before, gone, [SNOW])[0] > 0.4


def test_fog_may_lie_over_the_subject_in_another_setting_and_nowhere_else() -> None:
    class Sure(Segmenter):
        """Sees everything where it belongs, whatever its colour."""

        def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
            planes = torch.zeros(len(images), len(phrases), *images.shape[-2:])
            for place, phrase in enumerate(phrases):
                planes[:, place, BOXES[phrase][0], BOXES[phrase][1]] = 1.0
            return planes

    looking = Checks(Sure())  # type: ignore[arg-type]
    before = scene("a pole", "in the snow")
    foggy = 0.5 * before + 0.5 * torch.tensor([0.8, 0.8, 0.9])[:, None, None]
    assert looking.strayed(COMPOSITION, before, foggy, [SNOW])[0] < 1e-6
    assert looking.strayed(COMPOSITION, before, foggy, [FLAG])[0] > 0.05
