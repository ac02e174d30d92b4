"""How much attribution falls on what a phrase names, with maps and masks made by hand."""

from __future__ import annotations

import pytest
import torch
from tests.evaluation import toy
from torch import Tensor

from diffexplain.segmentation.detections import Detections, detect
from experiments.attribution import element_scores

FLAG, CAP, SNOW, TREE = "a flag", "a cap", "in the snow", "a tree"


def region(*rows: int) -> Tensor:
    """Whole rows of a picture of 4 x 4."""
    found = torch.zeros(4, 4, dtype=torch.bool)
    found[list(rows)] = True
    return found


SIGHT = Detections(
    (4, 4),
    3,
    {
        (0, FLAG): region(0),
        (1, FLAG): region(0, 1),
        (2, FLAG): region(3),
        (0, SNOW): region(0, 1, 2, 3),
        (1, SNOW): region(0, 1, 2, 3),
        (0, CAP): region(3),
    },
)


def maps() -> Tensor:
    """All in the first row; all in the second; nothing at all."""
    found = torch.zeros(3, 4, 4)
    found[0, 0], found[1, 1] = 5.0, 0.1
    return found


def test_lift_is_the_share_of_attribution_over_the_share_of_pixels() -> None:
    flag, snow = element_scores(maps(), SIGHT, [FLAG, SNOW])
    # All on a quarter of the pixels, all on half of them; the empty map says nothing.
    assert flag.lift is not None
    assert (flag.lift.value, flag.lift.n) == (3.0, 2)
    # The whole picture gets what chance gives.
    assert snow.lift is not None
    assert (snow.lift.value, snow.lift.low, snow.lift.n) == (1.0, 1.0, 2)
    assert not snow.found


def test_what_is_not_seen_in_two_images_has_no_score() -> None:
    cap, tree = element_scores(maps(), SIGHT, [CAP, TREE])
    assert cap.lift is None and tree.lift is None
    assert not cap.found and not tree.found


def test_found_is_what_lies_above_chance_with_its_interval() -> None:
    even = torch.ones(3, 4, 4)
    steady = even.clone()
    steady[:, [0, 1, 3]] = 2.0
    once = even.clone()
    once[0, 0] = 2.0

    def found(given: Tensor) -> bool:
        (score,) = element_scores(given, SIGHT, [FLAG])
        return score.found

    assert found(steady)
    assert not found(even)
    assert not found(once)


def test_the_unit_of_a_map_does_not_matter() -> None:
    (score,) = element_scores(maps(), SIGHT, [FLAG])
    (scaled,) = element_scores(maps() * torch.tensor([1.0, 1000.0, 1.0]).view(3, 1, 1), SIGHT, [FLAG])
    assert score.lift is not None and scaled.lift is not None
    assert scaled.lift.value == pytest.approx(score.lift.value)


def test_a_map_of_what_the_segmenter_sees_lifts_it_as_far_as_its_area_allows() -> None:
    pictures = toy.Prior().generate(
        toy.condition({"a flag": 1.0, "a tree": 1.0}), torch.zeros(2, *toy.Prior().latent_shape)
    )
    sight = detect(toy.Segmenter(), pictures, [FLAG, TREE], 2)
    flag, tree = element_scores(toy.pixels(pictures, FLAG).float(), sight, [FLAG, TREE])
    assert flag.lift is not None and tree.lift is not None
    assert flag.lift.value == pytest.approx(32 * 32 / 100)
    assert flag.found
    assert tree.lift.value == 0
