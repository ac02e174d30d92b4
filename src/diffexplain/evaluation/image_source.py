"""Where the images of an evaluation come from, and from which seeds; and how far they activate the target."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from torch import Tensor

from diffexplain.classifiers.target_scores import TargetScores, check_images
from diffexplain.evaluation.results import Activation
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.statistics.tests import bootstrap_mean, wilson

if TYPE_CHECKING:
    from diffexplain.diffusion import AnyPrior

PURPOSE = "evaluate"


class Seeds(IntEnum):
    """The sets of seeds of an evaluation, none of which the optimisation ever sees.

    Every prompt is scored on the same seeds, so that prompts differ by what they say alone; the phrase
    search chooses on seeds of its own and is scored again on others.
    """

    SCORE = 0
    CHOOSE = 1
    RESCORE = 2
    BOOTSTRAP = 4
    RANDOM_WORDS = 5
    SIGHT = 6


class ImageSource:
    """Makes the images of an evaluation and counts them."""

    def __init__(self, prior: AnyPrior, draws: Draws) -> None:
        self.prior = prior
        self.draws = draws
        self.made = 0

    def images(self, prompts: Sequence[str] | Tensor, seeds: Seeds, count: int) -> Tensor:
        """``count`` images (count, 3, H, W) in [0, 1] on the CPU; prompts: one for each image or one for all.

        Raises:
            UserError: the prior's images are not finite or leave [0, 1].
        """
        latents = self.draws.normals(PURPOSE, seeds, count, self.prior.latent_shape)
        images = self.prior.generate(prompts, latents.to(self.prior.device)).detach().float().cpu()
        check_images(images, "a picture of the prior's")
        self.made += len(images)
        return images.clamp(0, 1)


def summarise(
    name: str, text: str | None, reading: TargetScores, draws: Draws, settings: EvaluationSettings
) -> Activation:
    """One row of the activation table."""
    share = wilson(int(reading.activates.sum()), len(reading.activates))
    mean = bootstrap_mean(reading.score, draws.generator(PURPOSE, Seeds.BOOTSTRAP), settings.resamples)
    return Activation(name, text, share, mean)
