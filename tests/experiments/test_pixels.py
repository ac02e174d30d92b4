"""Which units look at the object itself, on a classifier whose features are colours and in boxes made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.errors import UserError
from diffexplain.evaluation.presence import fits, youden_threshold
from diffexplain.segmentation import Calibration
from diffexplain.segmentation.detections import Detections
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson
from diffexplain.target import Label, Labels
from experiments.attribution import GradCAM, IntegratedGradients
from experiments.hidden_units.gate import Gate, calibrated_gate, look_gated
from experiments.hidden_units.linear_head import linear_head, penultimate
from experiments.hidden_units.pixels import (
    PixelVerdict,
    label_unit,
    label_units,
    own_shares,
    pixel_verdict,
    unit_maps,
    unit_uses,
)

POLE, FLAG = (slice(2, 14), slice(2, 4)), (slice(2, 8), slice(8, 14))
"""Where the pole, in red, and the flag, in green, stand."""
LABELS = Labels("poles", (Label(0, "pole"), Label(1, "nothing")))


class Colours(nn.Module):
    """Its units are the amount of red, of green, and of what is not blue; "nothing" is what has little of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 1)
        self.body.weight.data = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]).view(3, 3, 1, 1)
        self.body.bias.data = torch.zeros(3)
        self.head = nn.Linear(3, 2)
        self.head.weight.data = torch.tensor([[2.0, 3.0, -1.0], [0.0, 0.0, 0.0]])
        self.head.bias.data = torch.tensor([0.0, 0.05])

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean(dim=(2, 3)))


class ColourSegmenter:
    """Sees a pole where the picture is red; its CLIP goes by the reddest pixel, of a flag by the greenest."""

    calibration = Calibration(mask_threshold=0.5, minimum_area=0.0)

    def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        assert list(phrases) == ["a pole"]
        return images[:, :1]

    def similarity(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        channels = ["a pole", "a flag"]
        return torch.stack([images[:, channels.index(phrase)].amax(dim=(1, 2)) for phrase in phrases], dim=1)


def classifier() -> Classifier:
    return Classifier(Colours(), LABELS, "poles", Preprocessing((16, 16), mean=[0.0] * 3, std=[1.0] * 3))


def picture(pole: float = 0.0, flag: float = 0.0) -> Tensor:
    image = torch.zeros(3, 16, 16)
    image[0][POLE], image[1][FLAG] = pole, flag
    return image


PICTURES = torch.stack([picture(1.0, 1.0), picture(0.9, 0.9), picture(1.0, 0.8), picture(0, 1.0), picture()])
ALWAYS = Gate("a pole", (), youden_threshold([0.7], [0.3]))


def test_the_threshold_tells_both_kinds_apart() -> None:
    found = youden_threshold(present=[0.6, 0.9, 0.8], absent=[0.1, 0.2])
    assert found.value == pytest.approx(0.4)
    assert (found.sensitivity.value, found.specificity.value) == (1.0, 1.0)
    # At 0.35 three of four and both: J = 0.75; at every other bound it is less.
    found = youden_threshold(present=[0.1, 0.4, 0.5, 0.6], absent=[0.2, 0.3])
    assert found.value == pytest.approx(0.35)
    assert (found.sensitivity.value, found.sensitivity.n, found.specificity.value) == (0.75, 4, 1.0)
    with pytest.raises(ValueError, match="both kinds"):
        youden_threshold([1.0], [])


def test_clip_closes_the_gate_on_what_the_segmenter_marks_all_the_same() -> None:
    present = torch.stack([picture(1.0), picture(0.9)])
    absent = torch.stack([picture(0.7), picture(0.0, 1.0)])
    segmenter = ColourSegmenter()
    gate = calibrated_gate(segmenter, "a pole", present, absent)
    assert gate.threshold.value == pytest.approx(0.8)
    sight = look_gated(segmenter, torch.cat([present, absent]), gate)
    assert sight.showing("a pole") == [0, 1]  # picture 2 has red pixels above the segmenter's own threshold
    assert int(sight.region(0, "a pole").sum()) == 24


def test_a_gate_may_ask_whether_it_is_rather_something_else() -> None:
    found = fits(ColourSegmenter(), torch.stack([picture(0.9, 0.2), picture(0.6, 1.0)]), "a pole", ["a flag"])
    assert found == pytest.approx([0.7, -0.4])


def test_shares_are_of_the_whole_map_and_0_where_the_object_is_not_seen() -> None:
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[POLE] = True
    sight = Detections((16, 16), 3, {(0, "a pole"): region, (2, "a pole"): region})
    maps = torch.zeros(3, 16, 16)
    maps[0][POLE], maps[0][FLAG] = 3.0, 1.0  # 24 pixels x 3 beside 36 x 1
    maps[1][POLE] = 1.0
    assert own_shares(maps, sight, "a pole") == pytest.approx([72 / 108, 0.0])  # the empty map says nothing


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.5, 0.6, PixelVerdict.CORE), (0.1, 0.3, PixelVerdict.SPURIOUS), (0.3, 0.5, PixelVerdict.MIXED)],
)
def test_the_interval_decides(low: float, high: float, verdict: PixelVerdict) -> None:
    assert pixel_verdict(Estimate((low + high) / 2, low, high, 9), bound=0.4) is verdict


