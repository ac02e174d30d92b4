"""Which modules of a network still know where things are, and their outputs as maps (N, C, h, w)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.units import channels_last, device_of
from diffexplain.errors import UserError
from experiments.attribution.attention import Attentions
from experiments.attribution.attribution import Response

MOST_EXTRA_TOKENS = 8
"""Tokens that stand for no place: class, distillation and register tokens. They come first."""

_IMAGES = 2
_SIDE = 224
"""Number and side in pixels of the pictures of noise that find the modules; the classifier resizes them."""


@dataclass(frozen=True)
class Layout:
    """How a module's output holds a map.

    Attributes:
        kind: channels first (N, C, h, w), channels last (N, h, w, C), or tokens (N, extra + h·w, C).
        height: h.
        width: w.
        extra: tokens before those of the map.
    """

    kind: Literal["first", "last", "tokens"]
    height: int
    width: int
    extra: int = 0

    @staticmethod
    def of(module: nn.Module, output: Any, batch: int) -> Layout | None:
        """The layout of what ``module`` gave for ``batch`` images; None where it has no more than one place."""
        if not isinstance(output, Tensor) or len(output) != batch:
            return None
        if output.ndim == 3:
            return token_grid(output.shape[1])
        if output.ndim != 4:
            return None
        last = channels_last(module, output)
        height, width = output.shape[1:3] if last else output.shape[2:]
        return Layout("last" if last else "first", height, width) if height * width > 1 else None

    def to_map(self, output: Tensor) -> Tensor:
        """The output as (N, C, h, w)."""
        if self.kind == "first":
            return output
        if self.kind == "last":
            return output.permute(0, 3, 1, 2)
        return output[:, self.extra :].transpose(1, 2).unflatten(2, (self.height, self.width))

    def from_map(self, spatial: Tensor, output: Tensor) -> Tensor:
        """The output with the map ``spatial`` (N, C, h, w) in place of its own."""
        if self.kind == "first":
            return spatial
        if self.kind == "last":
            return spatial.permute(0, 2, 3, 1)
        return torch.cat([output[:, : self.extra], spatial.flatten(2).transpose(1, 2)], dim=1)


@dataclass(frozen=True)
class _Output:
    """What a module gave, and how many attentions had been computed before."""

    path: str
    layout: Layout
    tensor: Tensor
    before: int

    def counts(self, attentions: Attentions) -> bool:
        """Whether these are tokens on their way into an attention, or a map, not (N, heads, tokens, ...) inside one."""
        seen = attentions.attentions
        if self.layout.kind == "tokens":
            return not seen or self.before < len(seen)
        return self.tensor.shape[2] not in {attention.shape[-1] for attention in seen}


def token_grid(tokens: int) -> Layout | None:
    """The square grid of a transformer's tokens, with as few tokens before it as possible; None if there is none.

    >>> token_grid(197)
    Layout(kind='tokens', height=14, width=14, extra=1)
    """
    for extra in range(MOST_EXTRA_TOKENS + 1):
        side = isqrt(max(tokens - extra, 0))
        if side > 1 and side * side == tokens - extra:
            return Layout("tokens", side, side, extra)
    return None


def spatial_modules(classifier: Classifier, response: Response) -> list[str]:
    """Paths of the backbone's modules whose output is a map that the response depends on, in order of computation.

    Of a transformer's tokens those count that are normalised and go into an attention: later ones no longer stand
    for their place, and where a class token alone is read, nothing depends on the others.
    """
    backbone = classifier.backbone
    attentions = Attentions()
    outputs: list[_Output] = []

    def remember(path: str, module: nn.Module, output: Any) -> None:
        layout = Layout.of(module, output, _IMAGES)
        if layout is not None and output.requires_grad and (layout.kind != "tokens" or _normalises(module)):
            outputs.append(_Output(path, layout, output, len(attentions.attentions)))

    noise = torch.rand(_IMAGES, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    handles = [
        module.register_forward_hook(lambda module, _inputs, output, path=path: remember(path, module, output))
        for path, module in backbone.named_modules()
        if path
    ]
    try:
        with torch.enable_grad(), attentions:
            value = response(noise.to(device_of(backbone)).requires_grad_()).sum()
    finally:
        for handle in handles:
            handle.remove()
    outputs = [output for output in outputs if output.counts(attentions)]
    if not outputs:
        return []
    gradients = torch.autograd.grad(value, [output.tensor for output in outputs], allow_unused=True)
    return list(
        dict.fromkeys(
            output.path
            for output, gradient in zip(outputs, gradients, strict=True)
            if gradient is not None and output.layout.to_map(gradient).any()
        )
    )


def last_spatial_module(classifier: Classifier, response: Response) -> str:
    """The module nearest to the answer that still has a map.

    Raises:
        UserError: none has.
    """
    found = spatial_modules(classifier, response)
    if not found:
        raise UserError(
            f"{classifier.name} has no module whose output is a map over the image that the answer depends on; "
            "Grad-CAM needs one. Integrated gradients and SmoothGrad do not."
        )
    return found[-1]


def check_spatial_module(classifier: Classifier, response: Response, module: str) -> None:
    """See that ``module`` has a map.

    Raises:
        UserError: it has none, or there is no such module.
    """
    found = spatial_modules(classifier, response)
    if module not in found:
        message = f"{classifier.name} has no such module with a map over the image that the answer depends on."
        raise UserError(message, given=module, accepted=found)


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm) or "norm" in type(module).__name__.lower()


def to_pixels(classifier: Classifier, images: Tensor, grids: Tensor) -> Tensor:
    """Maps over what the network is given, carried back to the images' own pixels.

    Preprocessing resizes and crops. Its adjoint hands the value at each of the network's pixels to those image
    pixels that it was made of, so what a crop cuts off gets nothing.

    Args:
        classifier: whose preprocessing it is.
        images: (N, 3, H, W) in [0, 1].
        grids: (N, h, w), not below 0, of any resolution.

    Returns:
        (N, H, W), not below 0.
    """
    with torch.enable_grad():
        plane = torch.full_like(images, 0.5, requires_grad=True)  # grey: nothing is clamped
        resized = classifier.preprocess.resized(plane)
        fine = functional.interpolate(grids[:, None], resized.shape[-2:], mode="bilinear", align_corners=False)
        (carried,) = torch.autograd.grad((resized[:, :1] * fine).sum(), plane)
    return carried[:, 0].clamp(min=0)  # a bicubic resize has weights below 0
