"""Low-rank adapters merged into the network that they adapt, so that nothing is left of them but other weights.

A file holds three tensors for each layer: ``lora_unet_<path>.lora_down.weight``, ``.lora_up.weight`` and
``.alpha``, where ``<path>`` is the layer's with every dot an underscore. The layer's weight W becomes
W + alpha / r * up @ down with r the rank (Hu et al., LoRA, 2022, arXiv 2106.09685, section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from diffexplain.weights.files import read_shapes, refusal

PREFIX = "lora_unet_"
DOWN, UP, ALPHA = "lora_down.weight", "lora_up.weight", "alpha"


@torch.no_grad()
def merge_lora(unet: nn.Module, path: Path) -> int:
    """Merge the adapter in ``path`` into ``unet``'s weights, in place; returns how many layers it adapts.

    Raises:
        UserError: the file is damaged, is no adapter of this form, or fits another network.
    """
    layers = _layers(path, {name.replace(".", "_"): module for name, module in unet.named_modules()})
    try:
        tensors = load_file(path)
    except SafetensorError as error:  # places that overlap, an unknown type
        raise refusal(path, "a safetensors file", f"a damaged one ({error})") from error
    for prefix, layer in layers.items():
        down, up = tensors[f"{prefix}.{DOWN}"].float(), tensors[f"{prefix}.{UP}"].float()
        rank = down.shape[0]
        alpha = float(tensors[f"{prefix}.{ALPHA}"]) if f"{prefix}.{ALPHA}" in tensors else float(rank)
        weight = layer.weight
        change = alpha / rank * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        weight.copy_((weight.float() + change.to(weight.device)).to(weight.dtype))
    return len(layers)


def _layers(path: Path, modules: Mapping[str, nn.Module]) -> dict[str, nn.Linear | nn.Conv2d]:
    """For every prefix in the file the layer it adapts, once all shapes have been checked."""
    shapes = read_shapes(path)
    prefixes = sorted({name.partition(".")[0] for name in shapes})
    layers: dict[str, nn.Linear | nn.Conv2d] = {}
    for prefix in prefixes:
        layer = modules.get(prefix.removeprefix(PREFIX)) if prefix.startswith(PREFIX) else None
        down, up = shapes.get(f"{prefix}.{DOWN}"), shapes.get(f"{prefix}.{UP}")
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise refusal(path, f"an adapter of this network ({PREFIX}<layer>.{DOWN}, ...)", prefix)
        if down is None or up is None:
            raise refusal(path, f"{prefix}.{DOWN} and .{UP}", ", ".join(n for n in shapes if n.startswith(prefix)))
        wanted = tuple(layer.weight.shape)
        # A layer may be a 1x1 convolution in one release and linear in another: what counts is the matrix.
        if up[0] != wanted[0] or up[1] != down[0] or prod(down[1:]) != prod(wanted[1:]):
            raise refusal(path, f"{prefix} for a weight of {wanted}", f"{UP} {up} and {DOWN} {down}")
        layers[prefix] = layer
    if not layers:
        raise refusal(path, "an adapter", "a file without tensors")
    return layers
