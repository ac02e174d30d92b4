"""What the segmenter sees: which phrases are in which images, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffexplain.evaluation.parts import SegmenterLike
from diffexplain.evaluation.vocabulary import Phrase

AT_ONCE = 2**29
"""Probabilities that are held at once at most: 2 GiB of them. It bounds memory where phrases and pixels are many."""


@dataclass(frozen=True)
class Sight:
    """Which phrases are seen in N images.

    ``regions``: for each phrase that an image shows, its pixels, (H, W) bool, under (image, phrase). Phrases
    that are not seen have none, which keeps this small: most phrases are absent from most images.
    """

    size: tuple[int, int]
    count: int
    regions: dict[tuple[int, str], Tensor]

    def shows(self, index: int, phrase: str) -> bool:
        """Whether the phrase is in the image."""
        return (index, phrase) in self.regions

    def showing(self, phrase: str) -> list[int]:
        """The images in which the phrase is seen, in their order."""
        return [index for index in range(self.count) if self.shows(index, phrase)]

    def region(self, index: int, phrase: str) -> Tensor:
        """(H, W) bool; empty where the phrase is not seen."""
        found = self.regions.get((index, phrase))
        return torch.zeros(self.size, dtype=torch.bool) if found is None else found


@torch.no_grad()
def look(
    segmenter: SegmenterLike,
    images: Tensor,
    phrases: Iterable[str],
    batch_size: int,
    device: torch.device,
) -> Sight:
    """Look for every phrase in every image (N, 3, H, W) in [0, 1]."""
    texts = list(dict.fromkeys(phrases))
    calibration = segmenter.calibration
    regions: dict[tuple[int, str], Tensor] = {}
    start = 0
    height, width = images.shape[-2:]
    fitting = AT_ONCE // (max(len(texts), 1) * height * width)
    for part in images.split(max(1, min(batch_size, fitting))):
        belongs = segmenter.masks(part.to(device), texts) > calibration.mask_threshold
        area = belongs.float().mean(dim=(-2, -1))
        for image, phrase in (area >= calibration.minimum_area).nonzero().tolist():
            region = belongs[image, phrase]
            if region.any():  # a minimum area of 0 must not make empty regions
                regions[start + image, texts[phrase]] = region.cpu()
        start += len(part)
    return Sight((height, width), len(images), regions)


def look_closer(
    segmenter: SegmenterLike,
    images: Tensor,
    sight: Sight,
    kinds: dict[str, list[str]],
    batch_size: int,
    device: torch.device,
) -> Sight:
    """Look for kinds of objects, given by object, in those images only that show the object."""
    regions = dict(sight.regions)
    for thing, phrases in kinds.items():
        places = sight.showing(thing)
        if places and phrases:
            closer = look(segmenter, images[places], phrases, batch_size, device)
            regions |= {(places[image], phrase): region for (image, phrase), region in closer.regions.items()}
    return Sight(sight.size, sight.count, regions)


def look_for(
    segmenter: SegmenterLike, images: Tensor, phrases: Sequence[Phrase], batch_size: int, device: torch.device
) -> Sight:
    """Look for every phrase in every image (N, 3, H, W) in [0, 1], for kinds of objects where the object is seen.

    Not for descriptions, which have no mask.
    """
    kinds: dict[str, list[str]] = {}
    for phrase in phrases:
        if phrase.kind == "attribute" and phrase.of is not None:
            kinds.setdefault(phrase.of, []).append(phrase.text)
    sight = look(segmenter, images, [phrase.text for phrase in phrases if phrase.of is None], batch_size, device)
    return look_closer(segmenter, images, sight, kinds, batch_size, device)
