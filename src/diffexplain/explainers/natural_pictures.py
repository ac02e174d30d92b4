"""What activation maximisation is told of natural pictures: codes and spectrum of some of them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from diffexplain.diffusion.prior import Prior
from diffexplain.runs.draws import Draws

NEUTRAL_TEXT = "a photo"
NATURAL = 64
"""Pictures that are looked at: of the prior exactly so many, of a user's at most."""
_AT_ONCE = 16


class Spectrum(NamedTuple):
    """What pictures have in common.

    ``mean``: colour, (3, 1, 1). ``colours``: (3, 3), whose columns turn independent channels of variance 1 into the
    pictures' own colours. ``magnitudes``: means over the pictures, (3, H, W // 2 + 1), of these channels' Fourier
    coefficients; of red, green and blue themselves, random phases would make random colours.
    """

    mean: Tensor
    colours: Tensor
    magnitudes: Tensor


def spectrum_of(pictures: Tensor) -> Spectrum:
    """The spectrum of pictures (M, 3, H, W) in [0, 1]."""
    mean = pictures.mean(dim=(0, 2, 3)).view(3, 1, 1)
    pixels = (pictures - mean).transpose(0, 1).flatten(1)
    variances, axes = torch.linalg.eigh(pixels @ pixels.T / pixels.shape[1])
    spreads = variances.clamp(min=1e-8).sqrt()
    channels = torch.einsum("cd,ncij->ndij", axes / spreads, pictures - mean)
    return Spectrum(mean, axes * spreads, torch.fft.rfft2(channels).abs().mean(dim=0))


class Surroundings:
    """What the methods know of natural pictures: those that are given, or else what the prior makes of no wish at all.

    Args:
        given: (M, 3, H, W) in [0, 1], or None.
    """

    def __init__(self, prior: Prior, draws: Draws, given: Tensor | None) -> None:
        self.prior, self.draws = prior, draws
        self._given = given
        self._spectra: dict[tuple[int, int], Spectrum] = {}

    @cached_property
    def pictures(self) -> Tensor:
        """(M, 3, H, W) in [0, 1]."""
        if self._given is not None:
            return self._given.to(self.prior.device)
        noise = self.draws.normals("neutral", 0, NATURAL, self.prior.latent_shape)
        return self.prior.generate([NEUTRAL_TEXT], noise.to(self.prior.device)).float()

    @cached_property
    def latents(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel of their latents, (C, 1, 1)."""
        with torch.no_grad():
            parts = [self.prior.encode_images(part).float() for part in self.pictures.split(_AT_ONCE)]
        latents = torch.cat(parts).transpose(0, 1).flatten(1)
        return latents.mean(dim=1)[:, None, None], latents.std(dim=1)[:, None, None]

    def spectrum(self, size: tuple[int, int]) -> Spectrum:
        """The spectrum of pictures of ``size`` (H, W)."""
        if size not in self._spectra:
            self._spectra[size] = spectrum_of(functional.resize(self.pictures, list(size), antialias=True))
        return self._spectra[size]
