"""The hidden units of a network: which modules have channels, how many, and what an activation is."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffexplain.classifiers.classifier import Classifier


def channel_means(output: Tensor) -> Tensor:
    """Mean activation of every channel: `(B, C, H, W)`, `(B, T, C)` or `(B, C)` becomes `(B, C)`.

    Raises:
        ValueError: the output has another number of dimensions.
    """
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    if output.ndim == 3:
        return output.mean(dim=1)
    if output.ndim == 2:
        return output
    raise ValueError(f"no channels in an output of shape {tuple(output.shape)}")


def channel_count(output: Tensor) -> int:
    """Number of channels of an output as `channel_means` reads it."""
    return output.shape[1] if output.ndim in (2, 4) else output.shape[2]


def unit_modules(classifier: "Classifier") -> dict[str, int]:
    """Path of every backbone module whose output has channels, with their number, in order of definition.

    Found by one forward pass of a black image, so that blocks count as well as single layers; with a
    classifier from `build_meta` it reads no weights.
    """
    backbone = classifier.backbone
    counts: dict[str, int] = {}

    def remember(path: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim in (2, 3, 4):
            counts[path] = channel_count(output)

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, path=path: remember(path, output))
        for path, module in backbone.named_modules()
        if path
    ]
    parameter = next(backbone.parameters())
    side = classifier.input_size
    try:
        with torch.no_grad():
            backbone(torch.zeros(1, 3, side, side, device=parameter.device, dtype=parameter.dtype))
    finally:
        for handle in handles:
            handle.remove()
    return {path: counts[path] for path, _ in backbone.named_modules() if path in counts}
