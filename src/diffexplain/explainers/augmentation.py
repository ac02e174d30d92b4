"""Cut-outs: what a classifier that is not robust is shown in place of the image alone.

Through such a classifier the gradient finds patterns that move its answer and show a person nothing. Hardly one of them
does so at another place and another scale too, so the loss is the mean over the image and many parts of it,

    L(x) = 1/V (l(x) + sum_v l(cut_v(x) + w n_v)),        v = 1 .. V-1

each a square window of random size and place, enlarged to the image's own size, mirrored or not, with a little noise.
After DiG-IN (Augustin et al., arXiv 2311.17833), which needed 16 cut-outs and noise. Design choices of ours: the image
itself is one of the views, so that the recorded score is its own and costs nothing; windows are mirrored, and may reach
over the rim; all images of a step have the same windows and noise, so that micro-batches and devices agree and
gradient-free probes differ by the prompt alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diffexplain.diffusion.sampling import StraightClamp
from diffexplain.errors import UserError
from diffexplain.explainers.objective import Objective, Outcome
from diffexplain.runs.draws import Draws


class Augmentation(Protocol):
    """What stands between generated images and the classifier while the prompt is optimised."""

    def through(self, objective: Objective, draws: Draws, step: int) -> Callable[[Tensor], Outcome]:
        """``objective`` of images (B, 3, H, W) in [0, 1] as they are seen at optimisation step ``step``.

        The loss is that of what is seen, the scores (B,) are those of the images themselves.
        """
        ...


@dataclass(frozen=True)
class Cutouts:
    """The image and parts of it; the classifier's work and memory grow by the number of views.

    Attributes:
        views: of each image, itself among them.
        smallest: side of the smallest part, as a share of the image's; sides are uniform between it and 1.
        jitter: how far a part may reach over the rim, as a share of the image's side; there the image is mirrored.
        noise: standard deviation of what is added to a part, the image's values being in [0, 1].

    Raises:
        UserError: one of them is out of its range.
    """

    views: int = 16
    smallest: float = 0.44
    jitter: float = 0.05
    noise: float = 0.005

    def __post_init__(self) -> None:
        for right, message, key in (
            (self.views >= 1, "The image itself is a view.", "views"),
            (0 < self.smallest <= 1, "A part is a share of the image, above 0 and at most 1.", "smallest"),
            (0 <= self.jitter <= 0.5, "A part keeps its middle inside the image: 0 to 0.5.", "jitter"),
            (self.noise >= 0, "A standard deviation is not negative.", "noise"),
        ):
            if not right:
                raise UserError(message, given=f"augmentation.{key}={getattr(self, key)}")

    def through(self, objective: Objective, draws: Draws, step: int) -> Callable[[Tensor], Outcome]:
        def seen(images: Tensor) -> Outcome:
            parts = [self.part(images, draws, step, view) for view in range(1, self.views)]
            loss, scores = objective(torch.cat([images, *parts]))
            return Outcome(loss, scores[: len(images)])

        return seen

    def part(self, images: Tensor, draws: Draws, step: int, view: int) -> Tensor:
        """One part of each image (B, 3, H, W) in [0, 1], of the same size and range; gradients pass."""
        generator = draws.generator("cutouts", step, view)
        size, *place, mirrored = generator.random(4)
        side = self.smallest + (1 - self.smallest) * size
        # The image is from -1 to 1 both ways; so far the window's middle may be from its middle.
        reach = 1 - side + 2 * self.jitter
        across, down = ((2 * share - 1) * reach for share in place)
        window = images.new_tensor([[-side if mirrored < 0.5 else side, 0, across], [0, side, down]])
        grid = functional.affine_grid(window.expand(len(images), 2, 3), list(images.shape), align_corners=False)
        part = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        if self.noise:
            noise = generator.standard_normal(tuple(images.shape[1:]), dtype=np.float32)
            part = part + self.noise * torch.from_numpy(noise).to(part)
        clamped: Tensor = StraightClamp.apply(part)
        return clamped
