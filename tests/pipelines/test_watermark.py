"""A mark over pictures: what it covers, and that the engine finds what it does to a network that answers to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.tiny import tiny_images
from torch import Tensor, nn

from diffexplain.classifiers import Classifier, Preprocessing
from diffexplain.editing.watermark import MARKS, OPACITY
from diffexplain.effects.results import Effect
from diffexplain.errors import UserError
from diffexplain.pipelines.watermark import effects, found_in, meaning, page
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import Label, Labels, Target

NAMES = ("carton", "tench", "bee")
COUNT = 30
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


@pytest.fixture(scope="module")
def found() -> tuple[Marked, Labels, list[Effect]]:
    network, labels = Marked(), Labels("three", tuple(Label(index, name) for index, name in enumerate(NAMES)))
    preprocessing = Preprocessing((SIDE, SIDE), mean=[0.0] * 3, std=[1.0] * 3)
    classifier = Classifier(network, labels, "marked", preprocessing)
    targets = [Target.parse(f"class:index:{index}").resolve(labels) for index in range(len(NAMES))]
    return network, labels, effects(classifier, targets, tiny_images(COUNT, SIDE), MARKS["characters"](SIDE))


def test_the_engine_finds_the_class_that_answers_to_the_mark_and_reads_each_picture_once(
    found: tuple[Marked, Labels, list[Effect]],
) -> None:
    network, _, of_classes = found
    assert network.read == 3 * COUNT  # As they are, as the null edit, and under the mark.
    carton, *others = (effect.log_odds for effect in of_classes)
    assert carton is not None and carton.low > 0
    assert all(other is not None and other.high < 0 for other in others)


@pytest.mark.parametrize(
    ("names", "order", "meant"),
    [
        (NAMES, (0, 1, 2), "It raises carton more than any other class: the known shortcut"),
        (("tench", "carton", "bee"), (0, 1, 2), "It lowers carton: the known shortcut is not seen"),
        (("safe", "carton", "bee"), (0, 0, 2), "It raises carton, and 1 class more than that"),
        (("tench", "bee", "ant"), (2, 1, 0), "Of all classes it moves ant most, which it raises"),
    ],
)
def test_what_the_answer_means_is_said(
    found: tuple[Marked, Labels, list[Effect]], names: tuple[str, ...], order: tuple[int, ...], meant: str
) -> None:
    labels = Labels("three", tuple(Label(index, name) for index, name in enumerate(names)))
    text = "\n".join(page({"characters": [found[2][place] for place in order]}, "marked", labels, COUNT))
    assert meant in text and f"{OPACITY:.0%} opaque" in text and f"{COUNT} photographs as `marked` reads them" in text
    assert ("no answer is known beforehand" in text) is ("carton" not in names)


def test_what_few_photographs_do_not_tell_is_not_said() -> None:
    odds = [Estimate(0.5, -0.1, 1.1, 4), Estimate(0.2, 0.1, 0.3, 4)]
    assert meaning(odds, [0, 1], ("carton", "bee"), 0) == (
        "Undecided: 4 photographs do not tell whether the mark raises or lowers carton."
    )


def test_mistakes_are_named_before_a_classifier_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Name a folder of photographs"):
        found_in("classifier=resnet50")
    with pytest.raises(UserError, match="resnet50"):
        found_in(str(tmp_path), "classifier=resnet5")
    with pytest.raises(UserError, match="no file in this folder"):
        found_in(str(tmp_path))
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match="at least 6 photographs"):
        found_in(str(tmp_path))
