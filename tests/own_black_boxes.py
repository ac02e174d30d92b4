"""Networks and functions through which no gradient passes, or only some way; a plugin for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests import own_classifiers, pretend
from torch import Tensor, nn

SIDE = 16
CONTRAST = 40.0


def colours(images: Tensor) -> NDArray[np.float64]:
    """How much brighter red, green and blue are than the mean of the three; in NumPy's own type."""
    values = images.numpy().mean(axis=(2, 3), dtype=np.float64)
    scores: NDArray[np.float64] = CONTRAST * (values - values.mean(axis=1, keepdims=True))
    return scores


def colours_by_torch(images: Tensor) -> dict[str, Tensor]:
    """The same as tensors in a dictionary."""
    return {"logits": torch.from_numpy(colours(images))}


def pretended(images: Tensor) -> NDArray[np.float32]:
    """What the classifier of the boxes says."""
    answer: NDArray[np.float32] = pretend.load_classifier().outputs(images).numpy()
    return answer


def nothing() -> None:
    """Takes no pictures."""


class Part(nn.Module):
    """Fixed random weights."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.network = own_classifiers.build()

    def forward(self, images: Tensor) -> Any:
        return self.network(images)


class WithoutGradient(Part):
    """As people wrap what they deploy."""

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        return self.network(images)


class ForInference(Part):
    @torch.inference_mode()
    def forward(self, images: Tensor) -> Any:
        return self.network(images)


class Detached(Part):
    def forward(self, images: Tensor) -> Any:
        return self.network(images.detach())


class Rounded(Part):
    """There is a gradient, and it is zero everywhere."""

    def forward(self, images: Tensor) -> Any:
        return self.network((images * 8).round())


class DetachedHead(Part):
    """The units before the head have a gradient, the answer has none."""

    def forward(self, images: Tensor) -> Any:
        features = self.network[:-1](images)
        return self.network[-1](features.detach())


class Typed(Part):
    """A network of another type than float32, that also counts."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.register_buffer("count", torch.arange(3))
        self.to(getattr(torch, dtype))


def quantised() -> nn.Module:
    """The linear layer in whole numbers of eight bits."""
    return torch.ao.quantization.quantize_dynamic(Part().eval(), {nn.Linear}, dtype=torch.qint8)


def scripted() -> nn.Module:
    return torch.jit.script(own_classifiers.build())


def exported() -> nn.Module:
    any_batch = ({0: torch.export.Dim.AUTO},)
    return torch.export.export(Part().eval(), (torch.zeros(2, 3, SIDE, SIDE),), dynamic_shapes=any_batch).module()
