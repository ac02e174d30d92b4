"""Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) by captum."""

from __future__ import annotations

import captum.attr
from torch import Tensor

from diffexplain.attribution.attribution import in_pieces, response
from diffexplain.classifiers.classifier import Classifier
from diffexplain.target import ResolvedTarget


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
