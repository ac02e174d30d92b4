"""Blended latent diffusion: fill a mask with what the prior expects there, keep everything else.

At each step the latents outside the mask are replaced by the input's own, noised to that step
(Avrahami et al., Blended Latent Diffusion, 2023); in the end the pixels outside the mask are the
input's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from diffexplain.diffusion.sampling import Denoiser


def inpaint_latents(
    denoiser: Denoiser,
    known: Tensor,
    mask: Tensor,
    condition: Tensor,
    noise: Tensor,
    steps: int,
    strength: float,
) -> Tensor:
    """Latents whose masked part is drawn anew.

    Args:
        known: latents of the input images, (B, C, h, w).
        mask: 1 where to draw anew, (B, 1, h, w).
        condition: hidden states of the text, (B, T, D).
        noise: standard normal, (B, C, h, w).
        steps: scheduler steps from pure noise.
        strength: share of the steps that are run, in (0, 1]. At 1 the masked part starts from noise
            alone; below, from the input noised to the first step that is run.
    """
    timesteps = denoiser.timesteps(steps)
    first = len(timesteps) - max(1, round(len(timesteps) * strength))

    def noised(index: int) -> Tensor:
        return denoiser.noised(known, noise, timesteps, index)

    latents = noised(first)
    if first == 0:
        latents = torch.lerp(latents, denoiser.start(noise), mask)
    for index in range(first, len(timesteps)):
        prediction = denoiser.predict(condition, latents, timesteps, index)
        latents = denoiser.advance(prediction, latents, timesteps, index, noise)
        latents = torch.lerp(noised(index + 1), latents, mask)
    return latents


def shrink_mask(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel masks (B, 1, H, W) at latent size: a cell is masked if any of its pixels is."""
    return functional.adaptive_max_pool2d(masks, size)


def composite(images: Tensor, filled: Tensor, masks: Tensor, edge: int) -> Tensor:
    """``filled`` inside the masks, ``images`` outside, blended over ``edge`` pixels inside the rim.

    Pixels outside the mask (B, 1, H, W) are those of ``images`` exactly.
    """
    if edge == 0:
        return torch.lerp(images, filled, masks)
    width = 2 * edge + 1
    # Beyond the picture's border the mask goes on as it is, so that no rim appears there.
    padded = functional.pad(masks, (edge, edge, edge, edge), mode="replicate")
    share = functional.avg_pool2d(padded, width, stride=1)
    # On a straight rim the share is just above one half: there the input should still be seen.
    weight = (2.0 * share - 1.0).clamp(0.0, 1.0) * masks
    return torch.lerp(images, filled, weight)
