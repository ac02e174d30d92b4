"""Activation maximisation: optimise the picture itself; the baselines that DiffExplainer's Figure 2 compares with.

    x* = argmax_x  a(x) - R(x)

a is the class's logit, or a hidden unit's mean activation. The methods differ in what x may be and in R:

    Yosinski et al. 2015 (arXiv 1506.06579): pixels; each step is followed by decay, blur and clipping
    Mahendran & Vedaldi 2016 (arXiv 1512.02017): pixels; total variation, alpha-norm, jitter
    Nguyen et al. 2016 (arXiv 1605.09304): the code of a generator; here the latents of the prior's autoencoder
    MACO, Fel et al. 2023 (arXiv 2306.06805): the phases of a spectrum whose magnitudes are those of natural pictures

Every picture is optimised by itself, from a start of its own. Which settings are the papers' and which are ours is in
`docs/baselines.md`. Pixels are in [0, 1] here and in 0 to 255 in the papers, so their constants are divided by 255.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.output import probabilities
from diffexplain.diffusion.prior import Prior
from diffexplain.diffusion.sampling import StraightClamp
from diffexplain.errors import UserError
from diffexplain.explainers.augmentation import Augmentation
from diffexplain.explainers.divergence import Diverged, unanswered
from diffexplain.explainers.explanation import FoundImages
from diffexplain.explainers.natural_pictures import Surroundings
from diffexplain.explainers.objective import ClassObjective, Objective, Outcome, objective_for
from diffexplain.progress import progress
from diffexplain.runs.draws import Draws
from diffexplain.target import ResolvedTarget

GREY = 0.5
"""The papers' pixels are differences from the mean picture of ImageNet; ours from the middle of the range."""
PURPOSE = "maximise"


class LogitObjective(ClassObjective):
    """``max`` of the class's logit, as in all four papers; the score is the class's probability.

    Of a network that gives probabilities the logit is not known: what it is instead, `output.scores` says.
    """

    def __call__(self, images: Tensor) -> Outcome:
        logits = self.classifier(images).float()
        probability = probabilities(logits.detach(), self.classifier.exclusive)
        return Outcome(-logits[:, self.class_index].mean(), probability[:, self.class_index])


