"""A mark over pictures: what it covers, and that the engine finds what it does to a network that answers to it."""

from __future__ import annotations

import pytest
import torch
from tests.tiny import tiny_images
from torch import Tensor, nn

from diffexplain.classifiers import Classifier, Preprocessing
from diffexplain.target import Label, Labels, Target
from experiments.watermark.make import effects, page
from experiments.watermark.mark import MARKS, OPACITY

NAMES = ("carton", "tench", "bee")
SIDE = 64


class Marked(nn.Module):
    """Answers to white pixels in the middle row, and to colours; counts what it reads."""

    read = 0

    def forward(self, images: Tensor) -> Tensor:
        self.read += len(images)
        white = images[:, :, SIDE // 2 - 4 : SIDE // 2 + 4].mean(dim=(1, 2, 3))
        return torch.stack([8 * white, *(2 * images[:, :2].mean(dim=(2, 3))).unbind(1)], dim=1)


@pytest.mark.parametrize("name", MARKS)
def test_a_mark_lies_across_the_middle_and_is_white_alone(name: str) -> None:
    cover = MARKS[name](SIDE)
    rows = cover.amax(dim=1)
    assert cover.shape == (SIDE, SIDE) and 0 <= cover.min() and cover.max() <= 1
    assert rows[SIDE // 2 - 2 : SIDE // 2 + 2].min() > 0.3 and rows[: SIDE // 4].max() == 0 == rows[-SIDE // 4 :].max()
    assert 0.5 * SIDE < (cover.amax(dim=0) > 0.3).sum() < SIDE


def test_the_engine_finds_the_class_that_answers_to_the_mark_and_reads_each_picture_once() -> None:
    network, labels = Marked(), Labels("three", tuple(Label(index, name) for index, name in enumerate(NAMES)))
    preprocessing = Preprocessing((SIDE, SIDE), mean=[0.0] * 3, std=[1.0] * 3)
    classifier = Classifier(network, labels, "marked", preprocessing)
    targets = [Target.parse(f"class:index:{index}").resolve(labels) for index in range(len(NAMES))]
    images = tiny_images(30, SIDE)
    found = effects(classifier, targets, images, MARKS["characters"](SIDE))
    assert network.read == 3 * len(images)  # As they are, as the null edit, and under the mark.
    carton, *others = (effect.log_odds for effect in found)
    assert carton is not None and carton.low > 0
    assert all(other is not None and other.high < 0 for other in others)
    said = page({"characters": found}, NAMES, len(images), "<folder>")
    assert "Log-odds rise clear of 0 for 1 of 3 classes" in said and f"{OPACITY:.0%} opaque" in said
    assert said.index("| 1 | carton |") < said.index("| 3 |")
