"""Denoising from noise to latents, differentiable through every step.

The scheduler is the pipeline's own, so that the result equals what
``StableDiffusionPipeline(latents=..., num_inference_steps=...)`` gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute_in_backward


@dataclass(frozen=True)
class Denoiser:
    """A pipeline's denoising network and scheduler, with a fixed guidance scale.

    Attributes:
        guidance: classifier-free guidance scale; at most 1 means one network call a step.
        unconditional: text encoder's hidden states of the empty text, (1, T, D); ``None`` exactly
            when the network is called once a step.
    """

    pipeline: StableDiffusionPipeline
    guidance: float
    unconditional: Tensor | None

    def timesteps(self, steps: int) -> Tensor:
        """Reset the scheduler and return its timesteps for ``steps`` steps, from noise to image."""
        scheduler = self.pipeline.scheduler
        scheduler.set_timesteps(steps, device=self.pipeline.unet.device)
        return scheduler.timesteps

    def sample(self, condition: Tensor, latents: Tensor, steps: int, *, checkpoint: bool = False) -> Tensor:
        """Denoise standard normal ``latents`` (B, C, h, w) under ``condition`` (B, T, D).

        With ``checkpoint`` the network's activations are computed again in the backward pass
        instead of being kept: the memory of one step instead of all, the same gradient.
        """
        timesteps = self.timesteps(steps)
        current = latents * self.pipeline.scheduler.init_noise_sigma
        for index in range(len(timesteps)):
            prediction = self.predict(condition, current, timesteps[index], checkpoint=checkpoint)
            current = self.advance(prediction, current, timesteps, index, latents)
        return current

    def predict(self, condition: Tensor, latents: Tensor, timestep: Tensor, *, checkpoint: bool = False) -> Tensor:
        """What the network predicts for ``latents`` at ``timestep``, guided; (B, C, h, w)."""
        if self.unconditional is not None:
            empty = self.unconditional.expand_as(condition)
            condition = torch.cat([empty, condition])
            latents = torch.cat([latents, latents])
        inputs = self.pipeline.scheduler.scale_model_input(latents, timestep)
        arguments: dict[str, Any] = {
            "encoder_hidden_states": condition,
            "timestep_cond": self._guidance_embedding(len(latents), latents),
            "return_dict": False,
        }
        if checkpoint:
            (prediction,) = recompute_in_backward(
                self.pipeline.unet,
                inputs,
                timestep,
                **arguments,
                use_reentrant=False,
                preserve_rng_state=False,
            )
        else:
            (prediction,) = self.pipeline.unet(inputs, timestep, **arguments)
        if self.unconditional is None:
            return prediction
        without, with_text = prediction.chunk(2)
        return without + self.guidance * (with_text - without)

    def advance(self, prediction: Tensor, latents: Tensor, timesteps: Tensor, index: int, start: Tensor) -> Tensor:
        """One step of the scheduler, from ``timesteps[index]`` to the next or to the image."""
        scheduler = self.pipeline.scheduler
        timestep = timesteps[index]
        if not isinstance(scheduler, LCMScheduler):
            return scheduler.step(prediction, timestep, latents, return_dict=False)[0]
        # The consistency sampler adds fresh noise after every step but the last. Its own noise
        # would come from global state, so its clean estimate is taken and ours is added.
        unused = torch.Generator()
        _, clean = scheduler.step(prediction, timestep, latents, generator=unused, return_dict=False)
        if index == len(timesteps) - 1:
            return clean
        noise = noise_after(start, index)
        return scheduler.add_noise(clean, noise, timesteps[index + 1].expand(len(clean)))

    def _guidance_embedding(self, batch: int, like: Tensor) -> Tensor | None:
        """The guidance scale as an input, for networks distilled to take it (B, width)."""
        width = self.pipeline.unet.config.time_cond_proj_dim
        if width is None:
            return None
        scale = torch.full((batch,), self.guidance - 1.0)
        embedding = self.pipeline.get_guidance_scale_embedding(scale, embedding_dim=width)
        return embedding.to(like)


def noise_after(start: Tensor, index: int) -> Tensor:
    """Noise added after step ``index`` to images that began from ``start`` (B, C, h, w).

    It is keyed by the bytes of each image's own starting noise: the same whatever the batch, the
    same when asked again, and without state.
    """
    drawn = []
    for latent in start.detach().to("cpu", torch.float32):
        digest = sha256(latent.contiguous().numpy().tobytes() + index.to_bytes(4, "big")).digest()
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
        drawn.append(generator.standard_normal(tuple(latent.shape), dtype=np.float32))
    return torch.from_numpy(np.stack(drawn)).to(start)


class StraightClamp(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient is that of the identity.

    Pixels that overshoot (snow, white flowers) would otherwise pass no gradient at all, and nothing
    could bring them back.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return images.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
