"""A gradient from forward passes alone, for classifiers that have none: SPSA.

Simultaneous perturbation stochastic approximation (Spall, IEEE Transactions on Automatic Control 37(3), 332-341, 1992,
Eq. 2.2), with all of the prompt's parameter t moved at once, there and back, along random signs d:

    g = (L(t + w d) - L(t - w d)) / (2 w) * d        d_i = +-1, each with probability 1/2

Its mean is the gradient up to O(w^2), exactly so where L is linear or quadratic. A single probe is noisy: its squared
length is about the number of the parameter's elements times the gradient's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from diffexplain.diffusion.gradients.estimator import Estimate, Objective, given_gradient
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws

if TYPE_CHECKING:
    from diffexplain.diffusion import AnyPrior


class SPSA:
    """Two-point, antithetic probes; each is two forward passes of the whole batch.

    Args:
        probes: directions that are averaged.
        width: w, in the units of the prompt's parameter.

    Raises:
        UserError: no probe, or a width that is not positive.
    """

    needs_gradient: ClassVar[bool] = False

    def __init__(self, probes: int = 4, width: float = 0.05) -> None:
        if probes < 1:
            raise UserError("SPSA needs at least one probe.", given=f"gradient.probes={probes}")
        if width <= 0:
            raise UserError("SPSA's width is positive.", given=f"gradient.width={width}")
        self.probes = probes
        self.width = width

    def estimate(
        self, prompt: nn.Module, prior: AnyPrior, latents: Tensor, objective: Objective, draws: Draws, step: int
    ) -> Estimate:
        """Loss and scores are means over the probes; the images are the last probe's."""
        ((name, parameter),) = prompt.named_parameters()
        gradient = torch.zeros_like(parameter)
        measured = []
        with torch.no_grad():
            for probe in range(self.probes):
                signs = draws.normal("spsa", step, tuple(parameter.shape), probe).sign().to(parameter)
                for way in (self.width, -self.width):
                    images = _images(prior, functional_call(prompt, {name: parameter + way * signs}, ()), latents)
                    measured.append(objective(images))
                (there, _), (back, _) = measured[-2:]
                gradient += (there - back) / (2.0 * self.width * self.probes) * signs
        loss = torch.stack([loss for loss, _ in measured]).mean()
        scores = torch.stack([scores for _, scores in measured]).mean(dim=0)
        return Estimate(given_gradient(loss, parameter, gradient), scores, images)


def _images(prior: AnyPrior, condition: Tensor, latents: Tensor) -> Tensor:
    parts = prior.without_gradient.run(len(latents), lambda part: prior.sample(condition, latents[part]))
    return torch.cat(parts)
