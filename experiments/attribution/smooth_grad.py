"""SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825) by captum."""

from __future__ import annotations

import torch
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.target import ResolvedTarget
from experiments.attribution.attribution import in_pieces, response


class SmoothGrad:
    """The gradient, averaged over noisy copies of the image; its magnitude, summed over the colours.

    Args:
        classifier: what is explained.
        samples: noisy copies of each image.
        noise: standard deviation of the noise, in units of the images' range.
        seed: of the noise.
        batch_size: copies at once, of all images together; the noise depends on it too.
    """

    def __init__(
        self, classifier: Classifier, samples: int = 25, noise: float = 0.15, seed: int = 0, batch_size: int = 64
    ) -> None:
        self.classifier = classifier
        self.samples = samples
        self.noise = noise
        self.seed = seed
        self.batch_size = batch_size

    def maps(self, images: Tensor, target: ResolvedTarget) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to maps (N, H, W), not below 0; the same for the same images and seed."""
        method = NoiseTunnel(Saliency(response(self.classifier, target)))

        def attribute(piece: Tensor) -> Tensor:
            gradients: Tensor = method.attribute(
                piece, nt_type="smoothgrad", nt_samples=self.samples, stdevs=self.noise, abs=False
            )
            return gradients.abs().sum(dim=1)

        # captum draws from torch's global state: here it gets one of its own.
        devices = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)
            return in_pieces(images, self.batch_size // self.samples, attribute)
