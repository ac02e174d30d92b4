"""Descriptions: colour, pattern, size, place or weather of the main object, which have no mask of their own.

CLIP tells them, among those that exclude each other. Some words fit every image better than others, so a similarity
counts by what it is above that of neutral images, or above that of the same image with another description.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.evaluation.parts import SeeingSegmenter
from diffexplain.evaluation.sight import Sight
from diffexplain.evaluation.vocabulary import Phrase, Vocabulary, says_where


@torch.no_grad()
def similarities(
    segmenter: SeeingSegmenter,
    images: Tensor,
    vocabulary: Vocabulary,
    main: Sequence[Phrase],
    descriptions: Sequence[Phrase],
    batch_size: int,
    device: torch.device,
) -> NDArray[np.float64]:
    """Cosines of images (N, 3, H, W) in [0, 1] with the main object so described, (N, P)."""
    texts = [vocabulary.describe([*main, description]) for description in descriptions]
    parts = [segmenter.similarity(part.to(device), texts).double().cpu() for part in images.split(batch_size)]
    cosines: NDArray[np.float64] = torch.cat(parts).numpy()
    return cosines


def with_descriptions(
    sight: Sight, fits: NDArray[np.float64], neutral: NDArray[np.float64], descriptions: Sequence[Phrase]
) -> Sight:
    """The same sight with the descriptions that each image shows, each of the whole image.

    Shown is, of those that exclude each other, the one whose similarity lies farthest above its mean in neutral images,
    if it lies above.

    Args:
        fits: `similarities` of the images, (N, P).
        neutral: those of the neutral images, (M, P).
    """
    above = fits - neutral.mean(axis=0)
    everything = torch.ones(sight.size, dtype=torch.bool)
    regions = dict(sight.regions)
    for aspect in dict.fromkeys(phrase.of for phrase in descriptions):
        columns = [column for column, phrase in enumerate(descriptions) if phrase.of == aspect]
        for index, row in enumerate(above[:, columns]):
            best = int(row.argmax())
            if row[best] > 0:
                regions[index, descriptions[columns[best]].text] = everything
    return replace(sight, regions=regions)


def exchanged(
    segmenter: SeeingSegmenter,
    null: Tensor,
    without: Tensor,
    vocabulary: Vocabulary,
    main: Phrase,
    description: Phrase,
    others: Sequence[Phrase],
    batch_size: int,
    device: torch.device,
) -> NDArray[np.bool_]:
    """Whether from each image without it, which shows one of the ``others``, to the one with it the description gained.

    A place in the image is not told by CLIP: there every pair counts.

    Args:
        null: (N, 3, H, W) in [0, 1], as described.
        without: the same with another description each.
        others: N, those.
    """
    if says_where(description.said):
        return np.ones(len(null), dtype=np.bool_)
    descriptions = list(dict.fromkeys([description, *others]))
    there, gone = (
        similarities(segmenter, images, vocabulary, [main], descriptions, batch_size, device)
        for images in (null, without)
    )
    gained = there - gone
    rival = np.array([descriptions.index(other) for other in others])
    took: NDArray[np.bool_] = gained[:, 0] > gained[np.arange(len(gained)), rival]
    return took


def said(words: Iterable[str], vocabulary: Vocabulary) -> list[Phrase]:
    """The descriptions that one of the words says, in the vocabulary's order."""
    spoken = {phrase for word in words for phrase in vocabulary.said_with(word)}
    return [phrase for phrase in vocabulary.of_kind("description") if phrase in spoken]
