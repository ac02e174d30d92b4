"""The attention of a network's blocks, read while it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Attentions(TorchFunctionMode):
    """While it is entered, keeps the attention of every block: (N, T, T) each, mean over the heads.

    Blocks of most libraries call one of two functions of torch, and few give their attention away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attentions: list[Tensor] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        arguments: tuple[Any, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(options or {})
        if function is functional.scaled_dot_product_attention:
            self.attentions.append(_weights(*arguments, **options).mean(dim=1))
        elif function is functional.multi_head_attention_forward and not options.get("need_weights", True):
            output, weights = function(*arguments, **options | {"need_weights": True, "average_attn_weights": True})
            self.attentions.append(weights)
            return output, None
        return function(*arguments, **options)


def _weights(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, scale: float | None = None, **_: Any
) -> Tensor:
    """What ``scaled_dot_product_attention`` weighs its values with: (N, heads, T, T)."""
    logits = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        logits = logits.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
    return logits.softmax(dim=-1)
