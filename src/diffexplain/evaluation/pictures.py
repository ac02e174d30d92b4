"""Pictures for the report's page, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetScores
from diffexplain.evaluation.results import Example
from diffexplain.segmentation.detections import Detections


def as_bytes(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def examples(
    images: Tensor,
    reading: TargetScores,
    activating: Sequence[int],
    detections: Detections | None,
    phrases: Sequence[str],
    limit: int,
) -> tuple[Example, ...]:
    """The first activating images, in seed order, filled up with images that do not activate.

    ``detections``: what was seen in the activating images, numbered by their place in ``activating``; None if nothing
    was looked for. ``phrases``: those whose masks are wanted.
    """
    others = [index for index in range(len(images)) if not reading.activates[index]]
    chosen = [*list(activating)[:limit], *others][:limit]
    result = []
    for place, index in enumerate(chosen):
        masks: dict[str, NDArray[np.bool_]] = {}
        if detections is not None and reading.activates[index] and place < detections.count:
            masks = {p: detections.region(place, p).numpy() for p in phrases if detections.shows(place, p)}
        score, activates = float(reading.score[index]), bool(reading.activates[index])
        result.append(Example(index, as_bytes(images[index]), score, activates, masks))
    return tuple(result)
