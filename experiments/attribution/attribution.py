"""What every attribution method does: the target's response, and how much each pixel has to do with it.

Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) by captum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import captum.attr
import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget

Response = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W) in [0, 1] to one number each, (N,)."""


class Attribution(Protocol):
    """How much each pixel has to do with a classifier's answer."""

    def maps(self, images: Tensor, target: ResolvedTarget) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to maps (N, H, W), none below 0, without a common unit."""
        ...


def response(classifier: Classifier, target: ResolvedTarget) -> Response:
    """What is attributed to pixels: the class's score, which is its logit where the network gives logits; or the unit's
    mean activation.

    Raises (when it is asked with a gradient wanted):
        UserError: the classifier passes none.
    """
    score = _score(classifier, target)

    def answer(images: Tensor) -> Tensor:
        value = score(images)
        if images.requires_grad and torch.is_grad_enabled() and not value.requires_grad:
            message = f"No gradient passes through {classifier.name}, so its answer cannot be attributed to pixels."
            raise UserError(message, given=target.text)
        return value

    return answer


def _score(classifier: Classifier, target: ResolvedTarget) -> Response:
    if target.kind == "unit":
        module, channel = target.module, target.channel
        assert module is not None
        assert channel is not None
        return lambda images: classifier.activation(images, module, channel)
    index = target.class_index
    assert index is not None
    return lambda images: classifier(images)[:, index]


def in_pieces(images: Tensor, size: int, attribute: Callable[[Tensor], Tensor]) -> Tensor:
    """What ``attribute`` makes of all images, given at most ``size`` of them at once, at least one.

    Raises:
        UserError: a map is not finite, so neither was the classifier's answer or its gradient.
    """
    maps = torch.cat([attribute(piece).detach() for piece in images.split(max(1, size))])
    bad = int((~maps.flatten(1).isfinite().all(dim=1)).sum())
    if bad:
        message = f"{bad} of {len(maps)} pictures have no finite map: the classifier's answer or its gradient is not."
        raise UserError(message, given="NaN or infinity")
    return maps


class IntegratedGradients:
    """The gradient along the straight way from a black image to the image, times how far it is.

    Args:
        classifier: what is explained.
        steps: points of the way (Gauss-Legendre).
        batch_size: points at once, of all images together.
    """

    def __init__(self, classifier: Classifier, steps: int = 50, batch_size: int = 64) -> None:
        self.classifier = classifier
        self.steps = steps
        self.batch_size = batch_size

    def contributions(self, images: Tensor, target: ResolvedTarget) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to signed shares (N, 3, H, W) of what the answer is above a black image's.

        They sum to that difference but for the error of integration.
        """
        method = captum.attr.IntegratedGradients(response(self.classifier, target))
        return in_pieces(
            images,
            self.batch_size // self.steps,
            lambda piece: method.attribute(piece, baselines=0.0, n_steps=self.steps),
        )

    def maps(self, images: Tensor, target: ResolvedTarget) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to maps (N, H, W): what speaks for the target, as in Grad-CAM."""
        return self.contributions(images, target).sum(dim=1).clamp(min=0)
