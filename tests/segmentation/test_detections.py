"""Looking for phrases in images."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tests.evaluation import toy
from torch import Tensor

from diffexplain.segmentation import detections
from diffexplain.segmentation.detections import detect


class Counted(toy.Segmenter):
    """Keeps how many images it was given at once."""

    def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        self.given = [*getattr(self, "given", []), len(images)]
        return super().masks(images, phrases)


def test_many_pixels_and_phrases_are_looked_at_in_fewer_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chances = toy.condition({"a pole": 0.5, "a flag": 0.5, "a tree": 0.5, "in the snow": 0.5})
    latents = torch.randn(7, *toy.Prior().latent_shape, generator=torch.Generator().manual_seed(0))
    images, phrases = toy.Prior().generate(chances, latents), ["a pole", "a flag", "a tree"]
    plenty, scarce = Counted(), Counted()
    expected = detect(plenty, images, phrases, 5)
    monkeypatch.setattr(detections, "AT_ONCE", 2 * len(phrases) * toy.SIZE**2)
    found = detect(scarce, images, phrases, 5)
    monkeypatch.setattr(detections, "AT_ONCE", 1)
    alone = detect(scarce, images, phrases, 5)
    assert (plenty.given, scarce.given) == ([5, 2], [2, 2, 2, 1] + [1] * 7)
    assert expected.regions
    for other in (found, alone):
        assert other.regions.keys() == expected.regions.keys()
        assert all(torch.equal(other.regions[place], region) for place, region in expected.regions.items())


class Halved(toy.Segmenter):
    """Makes its masks at half the size."""

    def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        return super().masks(images, phrases)[:, :, ::2, ::2]


def test_what_is_seen_in_smaller_masks_has_the_images_size() -> None:
    latents = torch.randn(3, *toy.Prior().latent_shape, generator=torch.Generator().manual_seed(0))
    images = toy.Prior().generate(toy.condition({"a pole": 0.5, "a flag": 0.5}), latents)
    whole, halved = (detect(segmenter, images, ["a pole", "a flag"], 5) for segmenter in (toy.Segmenter(), Halved()))
    assert whole.regions and halved.regions.keys() == whole.regions.keys()
    for place, region in whole.regions.items():
        assert halved.regions[place].shape == region.shape
        assert (halved.regions[place] == region).float().mean() > 0.7
