"""Whether a gradient passes through a classifier, from its answer back to the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.units import device_of
from diffexplain.target import ResolvedTarget

_IMAGES, _SIDE = 2, 64
"""Number and side in pixels of the pictures of noise that are asked with; the classifier resizes them."""


def passes_gradient(classifier: Classifier, target: ResolvedTarget) -> bool:
    """Whether what `target` names has a gradient in the picture's pixels.

    It has none where the network computes without one or detaches, in arithmetic that torch does not differentiate
    (quantised, ONNX), and where all are zero, as those of rounded values.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(_IMAGES, 3, _SIDE, _SIDE, generator=generator).to(device_of(classifier)).requires_grad_()
    with torch.enable_grad():
        answer = classifier(images)
        # Unlike weights: the gradients of probabilities, which sum to one, would cancel.
        value = (answer * torch.arange(1.0, answer.shape[1] + 1, device=answer.device)).sum()
        if target.kind == "unit":
            # A single unit may be silent on noise, so its gradient must be there and only the answer's not be zero.
            assert target.module is not None
            assert target.channel is not None
            activation = classifier.activation(images, target.module, target.channel)
            if not activation.requires_grad:
                return False
            value = value + activation.sum()
        return value.requires_grad and _is_moved(value, images)


def _is_moved(value: Tensor, images: Tensor) -> bool:
    try:
        (gradient,) = torch.autograd.grad(value, images, allow_unused=True)
    except RuntimeError:  # An operation whose derivative torch does not have.
        return False
    return gradient is not None and bool(gradient.any())
