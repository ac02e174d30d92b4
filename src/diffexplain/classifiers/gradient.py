"""Whether a gradient passes through a classifier, from what is explained back to the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from diffexplain.classifiers.inspection import built_in_pictures
from diffexplain.classifiers.units import device_of
from diffexplain.target import ResolvedTarget

if TYPE_CHECKING:
    from diffexplain.classifiers.classifier import Classifier


def passes_gradient(classifier: Classifier, target: ResolvedTarget) -> bool:
    """Whether `target` has a gradient in a picture's pixels: a class as it was inspected, a unit by a pass of its own.

    A unit may lie before what ends the gradient, and it may be silent: a gradient of zero counts against it only where
    the classifier's answer has none either.
    """
    passes = classifier.inspection is None or classifier.inspection.passes_gradient
    if target.module is None or target.channel is None:
        return passes
    with torch.enable_grad():
        pictures = built_in_pictures().to(device_of(classifier)).requires_grad_()
        activation = classifier.activation(pictures * 1, target.module, target.channel)  # It may be written into.
        if not activation.requires_grad:
            return False
        try:
            (gradient,) = torch.autograd.grad(activation.sum(), pictures, allow_unused=True)
        except RuntimeError:  # An operation whose derivative torch does not have.
            return False
    return gradient is not None and (passes or bool(gradient.any()))
