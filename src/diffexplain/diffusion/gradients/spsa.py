"""A gradient from forward passes alone, for classifiers that have none: SPSA.

Simultaneous perturbation stochastic approximation (Spall, IEEE Transactions on Automatic Control 37(3), 332-341, 1992,
Eq. 2.2), with all of the prompt's parameter t moved at once, there and back, along random signs d:

    g = (L(t + w d) - L(t - w d)) / (2 w) * d        d_i = +-1, each with probability 1/2

Its mean is the gradient up to O(w^2), exactly so where L is linear or quadratic. A single probe is noisy: its squared
length is about the number of the parameter's elements times the gradient's. A prompt of words jumps from word to word,
which has no such differences: its probes are of the mixtures of words. One more pass is that of the prompt itself.
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

    @property
    def passes(self) -> int:
        """Forward passes of the whole batch in a step: there and back for each probe, and of the prompt itself."""
        return 2 * self.probes + 1

    def estimate(
        self, prompt: nn.Module, prior: AnyPrior, latents: Tensor, objective: Objective, draws: Draws, step: int
    ) -> Estimate:
        """Loss, scores and images are those of the prompt itself."""
        ((name, parameter),) = prompt.named_parameters()
        gradient = torch.zeros_like(parameter)
        with torch.no_grad():
            images = _images(prior, prompt(), latents)
            loss, scores = objective(images)
            for probe in range(self.probes):
                signs = draws.normal("spsa", step, tuple(parameter.shape), probe).sign().to(parameter)
                probed = []
                for way in (self.width, -self.width):
                    condition = functional_call(prompt, {name: parameter + way * signs}, (True,))
                    probed.append(objective(_images(prior, condition, latents))[0])
                gradient += (probed[0] - probed[1]) / (2.0 * self.width * self.probes) * signs
        return Estimate(given_gradient(loss, parameter, gradient), scores, images)


def _images(prior: AnyPrior, condition: Tensor, latents: Tensor) -> Tensor:
    parts = prior.without_gradient.run(len(latents), lambda part: prior.sample(condition, latents[part]))
    return torch.cat(parts)
