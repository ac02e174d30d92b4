"""A classifier's published preprocessing with operations that gradients pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from diffexplain.errors import UserError

Interpolation = Literal["bilinear", "bicubic"]
Channels = Literal["RGB", "BGR"]
Size = int | Sequence[int]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Preprocessing(nn.Module):
    """Resize, centre crop, channel order, scale, mean and std: RGB `(B, 3, H, W)` in [0, 1] to what a network takes.

    The published pipelines resize pictures of bytes with PIL, which rounds after the rows and again after the
    columns. That is done here too, since some networks answer to it; gradients pass as if nothing were rounded
    (straight-through estimator, Bengio et al., arXiv 1308.3432).

    Args:
        size: of the resized picture in pixels: one number is the shorter side, the longer one keeps the
            proportion, rounded down; two are height and width.
        crop: side, or height and width, of the centre that is kept; black is added where the picture is
            smaller. `None` keeps the whole.
        interpolation: `bilinear` or `bicubic`.
        antialias: a smaller picture is made from all pixels of the larger one, as PIL does, and not from the
            nearest alone, as OpenCV does.
        mean: of each channel, in the order of `channels` and in the unit of `scale`; subtracted.
        std: of each channel, likewise; divides afterwards.
        scale: value of the brightest pixel: 1, or 255 for networks that were trained on bytes.
        channels: the order in which the network takes them.
        bytes_between: round to 256 values in the resize; `False` for networks that were trained on pictures that
            never were bytes.
        odd_surplus: what is cut off above when the surplus is odd: half of it rounded to `nearest` (even)
            as torchvision and timm do, or `down` as transformers does.

    Raises:
        UserError: a value that is not one of these.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        size: Size,
        crop: Size | None = None,
        *,
        interpolation: Interpolation = "bilinear",
        antialias: bool = True,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        scale: float = 1.0,
        channels: Channels = "RGB",
        bytes_between: bool = True,
        odd_surplus: Literal["nearest", "down"] = "nearest",
    ) -> None:
        super().__init__()
        for name, given, accepted in (
            ("interpolation", interpolation, get_args(Interpolation)),
            ("channels", channels, get_args(Channels)),
            ("odd_surplus", odd_surplus, ("nearest", "down")),
        ):
            if given not in accepted:
                raise UserError(f"Preprocessing has no such {name}.", given=given, accepted=accepted)
        if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
            raise UserError("mean and std have one value for each of three channels, std above 0.")
        self.size = [size] if isinstance(size, int) else list(size)
        self.crop = None if crop is None else [crop] if isinstance(crop, int) else list(crop)
        for sides in (self.size, self.crop or [1]):
            if len(sides) not in (1, 2) or min(sides) < 1:
                raise UserError("A size is one number of pixels or two.", given=f"size={size}, crop={crop}")
        self.interpolation = interpolation
        self.antialias = antialias
        self.scale = scale
        self.channels = channels
        self.bytes_between = bytes_between
        self.odd_surplus = odd_surplus
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] to the network's input `(B, 3, h, w)`; gradients pass."""
        images = self.resized(images)
        if self.channels == "BGR":
            images = images.flip(1)
        if self.scale != 1:
            images = images * self.scale
        return (images - self.mean) / self.std

    def resized(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] resized and cropped, the values still RGB in [0, 1]."""
        height, width = self._resized_size(*images.shape[-2:])
        if self.bytes_between:
            images = self._pass(images, images.shape[-2], width)
        images = self._pass(images, height, width)
        if self.crop is None:
            return images
        crop = (self.crop * 2)[:2]
        if self.odd_surplus == "down":
            height, width = (side - max(side - kept, 0) % 2 for side, kept in zip(images.shape[-2:], crop, strict=True))
            images = images[..., :height, :width]
        return functional.center_crop(images, crop)

    def _resized_size(self, height: int, width: int) -> tuple[int, int]:
        if len(self.size) == 2:
            return self.size[0], self.size[1]
        side = self.size[0]
        return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)

    def _pass(self, images: Tensor, height: int, width: int) -> Tensor:
        if images.shape[-2:] == (height, width):
            return images
        images = functional.resize(images, [height, width], _MODES[self.interpolation], antialias=self.antialias)
        if self.interpolation == "bicubic":
            images = images.clamp(0, 1)  # A byte cannot hold the overshoot.
        if self.bytes_between:
            images = images + ((255 * images.detach()).round() / 255 - images.detach())
        return images


_MODES = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}
