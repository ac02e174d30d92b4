"""A gate for regions: a segmenter marks something even where the object is not there, so its regions count where CLIP
sees the object too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.evaluation.presence import Threshold, fits, youden_threshold
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import Detections, detect


@dataclass(frozen=True)
class Gate:
    """When CLIP sees an object: `fits` is at least the threshold's value.

    Attributes:
        phrase: of the object.
        others: phrases that compete with it, such as those of the other classes.
        threshold: measured.
    """

    phrase: str
    others: tuple[str, ...]
    threshold: Threshold

    def opens(self, segmenter: Segmenter, images: Tensor, batch_size: int = 64) -> NDArray[np.bool_]:
        """In which of the images (N, 3, H, W) in [0, 1] CLIP sees the phrase: (N,)."""
        return fits(segmenter, images, self.phrase, self.others, batch_size) >= self.threshold.value


def calibrated_gate(
    segmenter: Segmenter,
    phrase: str,
    present: Tensor,
    absent: Tensor,
    others: Sequence[str] = (),
    batch_size: int = 64,
) -> Gate:
    """The gate of a phrase, from images (N, 3, H, W) in [0, 1] that show what it names and images that do not."""
    scores = [fits(segmenter, images, phrase, others, batch_size) for images in (present, absent)]
    return Gate(phrase, tuple(others), youden_threshold(*scores))


def look_gated(segmenter: Segmenter, images: Tensor, gate: Gate, batch_size: int = 64) -> Detections:
    """Where the segmenter sees the gate's phrase, in those images (N, 3, H, W) alone in which CLIP sees it too."""
    seen = gate.opens(segmenter, images, batch_size)
    found = detect(segmenter, images, [gate.phrase], batch_size)
    return Detections(found.size, found.count, {place: area for place, area in found.regions.items() if seen[place[0]]})
