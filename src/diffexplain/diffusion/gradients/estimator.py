"""What every estimator gives, and the backward pass that all but the gradient-free ones share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from diffexplain.diffusion.sampling import Denoiser
from diffexplain.runs.draws import Draws

if TYPE_CHECKING:
    from diffexplain.diffusion.prior import Prior

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images (B, 3, H, W) in [0, 1] to their mean loss, a scalar, and their scores (B,)."""


class Estimate(NamedTuple):
    """One step's loss and what it was measured on.

    ``loss`` is a scalar whose backward pass gives the prompt's parameter the estimated gradient.
    ``scores`` (B,) and ``images`` (B, 3, H, W) in [0, 1] carry none.
    """

    loss: Tensor
    scores: Tensor
    images: Tensor


class GradientEstimator(Protocol):
    """Estimates the gradient of ``objective(G(prompt, latents))`` in the prompt's parameter.

    ``needs_gradient``: whether it differentiates the objective, so that a classifier must pass gradients.
    """

    needs_gradient: ClassVar[bool]

    def estimate(
        self, prompt: nn.Module, prior: Any, latents: Tensor, objective: Objective, draws: Draws, step: int
    ) -> Estimate:
        """The estimate at optimisation step ``step``.

        Args:
            prompt: called without arguments, gives the hidden states (1, T, D) that all images share; with True, those
                to take differences of.
            prior: a `Prior`, or whatever else the estimator can do with.
            latents: starting noise, (B, C, h, w).
            draws: of the run, for estimators that draw.

        Raises:
            MemoryError, RuntimeError: not even a single image fits (`diffexplain.memory.is_short`).
        """
        ...


class Backpropagation(ABC):
    """Estimators that differentiate: the text is encoded once, images come and go in micro-batches.

    Each micro-batch is carried forward and at once backward to the hidden states, where the gradients add up,
    so that memory is that of one micro-batch. The text encoder's backward pass is made once, with the sum. Of those
    that pass side by side, one at a time asks the objective: what stands in a classifier's hooks is of one call.
    """

    needs_gradient: ClassVar[bool] = True
    needs_of_prior: ClassVar[str] = "a gradient through it"

    @abstractmethod
    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        """Final latents (B, C, h, w) whose backward pass is this estimator's; values are those of the sampler."""

    def estimate(
        self, prompt: nn.Module, prior: Prior, latents: Tensor, objective: Objective, draws: Draws, step: int
    ) -> Estimate:
        condition = prompt()
        leaf = condition.detach().requires_grad_()
        asked = Lock()

        def there_and_back(part: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            images = prior.sample(leaf, latents[part], path=self.sample)
            with asked:
                loss, scores = objective(images)
            share = loss * (len(images) / len(latents))
            (gradient,) = torch.autograd.grad(share, leaf)
            return gradient.float(), share.detach(), scores.detach(), images.detach()

        gradients, shares, scores, images = zip(*prior.with_gradient.run(len(latents), there_and_back), strict=True)
        loss = given_gradient(torch.stack(shares).sum(), condition, torch.stack(gradients).sum(dim=0))
        return Estimate(loss, torch.cat(scores), torch.cat(images))


class _GivenGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, variable: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        ctx.dtype = variable.dtype
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outward: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return None, (outward[0] * gradient).to(ctx.dtype), None


def given_gradient(value: Tensor, variable: Tensor, gradient: Tensor) -> Tensor:
    """The scalar ``value``, whose gradient in ``variable`` is taken to be ``gradient`` (of its shape)."""
    result: Tensor = _GivenGradient.apply(value, variable, gradient)
    return result
