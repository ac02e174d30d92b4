"""Phrases scored by the attribution that falls on what they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from diffexplain.segmentation.detections import Detections
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import mean_interval


@dataclass(frozen=True)
class ElementScore:
    """How much more attribution falls on an element than on as many pixels anywhere.

    Attributes:
        phrase: what the segmenter was asked for.
        lift: mean over the images that show it, with its 95 % interval; 1 is what chance gives, 0 is none. None where
            fewer than two images count.
    """

    phrase: str
    lift: Estimate | None

    @property
    def found(self) -> bool:
        """Whether the interval lies above chance."""
        return self.lift is not None and self.lift.low > 1


def element_scores(maps: Tensor, detections: Detections, phrases: Sequence[str]) -> list[ElementScore]:
    """The lift of each phrase: the share of an image's attribution inside the phrase's region over the share of pixels
    there, which is the mean attribution inside over that of the whole image.

    The first share is the relevance mass accuracy of Arras et al. 2022 (arXiv 2003.07258), elsewhere the energy-based
    pointing game of Wang et al. 2020 (arXiv 1910.01279). By itself it grows with the region, and settings, which are
    large, would come first whatever the classifier does. Only images that show the phrase count, since
    a mask of what is absent says nothing, and only those whose map is not empty.

    Args:
        maps: (N, H, W), not below 0, in any unit.
        detections: what the segmenter sees in these N images.
        phrases: what to score.
    """
    mass = maps.double().sum(dim=(1, 2)).tolist()
    pixels = maps[0].numel()
    scores = []
    for phrase in phrases:
        lifts = []
        for index in detections.showing(phrase):
            region = detections.region(index, phrase)
            if mass[index] > 0:
                inside = float(maps[index].cpu()[region].double().sum())
                lifts.append(inside / mass[index] / (int(region.sum()) / pixels))
        scores.append(ElementScore(phrase, mean_interval(lifts) if len(lifts) > 1 else None))
    return scores
