"""Whether an object is in an image at all: by CLIP, with a threshold that comes from images with and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from diffexplain.segmentation import Segmenter
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson


@dataclass(frozen=True)
class Threshold:
    """A bound between two kinds of cases, and the shares of the cases it was found on that lie on their side of it.

    Attributes:
        value: a case counts as present at or above it.
        sensitivity: of present cases, share at or above.
        specificity: of absent cases, share below.
    """

    value: float
    sensitivity: Estimate
    specificity: Estimate


def youden_threshold(present: ArrayLike, absent: ArrayLike) -> Threshold:
    """The bound that maximises Youden's J = sensitivity + specificity - 1, in the middle between two scores; of equally
    good ones that between the scores farthest apart. ``present`` (N,) should lie above it, ``absent`` (M,) below.

    Raises:
        ValueError: one of them is empty, or not finite.
    """
    above, below = np.asarray(present, dtype=np.float64), np.asarray(absent, dtype=np.float64)
    scores = np.unique(np.concatenate([above, below]))
    if not len(above) or not len(below) or not np.isfinite(scores).all():
        raise ValueError("a threshold needs finite scores of cases of both kinds")
    # Below the lowest score everything counts as present: no middle, and the last choice.
    bounds = np.concatenate([[scores[0]], (scores[1:] + scores[:-1]) / 2])
    gaps = np.concatenate([[0.0], np.diff(scores)])
    right = np.array([(above >= bound).mean() + (below < bound).mean() for bound in bounds])
    best = max(range(len(bounds)), key=lambda index: (round(float(right[index]), 12), gaps[index]))
    value = float(bounds[best])
    return Threshold(
        value,
        wilson(int((above >= value).sum()), len(above)),
        wilson(int((below < value).sum()), len(below)),
    )


@torch.no_grad()
def fits(
    segmenter: Segmenter,
    images: Tensor,
    phrase: str,
    others: Sequence[str] = (),
    batch_size: int = 64,
) -> NDArray[np.float64]:
    """CLIP's cosine of each image (N, 3, H, W) in [0, 1] with the phrase, less that with the best of the others: (N,).

    Alone, a cosine depends more on what else is in the image.
    """
    texts = [phrase, *others]
    pieces = [segmenter.similarity(piece, texts).cpu() for piece in images.split(batch_size)]
    cosines = torch.cat(pieces).double()
    scores: NDArray[np.float64] = (cosines[:, 0] - (cosines[:, 1:].amax(dim=1) if others else 0)).numpy()
    return scores
