"""What an evaluation asks of the parts it is given; the package's own classes fit, and so do fakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from diffexplain.segmentation import Calibration


class PriorLike(Protocol):
    """A text-to-image prior; see `diffexplain.diffusion`."""

    @property
    def latent_shape(self) -> tuple[int, int, int]: ...

    @property
    def device(self) -> torch.device: ...

    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor, /) -> Tensor: ...


class ClassifierLike(Protocol):
    """A frozen classifier, from images to scores; see `diffexplain.classifiers`."""

    @property
    def exclusive(self) -> bool: ...

    def __call__(self, images: Tensor, /) -> Tensor: ...

    def activation(self, images: Tensor, module: str, channel: int, /) -> Tensor: ...


class SegmenterLike(Protocol):
    """Phrases to masks; see `diffexplain.segmentation`."""

    @property
    def calibration(self) -> Calibration: ...

    def masks(self, images: Tensor, phrases: Sequence[str], /) -> Tensor: ...


class SeeingSegmenter(SegmenterLike, Protocol):
    """A segmenter that knows how well a phrase fits a whole image, as `diffexplain.segmentation.Segmenter`."""

    def similarity(self, images: Tensor, phrases: Sequence[str], /) -> Tensor: ...


class WordLike(Protocol):
    """A word near a token of the prompt."""

    @property
    def text(self) -> str: ...


class ExplanationLike(Protocol):
    """What an explainer found: the prompt's hidden states (1, T, D) and each token's nearest words."""

    @property
    def condition(self) -> Tensor: ...

    @property
    def words(self) -> Sequence[Sequence[WordLike]]: ...
