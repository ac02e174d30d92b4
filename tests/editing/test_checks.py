"""Whether an edit took: seen by colour, where every pixel is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tests.evaluation.toy import BOXES, COLOURS, Prior, Segmenter, condition, pixels
from torch import Tensor

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.editing.checks import SUBJECT, Checks, Look, appeared, by_mask, by_similarity
from diffexplain.editing.composition import Composition, Path

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


def scene(*words: str) -> Tensor:
    latents = torch.zeros(1, 1, 2, len(COLOURS))
    return Prior().generate(condition(dict.fromkeys(words, 1.0)), latents)


def look(images: Tensor, *paths: Path, segmenter: Any = None) -> Look:
    things = [path for path in paths if by_mask(COMPOSITION, path)]
    others = [path for path in paths if by_similarity(COMPOSITION, path)]
    return Checks(segmenter or Segmenter()).look(COMPOSITION, images, things, others)


def strayed(before: Tensor, after: Tensor, *paths: Path, segmenter: Any = None) -> float:
    (moved,) = look(after, *paths, segmenter=segmenter).strayed(look(before, *paths, segmenter=segmenter), paths)
    return float(moved)


def test_objects_and_settings_are_seen() -> None:
    images = torch.cat([scene("a pole", "a flag", "in the snow"), scene("a pole", "a tree", "on the grass")])
    shown = Checks(Segmenter()).look(COMPOSITION, images, [FLAG, TREE, SNOW, GRASS], [])  # type: ignore[arg-type]
    seen = {path: shown.seen(path).tolist() for path in (FLAG, TREE, SNOW, GRASS)}
    assert seen == {FLAG: [True, False], TREE: [False, True], SNOW: [True, False], GRASS: [False, True]}
    assert shown.rows([1]).seen(TREE).tolist() == [True]
    assert shown.fits(0) == {}


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
    fits = look(images, SNOW, segmenter=segmenter).fits(0)
    assert asked == ["a pole", "a pole in the snow"]
    assert fits == {SUBJECT: 6.0, SNOW: 18.0}


def test_an_image_is_encoded_once_for_all_of_its_masks() -> None:
    asked: list[list[str]] = []

    class Counting(Segmenter):
        def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
            asked.append(list(phrases))
            return super().masks(images, phrases)

    before = look(scene("a pole"), FLAG, TREE, SNOW, segmenter=Counting())
    after = look(scene("a pole", "a flag"), FLAG, segmenter=Counting())
    assert after.seen(FLAG).all() and after.inside(FLAG)[0] == 0 and np.isnan(before.inside(FLAG)[0])
    assert after.strayed(before, [FLAG])[0] == 0
    assert asked == [["a pole", "a flag", "a tree"], ["a pole", "a flag"]]


def test_without_rivals_an_attribute_is_compared_with_the_bare_subject() -> None:
    alone = Composition(Hierarchy("a pole", (Concept("red", "red", "attribute"),)), "a pole")
    red = ("red",)
    assert appeared(alone, red, {SUBJECT: 0.2, red: 0.4}, {SUBJECT: 0.2, red: 0.3}) is True
    assert appeared(alone, red, {SUBJECT: 0.4, red: 0.4}, {SUBJECT: 0.2, red: 0.3}) is False
    assert appeared(alone, red, {red: 0.4}, {red: 0.3}) is None


def test_what_stays_within_the_concept_has_not_strayed() -> None:
    before, after = scene("a pole", "in the snow"), scene("a pole", "a flag", "in the snow")
    assert strayed(before, after, FLAG) == 0.0


def test_what_moves_elsewhere_has_strayed() -> None:
    before, after = scene("a pole", "in the snow"), scene("a pole", "a flag", "on the grass")
    moved = strayed(before, after, FLAG)
    change = np.abs(np.asarray(COLOURS["in the snow"]) - np.asarray(COLOURS["on the grass"])).mean()
    assert 0.8 * change < moved <= change


def test_a_new_setting_may_change_all_but_the_subject() -> None:
    before, after = scene("a pole", "in the snow"), scene("a pole", "on the grass")
    assert strayed(before, after, SNOW, GRASS) == 0
    gone = after.clone()
    gone[:, :, BOXES["a pole"][0], BOXES["a pole"][1]] = 0.0
    assert pixels(gone, "a pole").sum() == 0
    assert strayed(before, gone, SNOW) > 0.4


def test_fog_may_lie_over_the_subject_in_another_setting_and_nowhere_else() -> None:
    class Sure(Segmenter):
        """Sees everything where it belongs, whatever its colour."""

        def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
            planes = torch.zeros(len(images), len(phrases), *images.shape[-2:])
            for place, phrase in enumerate(phrases):
                planes[:, place, BOXES[phrase][0], BOXES[phrase][1]] = 1.0
            return planes

    before = scene("a pole", "in the snow")
    foggy = 0.5 * before + 0.5 * torch.tensor([0.8, 0.8, 0.9])[:, None, None]
    assert strayed(before, foggy, SNOW, segmenter=Sure()) < 1e-6
    assert strayed(before, foggy, FLAG, segmenter=Sure()) > 0.05
