"""The gradient of the last K steps alone: DRaFT-K (Clark et al., arXiv 2309.17400, section 4.1).

    dL/dc ~ sum_{k<=K}  dL/dx_0  (prod_{j<k} df_j/dx_j)  df_k/dc

in the notation of `exact`: x_K is taken for a constant. Activations of K steps are kept, and K steps are gone back.
Biased, because what the text did to the picture's layout in the earlier steps is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffexplain.diffusion.gradients.estimator import Backpropagation
from diffexplain.diffusion.sampling import Denoiser
from diffexplain.errors import UserError


class LastK(Backpropagation):
    """Differentiates the last ``k`` sampler steps; with all of them it is `Exact`.

    Raises:
        UserError: ``k`` is less than 1.
    """

    def __init__(self, k: int = 1) -> None:
        if k < 1:
            raise UserError("At least the last step carries a gradient.", given=f"gradient.k={k}")
        self.k = k

    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        def predict(condition: Tensor, latents: Tensor, timesteps: Tensor, index: int) -> Tensor:
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= len(timesteps) - self.k):
                return denoiser.predict(condition, latents, timesteps, index)

        return denoiser.sample(condition, noise, steps, predict)
