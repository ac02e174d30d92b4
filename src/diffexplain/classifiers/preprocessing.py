"""A classifier's published preprocessing with operations that gradients pass."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from diffexplain.errors import UserError

Interpolation = Literal["bilinear", "bicubic"]
Channels = Literal["RGB", "BGR", "L"]
OddSurplus = Literal["nearest", "down"]
Size = int | Sequence[int]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601), as in PIL's mode "L"."""

_MODES = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}
_WHERE = "classifier.preprocessing"


class Preprocessing(nn.Module):
    """Resize, centre crop, channels, scale, mean and std: RGB `(B, 3, H, W)` in [0, 1] to what a network takes.

    The published pipelines resize pictures of bytes with PIL, which rounds after the rows and again after the
    columns. That is done here too, since some networks answer to it; gradients pass as if nothing were rounded
    (straight-through estimator, Bengio et al., arXiv 1308.3432).

    Args:
        size: of the resized picture in pixels: one number is the shorter side, the longer one keeps the
            proportion, rounded down; two are height and width. `None` leaves pictures as large as they are.
        crop: side, or height and width, of the centre that is kept, not larger than the resized picture.
            `None` keeps the whole.
        interpolation: `bilinear` or `bicubic`.
        antialias: a smaller picture is made from all pixels of the larger one, as PIL does, and not from the
            nearest alone, as OpenCV does.
        mean: of each channel, in the order of `channels` and in the unit of `scale`; subtracted. `None`
            subtracts nothing.
        std: of each channel, likewise; divides afterwards. `None` divides by nothing.
        scale: value of the brightest pixel: 1, or 255 for networks that were trained on bytes.
        channels: what the network takes: `RGB`; `BGR`; or `L`, one channel of brightness as PIL's "L" is made.
            `None` is `L` where mean or std has one value, otherwise `RGB`.
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
        size: Size | None,
        crop: Size | None = None,
        *,
        interpolation: Interpolation = "bilinear",
        antialias: bool = True,
        mean: Sequence[float] | None = IMAGENET_MEAN,
        std: Sequence[float] | None = IMAGENET_STD,
        scale: float = 1.0,
        channels: Channels | None = None,
        bytes_between: bool = True,
        odd_surplus: OddSurplus = "nearest",
    ) -> None:
        super().__init__()
        one_value = any(isinstance(values, Sequence) and len(values) == 1 for values in (mean, std))
        channels = channels or ("L" if one_value else "RGB")
        for name, given, accepted in (
            ("interpolation", interpolation, get_args(Interpolation)),
            ("channels", channels, get_args(Channels)),
            ("odd_surplus", odd_surplus, get_args(OddSurplus)),
        ):
            if given not in accepted:
                raise UserError(f"Preprocessing has no such {name}.", given=given, accepted=accepted)
        if not scale > 0:
            raise UserError("The scale of pictures is above 0: 1, or 255.", given=scale)
        count = 1 if channels == "L" else 3
        self.size, self.crop = _sides("size", size), _sides("crop", crop)
        _check_crop(self.size, self.crop)
        self.interpolation = interpolation
        self.antialias = antialias
        self.scale = scale
        self.channels = channels
        self.bytes_between = bytes_between
        self.odd_surplus = odd_surplus
        subtracted = _per_channel("mean", mean, channels, count) or [0.0] * count
        divides = _per_channel("std", std, channels, count) or [1.0] * count
        if min(divides) <= 0:
            raise UserError("Every std is above 0.", given=divides)
        _check_unit(subtracted, divides, scale)
        self.register_buffer("mean", torch.tensor(subtracted).view(1, count, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(divides).view(1, count, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] to the network's input `(B, 3, h, w)`, or `(B, 1, h, w)`; gradients pass."""
        images = self.resized(images)
        if self.channels == "L":
            images = self._rounded(luminance(images))
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
        if self.size is None:
            return height, width
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
        return self._rounded(images)

    def _rounded(self, images: Tensor) -> Tensor:
        if not self.bytes_between:
            return images
        return images + ((255 * images.detach()).round() / 255 - images.detach())


def preprocessing_from(settings: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of a configuration: what stands under `classifier.preprocessing`.

    Raises:
        UserError: a key is unknown, or as `Preprocessing`.
    """
    known = list(inspect.signature(Preprocessing).parameters)
    for key in settings:
        if key not in known:
            raise UserError("There is no such key.", given=f"{_WHERE}.{key}", accepted=[f"{_WHERE}.{k}" for k in known])
    if "size" not in settings:
        raise UserError(f"{_WHERE}.size is missing.", hint="diffexplain run --cfg")
    return Preprocessing(**settings)


def luminance(images: Tensor) -> Tensor:
    """RGB `(B, 3, H, W)` to brightness `(B, 1, H, W)`."""
    weights = images.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def _sides(name: str, given: Size | None) -> list[int] | None:
    if given is None:
        return None
    sides = list(given) if isinstance(given, Sequence) else [given]
    if len(sides) not in (1, 2) or not all(type(side) is int and side >= 1 for side in sides):
        raise UserError(f"{_WHERE}.{name} is a number of pixels, [height, width], or null.", given=given)
    return sides


def _check_crop(size: list[int] | None, crop: list[int] | None) -> None:
    """A crop beyond the picture would be framed with black."""
    if crop is None:
        return
    if size is None:
        raise UserError("A crop needs a size to which pictures are resized first.", given=f"size=null, crop={crop}")
    height, width = (size * 2)[:2]
    if crop[0] > height or crop[-1] > width:
        message = (
            "The crop is larger than the resized picture, so the network would be shown a black frame: "
            f"{_WHERE}.crop is at most {_shown(size)}, or null to keep all."
        )
        raise UserError(message, given=f"size={_shown(size)}, crop={_shown(crop)}")


def _per_channel(name: str, values: Sequence[float] | None, channels: str, count: int) -> list[float] | None:
    if values is None:
        return None
    listed = list(values) if isinstance(values, Sequence) else []
    if len(listed) != count or not all(isinstance(value, int | float) and math.isfinite(value) for value in listed):
        wanted = "one number" if count == 1 else f"{count} numbers"
        raise UserError(f"{_WHERE}.{name} is a list of {wanted} for channels={channels}, or null.", given=values)
    return [float(value) for value in listed]


def _check_unit(mean: list[float], std: list[float], scale: float) -> None:
    """A mean in 0 to 255 makes nonsense of pictures in 0 to 1; and ImageNet's in 0 to 1, which a configuration may hold
    unasked, of pictures in 0 to 255."""
    if max(mean) > scale:
        message = (
            f"{_WHERE}: a mean is not above the brightest pixel, which scale says; pictures of bytes have scale=255."
        )
        raise UserError(message, given=f"scale={scale:g}, mean={mean}")
    if scale != 1 and (mean, std) == (list(IMAGENET_MEAN), list(IMAGENET_STD)):
        usual = [[round(scale * value, 3) for value in values] for values in (mean, std)]
        message = (
            f"{_WHERE}: mean and std are in the unit of scale, and these are of pictures in 0 to 1. Give "
            f"mean={usual[0]} and std={usual[1]}, which are ImageNet's, your own, or null for none."
        )
        raise UserError(message, given=f"scale={scale:g}, mean={mean}, std={std}")


def _shown(sides: Sequence[int]) -> str:
    return str(sides[0]) if len(sides) == 1 else str(list(sides))
