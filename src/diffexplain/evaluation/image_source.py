"""Where the images of an evaluation come from, and from which seeds."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import torch
from torch import Tensor

from diffexplain.classifiers.target_scores import check_images
from diffexplain.runs.draws import Draws

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


class PriorLike(Protocol):
    """A text-to-image prior; see `diffexplain.diffusion`."""

    @property
    def latent_shape(self) -> tuple[int, ...]: ...

    @property
    def device(self) -> torch.device: ...

    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor, /) -> Tensor: ...


class ImageSource:
    """Makes the images of an evaluation and counts them."""

    def __init__(self, prior: PriorLike, draws: Draws) -> None:
        self.prior = prior
        self.draws = draws
        self.made = 0

    def images(self, prompts: Sequence[str] | Tensor, seeds: Seeds, count: int) -> Tensor:
        """``count`` images (count, 3, H, W) in [0, 1] on the CPU; prompts: one for each image or one for all.

        Raises:
            UserError: the prior's images are not finite or leave [0, 1].
        """
        latents = self.draws.normals(PURPOSE, seeds, count, self.prior.latent_shape)
        return self._checked(self.prior.generate(prompts, latents.to(self.prior.device)))

    def _checked(self, images: Tensor) -> Tensor:
        images = images.detach().float().cpu()
        check_images(images, "a picture of the prior's")
        self.made += len(images)
        return images.clamp(0, 1)
