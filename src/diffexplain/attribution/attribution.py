"""What every attribution method does, and what they share: the target's response, pieces, the way back to pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

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


def to_pixels(classifier: Classifier, images: Tensor, grids: Tensor) -> Tensor:
    """Maps over what the network is given, carried back to the images' own pixels.

    Preprocessing resizes and crops. Its adjoint hands the value at each of the network's pixels to those image
    pixels that it was made of, so what a crop cuts off gets nothing.

    Args:
        classifier: whose preprocessing it is.
        images: (N, 3, H, W) in [0, 1].
        grids: (N, h, w), not below 0, of any resolution.

    Returns:
        (N, H, W), not below 0.
    """
    with torch.enable_grad():
        plane = torch.full_like(images, 0.5, requires_grad=True)  # grey: nothing is clamped
        resized = classifier.preprocess.resized(plane)
        fine = functional.interpolate(grids[:, None], resized.shape[-2:], mode="bilinear", align_corners=False)
        (carried,) = torch.autograd.grad((resized[:, :1] * fine).sum(), plane)
    return carried[:, 0].clamp(min=0)  # a bicubic resize has weights below 0
