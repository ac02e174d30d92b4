"""Priors and classifiers that fail in the ways that runs have to withstand; a plugin."""

from __future__ import annotations

from typing import Any

import torch
from tests import pretend
from torch import Tensor, nn


class _Faulty(pretend.Prior):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def generate(self, prompts: Any, latents: Tensor) -> Tensor:
        return torch.full_like(super().generate(prompts, latents), self.value)


def not_finite() -> pretend.Prior:
    """Its pictures are no numbers."""
    return _Faulty(float("nan"))


def too_bright() -> pretend.Prior:
    """Its pictures are beyond white."""
    return _Faulty(1.5)


class _Stumbling(nn.Module):
    """Answers to mean colour; from the second step of the optimisation on what is no number, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.steps, self.times = 0, times

    def forward(self, images: Tensor) -> Tensor:
        answer = self.scale * images.mean(dim=(2, 3))
        if not (images.requires_grad and torch.is_grad_enabled()):
            return answer
        self.steps += 1
        return answer * float("nan") if 1 < self.steps <= 1 + self.times else answer


def stumbling() -> nn.Module:
    """One step of it is not finite."""
    return _Stumbling(1)


def lost() -> nn.Module:
    """No step of it is, but for the first."""
    return _Stumbling(1_000_000)
