"""Whether an edit took: seen by colour, where every pixel is known."""

from __future__ import annotations

import numpy as np
import torch
from tests.evaluation.toy import BOXES, COLOURS, Prior, condition, pixels
from tests.evaluation.toy import Segmenter as Colours
from torch import Tensor

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.diffusion.editing.checks import Checks
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


def test_without_similarity_nothing_is_said_about_the_subjects_attributes() -> None:
    coloured = Composition(
        Hierarchy("a pole", (Concept("red", "red", "attribute"), *COMPOSITION.hierarchy.roots)), "a pole"
    )
    assert [checks().judges(coloured, path) for path in (("red",), FLAG, SNOW)] == [False, True, True]


def test_similarity_decides_between_rivals_where_there_is_one() -> None:
    def likes_grass(images: Tensor, texts: list[str]) -> Tensor:
        return torch.tensor([[float(text == "on the grass") for text in texts]]).expand(len(images), -1)

    looking = Checks(Segmenter(), similarity=likes_grass)  # type: ignore[arg-type]
    images = scene("a pole", "a flag", "in the snow")
    assert looking.seen(COMPOSITION, images, [FLAG, SNOW, GRASS]).tolist() == [[True, False, True]]


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
