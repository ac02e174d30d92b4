"""The gradient that DEXTER's released code takes (Carnemolla et al., arXiv 2510.14741; not the paper's text).

There the network's latent input is made without gradient at each step, so that the text is reached through the
network's attention to it and through the scheduler's own sum, but not through what earlier steps did to the latents
that the network reads. In the notation of `exact`, df_j/dx_j has the scheduler's part alone:

    f_j(x, c) = a_j x + b_j net(x, c)        df_j/dx ~ a_j

Biased; the network's backward passes are the same as for `Exact`, so nothing is saved. It is here to repeat DEXTER.
"""

from __future__ import annotations

from torch import Tensor

from diffexplain.diffusion.gradients.estimator import Backpropagation
from diffexplain.diffusion.sampling import Denoiser


class AttentionOnly(Backpropagation):
    """Detaches the latents that the network reads; with one sampler step it is `Exact`."""

    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        def predict(condition: Tensor, latents: Tensor, timesteps: Tensor, index: int) -> Tensor:
            return denoiser.predict(condition, latents.detach(), timesteps, index)

        return denoiser.sample(condition, noise, steps, predict)
