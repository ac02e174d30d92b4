"""Muon (Jordan et al. 2024): momentum whose update of each weight matrix is made orthogonal.

Convolutions count as matrices (outputs, inputs x height x width).
Vectors, and the first and last layers, are AdamW's, as its authors advise. The
update has AdamW's usual root mean square, so that one learning rate serves both (Liu et al. 2025, arXiv 2502.16982).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from experiments.world.common import sum_over_processes

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration whose fixed points are singular values near 1."""


def orthogonal(matrices: Tensor, iterations: int = 5) -> Tensor:
    """The nearest matrices (count, rows, columns) whose singular values are about 1."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    current = matrices.mT if tall else matrices
    current = current / (current.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = current @ current.mT
        current = a * current + (b * gram + c * gram @ gram) @ current
    return current.mT if tall else current


class Muon(torch.optim.Optimizer):
    """Muon for the matrices of `module`, AdamW for all else.

    In several processes each orthogonalises its share of the matrices and they exchange the results.
    """

    def __init__(self, module: nn.Module, rate: float, outer: Iterable[str], weight_decay: float = 0.01) -> None:
        """`outer`: parts of the names of parameters that AdamW keeps."""
        outer = tuple(outer)
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                inner = parameter.ndim >= 2 and not any(part in name for part in outer)
                (matrices if inner else others).append(parameter)
        super().__init__([{"params": matrices, "lr": rate}], {"weight_decay": weight_decay})
        self.inner = torch.optim.AdamW(others, lr=rate, weight_decay=weight_decay, betas=(0.9, 0.99))
        self.add_param_group({"params": others, "lr": rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        group = self.param_groups[0]
        same_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 0.05)
            nesterov = parameter.grad.lerp(state["momentum"], 0.95)
            same_shape[len(parameter), parameter[0].numel()].append((parameter, nesterov.flatten(1)))
        for parameter, update in self._updates(same_shape):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.view_as(parameter), alpha=-group["lr"])
        for inner in self.inner.param_groups:
            inner["lr"] = self.param_groups[1]["lr"]
        self.inner.step()

    def _updates(
        self, same_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]]
    ) -> Iterable[tuple[Tensor, Tensor]]:
        processes = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if dist.is_initialized() else 0
        found: list[tuple[Tensor, Tensor]] = []
        for (rows, columns), pairs in same_shape.items():
            # The share goes by matrix, so that processes have about the same work.
            mine = range(rank, len(pairs), processes)
            updates = torch.zeros(len(pairs), rows, columns, device=pairs[0][1].device)
            if mine:
                made = orthogonal(torch.stack([pairs[index][1] for index in mine]))
                updates[list(mine)] = 0.2 * max(rows, columns) ** 0.5 * made
            found += [(parameter, update) for (parameter, _), update in zip(pairs, updates, strict=True)]
        sum_over_processes([update for _, update in found])
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"matrices": super().state_dict(), "others": self.inner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict["matrices"])
        self.inner.load_state_dict(state_dict["others"])
