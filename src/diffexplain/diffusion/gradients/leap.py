"""The gradient along a short path beside the long one that made the image.

After LeapAlign (Liang et al., arXiv 2604.15311) and FlowBP (Wang et al., arXiv 2606.11075): the sampler goes all its
steps without gradient; then a few of its latents x_i, pinned to the values they had, are joined by leaps that skip the
steps between,

    y_j = leap_{i->j}(x_i, net(x_i, c))          x_j <- x_j + (y_j - stop(y_j))

so that the image is the sampler's and its gradient that of the leaps. Memory and backward passes are those of the
leaps, whatever the number of steps; the price is one more network call without gradient for each leap.

Design choices of ours: the latents are spread evenly over the steps, beginning with the noise (LeapAlign draws two at
random), so that the gradient depends on the prompt and the noise alone; terms are neither weighted nor discounted.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from diffexplain.diffusion.gradients.estimator import Backpropagation
from diffexplain.diffusion.sampling import Denoiser
from diffexplain.errors import UserError


class Leap(Backpropagation):
    """Differentiates a path of ``leaps`` leaps; with as many as sampler steps it is `Exact`.

    Raises:
        UserError: ``leaps`` is less than 1.
    """

    def __init__(self, leaps: int = 2) -> None:
        if leaps < 1:
            raise UserError("A path has at least one leap.", given=f"gradient.leaps={leaps}")
        self.leaps = leaps

    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        rollout = self._rollout(denoiser, condition, noise, steps)
        if not torch.is_grad_enabled():
            return rollout[-1]
        timesteps = denoiser.timesteps(steps)
        count = len(timesteps)
        leaps = min(self.leaps, count)
        stops = [round(number * count / leaps) for number in range(leaps + 1)]
        latents = rollout[0]
        for index, to in pairwise(stops):
            prediction = denoiser.predict(condition, latents, timesteps, index)
            landed = denoiser.advance(prediction, latents, timesteps, index, noise, to)
            latents = rollout[to] + (landed - landed.detach())
        return latents

    @torch.no_grad()
    def _rollout(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> list[Tensor]:
        """Latents before the first step and after each."""
        kept: list[Tensor] = []

        def predict(condition: Tensor, latents: Tensor, timesteps: Tensor, index: int) -> Tensor:
            kept.append(latents)
            return denoiser.predict(condition, latents, timesteps, index)

        kept.append(denoiser.sample(condition, noise, steps, predict))
        return kept
