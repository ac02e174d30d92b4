"""What the segmenter sees: which phrases are in which images, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from diffexplain.segmentation.clipseg import Segmenter

AT_ONCE = 2**29
"""Probabilities that are held at once at most: 2 GiB of them. It bounds memory where phrases and pixels are many."""


@dataclass(frozen=True)
class Detections:
    """Which phrases are seen in N images.

    ``regions``: for each phrase that an image shows, its pixels, (H, W) bool, under (image, phrase). Phrases
    that are not seen have none, which keeps this small: most phrases are absent from most images.
    """

    size: tuple[int, int]
    count: int
    regions: Mapping[tuple[int, str], Tensor]

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

    def pixels(self, phrase: str) -> Tensor:
        """How many pixels of each image are the phrase's, (N,)."""
        regions = (self.regions.get((index, phrase)) for index in range(self.count))
        return torch.tensor([0 if region is None else int(region.sum()) for region in regions])

    def mask(self, phrase: str) -> Tensor:
        """The phrase's pixels in all images, (N, H, W) bool."""
        return torch.stack([self.region(index, phrase) for index in range(self.count)])

    def rows(self, places: Sequence[int]) -> Detections:
        """Those of some of the images alone, in the order of ``places``."""
        new = {place: row for row, place in enumerate(places)}
        regions = {(new[k], phrase): region for (k, phrase), region in self.regions.items() if k in new}
        return Detections(self.size, len(new), regions)


@torch.no_grad()
def detect(segmenter: Segmenter, images: Tensor, phrases: Iterable[str], batch_size: int) -> Detections:
    """Look for every phrase in every image (N, 3, H, W) in [0, 1]; an image is encoded once for all of them.

    What is seen is decided at the masks' own size, and only that is scaled to the images': most phrases are absent.
    """
    texts = list(dict.fromkeys(phrases))
    calibration = segmenter.calibration
    regions: dict[tuple[int, str], Tensor] = {}
    start = 0
    height, width = images.shape[-2:]
    fitting = AT_ONCE // (max(len(texts), 1) * height * width)
    for part in images.split(max(1, min(batch_size, fitting))):
        masks = segmenter.masks(part, texts)
        area = (masks > calibration.mask_threshold).float().mean(dim=(-2, -1))
        for image, phrase in (area >= calibration.minimum_area).nonzero().tolist():
            mask = masks[image, phrase]
            if mask.shape != (height, width):
                mask = functional.interpolate(mask[None, None], (height, width), mode="bilinear")[0, 0]
            region = mask > calibration.mask_threshold
            if region.any():  # a minimum area of 0 must not make empty regions
                regions[start + image, texts[phrase]] = region.cpu()
        start += len(part)
    return Detections((height, width), len(images), regions)