@dataclass(frozen=True, kw_only=True)
class ActivationMaximisation(ABC):
    """What the methods share: the ascent. A method says where x begins, what picture it is, and what R does to it.

    Attributes:
        images: pictures that are made, each from a start of its own.
        steps: of the optimiser.
        learning_rate: of the optimiser.
        batch_size: pictures at once; it changes the last bits of results.
    """

    finds: ClassVar[str] = "images"
    needs_gradient: ClassVar[bool] = True

    images: int = 24
    steps: int
    learning_rate: float
    batch_size: int = 24

    def __post_init__(self) -> None:
        for name in ("images", "steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError("There must be at least one.", given=f"explainer.{name}={getattr(self, name)}")

    @abstractmethod
    def begin(self, indices: Sequence[int], around: Surroundings) -> Tensor:
        """x of the pictures with these indices, before the first step."""

    @abstractmethod
    def picture(self, x: Tensor, around: Surroundings, step: int | None) -> Tensor:
        """The pictures (B, 3, H, W) in [0, 1] of x as they are seen at ``step``; at the end it is None."""

    @abstractmethod
    def optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        """What moves x."""

    def penalty(self, x: Tensor) -> Tensor:
        """R as a sum over the pictures."""
        return x.new_zeros(())

    def project(self, x: Tensor, step: int) -> None:
        """R as an operation on x after a step."""
        return

    def explain(
        self,
        target: ResolvedTarget,
        classifier: Classifier,
        prior: Prior,
        draws: Draws,
        *,
        pictures: Tensor | None = None,
        augmentation: Augmentation | None = None,
    ) -> FoundImages:
        """Make the pictures, on the prior's device.

        Args:
            pictures: natural ones, (M, 3, H, W) in [0, 1]; the prior's own if None.
            augmentation: what the classifier is shown of a picture; the picture alone if None.

        Raises:
            Diverged: a loss is not finite.
        """
        objective = objective_for(target, classifier)
        if isinstance(objective, ClassObjective):
            objective = LogitObjective(classifier, objective.class_index)
        around = Surroundings(prior, draws, pictures)
        starts = range(0, self.images, self.batch_size)
        parts = [range(start, min(start + self.batch_size, self.images)) for start in starts]
        made = [self._ascend(part, objective, around, augmentation) for part in parts]
        sums = sum(record * len(part) for part, (_, record) in zip(parts, made, strict=True))
        means = (np.asarray(sums) / self.images).tolist()
        curve = tuple({"step": step, "loss": loss, "score": score} for step, (loss, score) in enumerate(means))
        found = torch.cat([images for images, _ in made]).cpu()
        return FoundImages((found * 255).round() / 255, curve)

    def _ascend(
        self, indices: Sequence[int], objective: Objective, around: Surroundings, augmentation: Augmentation | None
    ) -> tuple[Tensor, NDArray[np.float64]]:
        x = self.begin(indices, around).to(around.prior.device).requires_grad_()
        optimizer = self.optimizer(x)
        record = np.zeros((self.steps, 2))
        for step in progress(range(self.steps), f"steps of pictures {indices[0]} to {indices[-1]}"):
            shown = objective if augmentation is None else augmentation.through(objective, around.draws, step)
            loss, scores = shown(self.picture(x, around, step))
            if not torch.isfinite(loss):
                why = unanswered(int((~scores.isfinite()).sum()), len(scores))
                raise Diverged(step, f"the loss is {loss.item()}{why}")
            optimizer.zero_grad()
            # Sums and not means: how far a picture moves does not depend on how many there are.
            (loss * len(indices) + self.penalty(x)).backward()
            optimizer.step()
            with torch.no_grad():
                self.project(x, step)
            record[step] = loss.item(), scores.mean().item()
        with torch.no_grad():
            return self.picture(x, around, None).float(), record


@dataclass(frozen=True, kw_only=True)
class PixelMaximisation(ActivationMaximisation):
    """x is made of pixels. ``side``: of the square pictures; None: the prior's size."""

    side: int | None = None

    def size(self, around: Surroundings) -> tuple[int, int]:
        """(H, W) of a picture."""
        return around.prior.image_size if self.side is None else (self.side, self.side)


@dataclass(frozen=True, kw_only=True)
class Yosinski(PixelMaximisation):
    """x <- r(x + learning rate · da/dx), where r decays x, blurs it now and then, and clips pixels of small norm.

    Attributes:
        decay: theta_decay, of each step.
        blur_sigma: theta_b_width, standard deviation in pixels.
        blur_every: theta_b_every, steps; 0: never.
        norm_percentile: theta_n_pct; so many percent of the pixels are set to grey after each step.
    """

    steps: int = 200
    learning_rate: float = 0.1
    decay: float = 0.0001
    blur_sigma: float = 0.5
    blur_every: int = 4
    norm_percentile: float = 50.0

    def begin(self, indices: Sequence[int], around: Surroundings) -> Tensor:
        return around.draws.normals(PURPOSE, 0, len(indices), (3, *self.size(around)), start=indices[0]) * (10 / 255)

    def picture(self, x: Tensor, around: Surroundings, step: int | None) -> Tensor:
        return StraightClamp.apply(GREY + x)

    def optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        return torch.optim.SGD([x], lr=self.learning_rate)

    def project(self, x: Tensor, step: int) -> None:
        x.mul_(1 - self.decay)
        if self.blur_every and step % self.blur_every == 0:
            x.copy_(functional.gaussian_blur(x, 2 * math.ceil(3 * self.blur_sigma) + 1, self.blur_sigma))
        norms = x.norm(dim=1, keepdim=True)
        least = norms.flatten(1).quantile(self.norm_percentile / 100, dim=1).view(-1, 1, 1, 1)
        x.mul_(norms >= least)


@dataclass(frozen=True, kw_only=True)
class MahendranVedaldi(PixelMaximisation):
    """``min -w a(x) + mean_p |x_p|^alpha / B^alpha + mean_p |grad x_p|^beta / V^beta``, seen through a jittered window.

    Attributes:
        weight: w.
        alpha, beta: the exponents.
        bright: B, a typical norm of a pixel.
        gradual: V, a typical norm of a pixel's gradient.
        bound: largest norm of a pixel.
        jitter: pixels by which the window on x moves at most, both ways; x is larger by as much.
    """

    steps: int = 300
    learning_rate: float = 0.00124
    weight: float = 0.1
    alpha: float = 6.0
    beta: float = 2.0
    bright: float = 0.3137
    gradual: float = 0.04827
    bound: float = 0.6275
    jitter: int = 2

    def begin(self, indices: Sequence[int], around: Surroundings) -> Tensor:
        height, width = (side + self.jitter for side in self.size(around))
        noise = [around.draws.generator(PURPOSE, 0, index).uniform(-1, 1, (3, height, width)) for index in indices]
        # So that a pixel's norm is about B where all its channels are at the 95th percentile.
        return torch.from_numpy(np.stack(noise)).float() * (self.bright / math.sqrt(3) / 0.9)

    def picture(self, x: Tensor, around: Surroundings, step: int | None) -> Tensor:
        top, left = self.jitter // 2, self.jitter // 2
        if step is not None:
            top, left = around.draws.generator("jitter", step).integers(0, self.jitter + 1, 2).tolist()
        height, width = self.size(around)
        return StraightClamp.apply(GREY + x[..., top : top + height, left : left + width])

    def optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        # The paper's AdaGrad forgets: its sum of squares is this average times 10, so its rate of 1 is sqrt(0.1) here.
        return torch.optim.RMSprop([x], lr=self.learning_rate, alpha=0.9, momentum=0.9)

    def penalty(self, x: Tensor) -> Tensor:
        norms = x.square().sum(dim=1).pow(self.alpha / 2) / self.bright**self.alpha
        down, across = x[..., 1:, :-1] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., :-1, :-1]
        gradients = (down.square() + across.square()).sum(dim=1).pow(self.beta / 2) / self.gradual**self.beta
        return (norms.mean(dim=(1, 2)) + gradients.mean(dim=(1, 2))).sum() / self.weight

    def project(self, x: Tensor, step: int) -> None:
        x.mul_((self.bound / x.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1))


