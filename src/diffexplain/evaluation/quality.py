"""How good and how varied the images of a prompt are, by the CLIP that the segmenter is made of.

CLIP-IQA (Wang et al. 2022, arXiv 2207.12396) asks which of two texts an image fits better; the pairs are those of the
papers. The kernel distance is that of KID (Binkowski et al. 2018, arXiv 1801.01401) on CLIP's features in place of
Inception's, whose weights are not among ours, as in CMMD (Jayasumana et al. 2023): its values are not comparable with
published KIDs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from diffexplain.evaluation.image_source import PURPOSE, Seeds
from diffexplain.evaluation.results import Quality
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.segmentation import Segmenter
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import CONFIDENCE, bootstrap_mean, mean_interval

QUALITY = ("Good photo.", "Bad photo.")
SEMANTIC = ("Good photo of {}.", "Bad photo of {}.")
SCALE = 100.0
"""Of the cosines before the softmax, CLIP's own and CLIP-IQA's."""
LEAST = 3
"""Images that a distance needs: one of them is left out at a time."""


@torch.no_grad()
def features_of(clip: Segmenter, images: Tensor, settings: EvaluationSettings) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] as unit vectors (N, D) on the CPU, in double precision."""
    parts = [clip.image_features(part).double().cpu() for part in images.split(settings.batch_size)]
    return torch.cat(parts)


def quality(
    name: str,
    text: str | None,
    features: Tensor,
    reference: Tensor | None,
    clip: Segmenter,
    class_phrase: str | None,
    draws: Draws,
    settings: EvaluationSettings,
) -> Quality:
    """What is measured of one prompt's images, from their features (N, D).

    ``reference``: features (M, D) of photographs that they are compared with, if there are any. ``class_phrase``: the
    class with its article; None for a unit without one.
    """
    strange = sorted({word for pair in QUALITY for word in _words(pair) if not clip.knows(word)})
    reason = None
    if strange:
        reason = f"CLIP-IQA was not measured: this CLIP does not know {' and '.join(strange)}"

    def preferred(pair: Sequence[str]) -> Estimate:
        values = preferences(features, clip.text_features(pair).double().cpu())
        return bootstrap_mean(values, draws.generator(PURPOSE, Seeds.BOOTSTRAP), settings.resamples)

    semantic = None if class_phrase is None else [pattern.format(class_phrase) for pattern in SEMANTIC]
    return Quality(
        name=name,
        text=text,
        clip_iqa=None if strange else preferred(QUALITY),
        semantic_clip_iqa=None if strange or semantic is None else preferred(semantic),
        diversity=diversity(features) if len(features) >= LEAST else None,
        kernel_distance=kernel_distance(features, reference) if reference is not None else None,
        reason=reason,
    )


def preferences(features: Tensor, pair: Tensor) -> NDArray[np.float64]:
    """How much rather the first text of a pair (2, D) than the second is said of images (N, D): (N,) in [0, 1]."""
    values: NDArray[np.float64] = (SCALE * features @ pair.T).softmax(dim=1)[:, 0].numpy()
    return values


def diversity(features: Tensor) -> Estimate:
    """Mean of 1 - cosine over all pairs of images (N, D), N at least 3; 0: all are alike."""
    count = len(features)
    apart = 1 - features @ features.T

    def mean(kept: Tensor) -> float:
        size = int(kept.sum())
        inside = apart[kept][:, kept]
        return float((inside.sum() - inside.trace()) / (size * (size - 1)))

    return _jackknifed(mean, count)


def kernel_distance(features: Tensor, reference: Tensor) -> Estimate | None:
    """Squared maximum mean discrepancy of images and reference, KID's cubic kernel, as many of both; may be below 0.

    None if there are too few.
    """
    count = min(len(features), len(reference))
    if count < LEAST:
        return None
    return _jackknifed(lambda kept: float(poly_mmd(reference[:count][kept], features[:count][kept])), count)


def _jackknifed(statistic: Callable[[Tensor], float], count: int) -> Estimate:
    """The statistic of all images, with the interval of the jackknife: images are drawn, not pairs of them."""
    everyone = torch.ones(count, dtype=torch.bool)
    value = statistic(everyone)
    without = [statistic(everyone.index_fill(0, torch.tensor(index), False)) for index in range(count)]
    pseudo = count * value - (count - 1) * np.asarray(without)
    interval = mean_interval(pseudo, CONFIDENCE)
    half = (interval.high - interval.low) / 2
    return Estimate(value, value - half, value + half, count)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
