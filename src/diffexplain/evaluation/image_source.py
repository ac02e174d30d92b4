"""The images of an evaluation: where they come from, how far they activate the target, and which of them are shown."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetScores, check_images
from diffexplain.evaluation.results import Activation, Example
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.segmentation.detections import Detections
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


def as_bytes(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def examples(
    images: Tensor,
    reading: TargetScores,
    activating: Sequence[int],
    detections: Detections | None,
    phrases: Sequence[str],
    limit: int,
) -> tuple[Example, ...]:
    """The first activating images, in seed order, filled up with images that do not activate.

    ``detections``: what was seen in the activating images, numbered by their place in ``activating``; None if nothing
    was looked for. ``phrases``: those whose masks are wanted.
    """
    others = [index for index in range(len(images)) if not reading.activates[index]]
    chosen = [*list(activating)[:limit], *others][:limit]
    result = []
    for place, index in enumerate(chosen):
        masks: dict[str, NDArray[np.bool_]] = {}
        if detections is not None and reading.activates[index] and place < detections.count:
            masks = {p: detections.region(place, p).numpy() for p in phrases if detections.shows(place, p)}
        score, activates = float(reading.score[index]), bool(reading.activates[index])
        result.append(Example(index, as_bytes(images[index]), score, activates, masks))
    return tuple(result)
