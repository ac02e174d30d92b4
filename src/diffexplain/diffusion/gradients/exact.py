"""The true gradient, through every sampler step.

With x_K the noise, x_0 the image's latents, c the hidden states of the text and x_{k-1} = f_k(x_k, c):

    dL/dc = sum_k  dL/dx_0  (prod_{j<k} df_j/dx_j)  df_k/dc

`Checkpointed` is the same sum with a step's activations computed again when its term is due (Chen et al.,
"Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174): memory does not grow with the number of steps,
but for the latents between them, and each step costs one more forward pass.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute_in_backward

from diffexplain.diffusion.gradients.estimator import Backpropagation
from diffexplain.diffusion.sampling import Denoiser


class Exact(Backpropagation):
    """Keeps the activations of all steps."""

    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        return denoiser.sample(condition, noise, steps)


class Checkpointed(Backpropagation):
    """Keeps the activations of one step at a time; the gradient is that of `Exact`."""

    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        # Nothing in a step draws, so there is no random state to restore.
        predict = partial(recompute_in_backward, denoiser.predict, use_reentrant=False, preserve_rng_state=False)
        return denoiser.sample(condition, noise, steps, predict)
