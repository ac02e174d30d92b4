"""Denoising from noise to latents, differentiable through every step.

The scheduler is the pipeline's own, so that the result equals what
``StableDiffusionPipeline(latents=..., num_inference_steps=...)`` gives. Which parts of the way carry a gradient
is chosen in ``gradients/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, LCMScheduler, StableDiffusionPipeline
from torch import Tensor

Predict = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""`Denoiser.predict`, or what an estimator of gradients puts around it."""


@dataclass(frozen=True)
class Denoiser:
    """A pipeline's denoising network and scheduler, with a fixed guidance scale.

    Attributes:
        guidance: classifier-free guidance scale; at most 1 means one network call a step.
        unconditional: text encoder's hidden states of the empty text, (1, T, D); ``None`` exactly
            when the network is called once a step.
        scheduler: of the pipeline; one of its own, since a scheduler knows at which step it is.
    """

    pipeline: StableDiffusionPipeline
    guidance: float
    unconditional: Tensor | None
    scheduler: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scheduler", copy(self.pipeline.scheduler))

    def timesteps(self, steps: int) -> Tensor:
        """Reset the scheduler and return its timesteps for ``steps`` steps, from noise to image."""
        self.scheduler.set_timesteps(steps, device=next(self.pipeline.unet.parameters()).device)
        return self.scheduler.timesteps

    def start(self, noise: Tensor) -> Tensor:
        """The latents before the first step, from standard normal ``noise`` (B, C, h, w)."""
        # Flow matching starts from the noise itself.
        return noise * getattr(self.scheduler, "init_noise_sigma", 1.0)

    def sample(self, condition: Tensor, noise: Tensor, steps: int, predict: Predict | None = None) -> Tensor:
        """Denoise standard normal ``noise`` (B, C, h, w) under ``condition`` (B, T, D), differentiable in both.

        Args:
            predict: called in place of `predict`.
        """
        predict = predict or self.predict
        timesteps = self.timesteps(steps)
        latents = self.start(noise)
        for index in range(len(timesteps)):
            prediction = predict(condition, latents, timesteps, index)
            latents = self.advance(prediction, latents, timesteps, index, noise)
        return latents

    def predict(self, condition: Tensor, latents: Tensor, timesteps: Tensor, index: int) -> Tensor:
        """What the network predicts for ``latents`` at ``timesteps[index]``, guided; (B, C, h, w)."""
        if self.unconditional is not None:
            empty = self.unconditional.expand_as(condition)
            condition = torch.cat([empty, condition])
            latents = torch.cat([latents, latents])
        scheduler = self._scheduler_at(index)
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            latents = scheduler.scale_model_input(latents, timesteps[index])
        (prediction,) = self.pipeline.unet(
            latents,
            timesteps[index],
            encoder_hidden_states=condition,
            timestep_cond=self._guidance_embedding(len(latents), latents),
            return_dict=False,
        )
        if self.unconditional is None:
            return prediction
        without, with_text = prediction.chunk(2)
        return without + self.guidance * (with_text - without)

    def advance(
        self, prediction: Tensor, latents: Tensor, timesteps: Tensor, index: int, start: Tensor, to: int | None = None
    ) -> Tensor:
        """Latents at ``timesteps[to]``, from those at ``timesteps[index]`` and what is predicted for them.

        Args:
            start: the standard normal noise that the images began from, (B, C, h, w).
            to: the next timestep if ``None``, which is the scheduler's own step; a later one skips those
                between; ``len(timesteps)`` is the image.
        """
        scheduler = self._scheduler_at(index)
        to = index + 1 if to is None else to
        if isinstance(scheduler, LCMScheduler):
            # The consistency sampler adds fresh noise after every step but the last. Its own noise
            # would come from global state, so its clean estimate is taken and ours is added.
            unused = torch.Generator()
            _, clean = scheduler.step(prediction, timesteps[index], latents, generator=unused, return_dict=False)
            if to == len(timesteps):
                return clean
            return scheduler.add_noise(clean, noise_after(start, to - 1), timesteps[to].expand(len(clean)))
        following = scheduler.step(prediction, timesteps[index], latents, return_dict=False)[0]
        if to == index + 1:
            return following
        return self._along(latents, following, timesteps, index, to)

    def _along(self, latents: Tensor, following: Tensor, timesteps: Tensor, index: int, to: int) -> Tensor:
        """Latents at ``timesteps[to]`` on the line that begins with one step, from ``latents`` to ``following``.

        A step keeps the clean image x and the noise e that are predicted and mixes them anew, s x + n e with
        signal s and noise n of the next timestep (DDIM, Song et al., arXiv 2010.02502, Eq. 12; so do Euler's
        steps). Two mixtures give x and e back, and so every later mixture.
        """
        signal, noise = self._signal_and_noise(timesteps, index)
        next_signal, next_noise = self._signal_and_noise(timesteps, index, stepped=True)
        to_signal, to_noise = self._signal_and_noise(timesteps, to)
        determinant = signal * next_noise - next_signal * noise
        of_latents = (to_signal * next_noise - next_signal * to_noise) / determinant
        of_following = (signal * to_noise - to_signal * noise) / determinant
        return of_latents * latents + of_following * following

    def _signal_and_noise(self, timesteps: Tensor, index: int, *, stepped: bool = False) -> tuple[float, float]:
        """How much of the clean image and of the noise the latents hold at ``timesteps[index]``; with
        ``stepped`` after the scheduler's step from there.
        """
        scheduler = self.scheduler
        if not isinstance(scheduler, DDIMScheduler):
            sigma = float(scheduler.sigmas[index + stepped])
            return (1.0 - sigma if isinstance(scheduler, FlowMatchEulerDiscreteScheduler) else 1.0), sigma
        if index == len(timesteps):
            alpha = scheduler.final_alpha_cumprod
        else:
            # Steps are equally long for the scheduler, even where rounding puts the next timestep one beside.
            step = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
            timestep = int(timesteps[index]) - (step if stepped else 0)
            alpha = scheduler.alphas_cumprod[timestep] if timestep >= 0 else scheduler.final_alpha_cumprod
        return float(alpha) ** 0.5, (1.0 - float(alpha)) ** 0.5

    def _scheduler_at(self, index: int) -> Any:
        """The scheduler, set to step ``index`` where it counts: a step may be made again, or out of turn."""
        if hasattr(self.scheduler, "_step_index"):
            self.scheduler._step_index = index
        return self.scheduler

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
    for latent in start:
        generator = np.random.Generator(np.random.Philox(key=noise_key(latent, index)))
        drawn.append(generator.standard_normal(tuple(latent.shape), dtype=np.float32))
    return torch.from_numpy(np.stack(drawn)).to(start)


def noise_key(latent: Tensor, index: int = 0) -> int:
    """128 bits that say which starting noise this is, for draws after step ``index``."""
    numbers = latent.detach().to("cpu", torch.float32).contiguous().numpy()
    return int.from_bytes(sha256(numbers.tobytes() + index.to_bytes(4, "big")).digest()[:16], "big")


def first_sample(arguments: Sequence[Any], named: Mapping[str, Any]) -> Tensor:
    """What a denoising network is to denoise, of the arguments of its call; (B, ...)."""
    found = arguments[0] if arguments else named["sample" if "sample" in named else "hidden_states"]
    return found if isinstance(found, Tensor) else torch.stack(list(found))


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