def test_uses_are_the_strongest_units_with_the_images_in_which_they_add_most() -> None:
    network = classifier()
    head = linear_head(network)
    read = penultimate(network, head, PICTURES)
    assert read.assigned.argmax(axis=1).tolist() == [0, 0, 0, 0, 1]
    green, red = list(unit_uses(network, head, read, [0], top=2, images=2))
    assert (green.target.text, green.rank, green.weight) == ("unit:body:1@pole", 1, 3.0)
    assert green.images == (0, 3)
    assert (red.target.text, red.images) == ("unit:body:0@pole", (0, 2))


def test_each_unit_gets_its_verdict() -> None:
    for make in (GradCAM, lambda model: IntegratedGradients(model, steps=4)):
        green, red = label_units(
            classifier(), ColourSegmenter(), PICTURES, make, {0: ALWAYS}, bound=0.5, top=2, count=3
        )
        assert (green.verdict, red.verdict) == (PixelVerdict.SPURIOUS, PixelVerdict.CORE)
        assert green.share is not None
        assert red.share is not None
        assert (green.share.value, red.share.n) == (pytest.approx(0.0, abs=1e-3), 3)
        assert red.share.value == pytest.approx(1.0, abs=0.02)


def test_a_unit_that_speaks_against_the_class_is_mapped_where_it_is_low() -> None:
    network = classifier()
    head = linear_head(network)
    pictures = torch.stack([picture(1.0), picture(1.0)])
    pictures[:, 2][:, POLE[0], POLE[1]] = 1.0
    (blue,) = [use for use in unit_uses(network, head, penultimate(network, head, pictures), [0], 3) if use.weight < 0]
    up = IntegratedGradients(network, steps=4).maps(pictures, blue.target)
    assert up.sum() > 1e-3
    assert unit_maps(network, lambda model: IntegratedGradients(model, steps=4), pictures, blue).sum() == 0


def test_too_few_images_are_no_verdict() -> None:
    network = classifier()
    head = linear_head(network)
    use = next(unit_uses(network, head, penultimate(network, head, PICTURES), [0]))
    label = label_unit(use, np.array([0.9]), bound=0.5)
    assert (label.verdict, label.share) == (PixelVerdict.UNDECIDED, None)
    assert label.reason is not None
    assert label_unit(use, np.array([0.9, 0.8]), bound=0.5).verdict is not PixelVerdict.UNDECIDED


def test_features_that_are_no_means_have_no_targets() -> None:
    class FirstPixel(Colours):
        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.body(images)[:, :, 0, 0])

    network = Classifier(FirstPixel(), LABELS, "first", Preprocessing((16, 16), mean=[0.0] * 3, std=[1.0] * 3))
    head = linear_head(network)
    with pytest.raises(UserError, match="not the mean activation"):
        list(unit_uses(network, head, penultimate(network, head, PICTURES)))


def test_shares_with_intervals_come_from_the_same_counts() -> None:
    found = youden_threshold([0.9, 0.8, 0.1], [0.2, 0.3])
    assert found.sensitivity == wilson(2, 3)
