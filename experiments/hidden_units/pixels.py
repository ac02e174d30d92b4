"""Core or spurious, by pixels: how much of a unit's attribution lies inside the target's own mask.

For a unit that a class uses, the images predicted as the class that activate the unit most are taken, as in Salient
ImageNet (Singla & Feizi 2022, arXiv 2110.04301). An attribution map of each is compared with the region in which the
segmenter, behind `Gate`, sees the object. Neither the gate nor the bound of the verdict is chosen by hand: both come
from cases whose answer is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.errors import UserError
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import Detections
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import mean_interval
from diffexplain.target import ResolvedTarget, Target
from experiments.attribution import Attribution
from experiments.hidden_units.gate import Gate, look_gated
from experiments.hidden_units.linear_head import LinearHead, Penultimate, linear_head, penultimate, top_features

LEAST = 2
"""Images of which an interval can be made."""


class PixelVerdict(StrEnum):
    """What a unit looks at. Mixed: its mean share cannot be told from the bound, as where it looks at both."""

    CORE = "core"
    SPURIOUS = "spurious"
    MIXED = "mixed"
    UNDECIDED = "undecided"  # too few images; the reason says so


@dataclass(frozen=True)
class UnitUse:
    """A unit that a class uses, and the images that show how.

    Attributes:
        target: ``unit:<module>:<channel>@<class>``.
        rank: among the class's units by mean activation x weight, from 1.
        weight: of the unit's activation in the class's logit.
        images: positions of those images, predicted as the class, in which the unit adds most to the logit.
    """

    target: ResolvedTarget
    rank: int
    weight: float
    images: tuple[int, ...]


@dataclass(frozen=True)
class UnitLabel:
    """The verdict on a unit.

    ``share``: mean share of the attribution inside the object's region, 0 for an image in which it is not seen, with
    its 95 % interval over images; None, with ``reason``, where fewer than two images have a map.
    """

    use: UnitUse
    verdict: PixelVerdict
    share: Estimate | None
    reason: str | None = None


class Downwards(Classifier):
    """The same classifier, sharing its weights, with the sign of all activations turned: what attribution needs for a
    unit whose low values speak for the class."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier.backbone, classifier.labels, classifier.name, classifier.preprocess)
        self.stated, self.scoring = classifier.stated, classifier.scoring

    def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
        """Minus the mean activation of one unit; see `Classifier.activation`."""
        return -super().activation(images, module, channel)


def own_shares(maps: Tensor, detections: Detections, phrase: str) -> NDArray[np.float64]:
    """Of each image whose map is not empty, the share of its mass in the phrase's region, 0 where that is not seen.

    ``maps`` (N, H, W), not below 0, in any unit, and ``detections`` are of the same N images.
    """
    mass = maps.double().sum(dim=(1, 2)).tolist()
    shares = [
        float(maps[index].cpu()[detections.region(index, phrase)].double().sum()) / mass[index]
        for index in range(len(maps))
        if mass[index] > 0
    ]
    return np.asarray(shares, dtype=np.float64)


def pixel_verdict(share: Estimate, bound: float) -> PixelVerdict:
    """Core where the whole interval of the mean share lies above the bound, spurious where below, else mixed."""
    if share.low > bound:
        return PixelVerdict.CORE
    return PixelVerdict.SPURIOUS if share.high < bound else PixelVerdict.MIXED


def unit_uses(
    classifier: Classifier,
    head: LinearHead,
    read: Penultimate,
    classes: Sequence[int] | None = None,
    top: int = 5,
    images: int = 20,
) -> Iterator[UnitUse]:
    """The units that classes use most, ``top`` of each, class by class, the most used first.

    Args:
        read: the head's features of the images to choose from.
        classes: indices; by default all that some image is predicted as.
        images: of each unit, those in which it adds most to the class's logit.

    Raises:
        UserError: the features are no unit's mean activation, so there is no target that names them.
    """
    if head.module is None:
        raise UserError(f"What {head.path} of {classifier.name} reads is not the mean activation of a module's units.")
    for index, features in top_features(head, read, top).items():
        if classes is not None and index not in classes:
            continue
        mine = np.flatnonzero(read.assigned[:, index])
        for rank, feature in enumerate(features, 1):
            weight = float(head.weight[index, feature])
            order = np.argsort(-weight * read.features[mine, feature], kind="stable")
            text = f"unit:{head.module}:{feature}@{index}"
            target = Target.parse(text).resolve(classifier.labels)
            yield UnitUse(target, rank, weight, tuple(int(place) for place in mine[order[:images]]))


def unit_maps(
    classifier: Classifier, make: Callable[[Classifier], Attribution], images: Tensor, use: UnitUse
) -> Tensor:
    """What in each image (N, 3, H, W) makes the unit add to the class's logit: (N, H, W), not below 0."""
    return make(classifier if use.weight >= 0 else Downwards(classifier)).maps(images, use.target)


def label_unit(use: UnitUse, shares: NDArray[np.float64], bound: float) -> UnitLabel:
    """The verdict on a unit from the shares of its images."""
    if len(shares) < LEAST:
        return UnitLabel(use, PixelVerdict.UNDECIDED, None, f"{len(shares)} images have a map, fewer than {LEAST}")
    share = mean_interval(shares)
    return UnitLabel(use, pixel_verdict(share, bound), share)


def label_units(
    classifier: Classifier,
    segmenter: Segmenter,
    images: Tensor,
    make: Callable[[Classifier], Attribution],
    gates: dict[int, Gate],
    bound: float,
    top: int = 5,
    count: int = 20,
) -> list[UnitLabel]:
    """Label the units that classes use most, all in one sweep.

    Args:
        classifier: any whose logits a linear layer makes.
        segmenter: that sees the objects.
        images: (N, 3, H, W) in [0, 1] to choose activating ones from, on the classifier's device.
        make: the attribution method, such as `diffexplain.attribution.IntegratedGradients`.
        gates: for the index of each class to label, the gate of its object, see `calibrated_gate`.
        bound: of the mean share, see `youden_threshold`.
        top: units of each class.
        count: images of each unit.

    Raises:
        UserError: there is no linear head, or its features are no units.
    """
    head = linear_head(classifier)
    read = penultimate(classifier, head, images)
    labels = []
    for use in unit_uses(classifier, head, read, list(gates), top, count):
        assert use.target.class_index is not None
        gate = gates[use.target.class_index]
        chosen = images[list(use.images)]
        detections = look_gated(segmenter, chosen, gate)
        labels.append(
            label_unit(use, own_shares(unit_maps(classifier, make, chosen, use), detections, gate.phrase), bound)
        )
    return labels