@dataclass(frozen=True, kw_only=True)
class Nguyen(ActivationMaximisation):
    """``max_z a(G(z)) - R(z)`` over the code z of a generator G, kept near the codes of natural pictures.

    The paper's G is a network trained to invert a classifier's features. Here it is the decoder of the prior's
    autoencoder and z its latents, a much weaker prior: the diffusion model has no part in it. Each channel of z is
    counted in standard deviations of natural pictures' latents from their mean.

    Attributes:
        decay: share of z that is lost after each step.
        bound: of each component of z, in standard deviations.
        spread: standard deviation of the start.
    """

    needs_of_prior: ClassVar[str] = "its decoder"

    steps: int = 60
    learning_rate: float = 0.02
    decay: float = 0.03
    bound: float = 3.0
    spread: float = 0.3

    def begin(self, indices: Sequence[int], around: Surroundings) -> Tensor:
        shape = around.prior.latent_shape
        return around.draws.normals(PURPOSE, 0, len(indices), shape, start=indices[0]) * self.spread

    def picture(self, x: Tensor, around: Surroundings, step: int | None) -> Tensor:
        mean, deviation = around.latents
        return around.prior.decode(mean + deviation * x, final=step is None)

    def optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        return torch.optim.Adam([x], lr=self.learning_rate)

    def project(self, x: Tensor, step: int) -> None:
        x.mul_(1 - self.decay).clamp_(-self.bound, self.bound)


@dataclass(frozen=True, kw_only=True)
class Maco(PixelMaximisation):
    """``max_phi a(F^-1(r e^(i phi)))``: the magnitudes r stay those of natural pictures, the phases phi move."""

    steps: int = 128
    learning_rate: float = 0.1

    def begin(self, indices: Sequence[int], around: Surroundings) -> Tensor:
        height, width = self.size(around)
        shape = (3, height, width // 2 + 1)
        phases = [around.draws.generator(PURPOSE, 0, index).uniform(-math.pi, math.pi, shape) for index in indices]
        return torch.from_numpy(np.stack(phases)).float()

    def picture(self, x: Tensor, around: Surroundings, step: int | None) -> Tensor:
        mean, colours, magnitudes = around.spectrum(self.size(around))
        channels = torch.fft.irfft2(torch.polar(magnitudes.expand_as(x), x), s=self.size(around))
        return StraightClamp.apply(mean + torch.einsum("cd,ndij->ncij", colours, channels))

    def optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        return torch.optim.NAdam([x], lr=self.learning_rate)
