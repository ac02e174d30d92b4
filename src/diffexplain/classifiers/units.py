"""The hidden units of a network: which modules have channels, how many, and what an activation is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_SEVERAL = 2
"""Images in the pass that counts channels: of one, nobody could tell the batch from another dimension."""

_SIDE = 224
"""Their height and width in pixels; the classifier makes of them what it needs."""


def channel_means(module: nn.Module, output: Any, batch: int) -> Tensor | None:
    """Mean activation of every channel, over positions or tokens: `(B, C)`, or `None` where there are none.

    Of what `module` gave for `batch` images, `(B, C, H, W)`, `(B, H, W, C)`, `(B, T, C)` and `(B, C)` are read; of
    several outputs, the first. Which of the four-dimensional ones it is, the side tells that occurs twice (images are
    square); if all three are alike, channels come first unless `module` works on the last dimension.
    """
    tensor = _first_tensor(output)
    if tensor is None or tensor.ndim not in (2, 3, 4) or tensor.shape[0] != batch:
        return None
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.ndim == 2:
        return tensor
    if tensor.ndim == 3:
        return tensor.mean(dim=1)
    return tensor.mean(dim=(1, 2)) if channels_last(module, tensor) else tensor.mean(dim=(2, 3))


def unit_modules(classifier: Any) -> dict[str, int]:
    """Path of every backbone module whose output has channels, with their number, in order of definition.

    Found by one forward pass of black images, so that blocks count as well as single layers; a classifier
    on the meta device needs no weights for it.
    """
    backbone = classifier.backbone
    counts: dict[str, int] = {}

    def remember(path: str, module: nn.Module, _inputs: Any, output: Any) -> None:
        means = channel_means(module, output, _SEVERAL)
        if means is not None:
            counts[path] = means.shape[1]

    with watched(backbone, remember) as paths, torch.no_grad():
        if paths:
            black = torch.zeros(_SEVERAL, 3, _SIDE, _SIDE, device=device_of(backbone))
            backbone(classifier.preprocess(black))
    return {path: counts[path] for path in paths if path in counts}


@contextmanager
def watched(backbone: nn.Module, remember: Callable[[str, nn.Module, Any, Any], None]) -> Iterator[list[str]]:
    """While this lasts, ``remember`` is told path, module, inputs and output of every module in turn; gives the paths.

    One of TorchScript does not tell what it gives.
    """
    modules = [
        (path, one) for path, one in backbone.named_modules() if path and not isinstance(one, torch.jit.ScriptModule)
    ]
    handles = [
        module.register_forward_hook(lambda module, inputs, output, path=path: remember(path, module, inputs, output))
        for path, module in modules
    ]
    try:
        yield [path for path, _ in modules]
    finally:
        for handle in handles:
            handle.remove()


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights lie; the CPU for one without any, which is moved nowhere."""
    return next((tensor.device for tensor in (*network.parameters(), *network.buffers())), torch.device("cpu"))


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, dict):  # transformers' outputs are dictionaries in a fixed order.
        output = tuple(output.values())
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def channels_last(module: nn.Module, tensor: Tensor) -> bool:
    _, first, second, third = tensor.shape
    if first == second == third:
        return isinstance(module, nn.Linear | nn.LayerNorm)
    return first == second and second != third
