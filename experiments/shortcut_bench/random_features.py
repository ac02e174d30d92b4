"""A linear head on frozen random features, trained without a gradient through them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.world.pixels import degrade, to_tensor
from experiments.world.train_classifiers import Normalised

BATCH = 256
STEPS = 600
LEARNING_RATE = 0.02
WEIGHT_DECAY = 1e-3


def fit_head(model: Normalised, images: np.ndarray, labels: Tensor, seed: int) -> None:
    """Train `model.backbone.head` alone.

    Batch norms take their mean and variance from the first pictures, so that no random feature is always off.

    Args:
        model: a convolutional network behind its normalisation, in eval mode; changed in place.
        images: uint8 `(N, 64, 64, 3)`.
        labels: class indices `(N,)`.
        seed: of the order of the pictures and of what degrades them.
    """
    generator = np.random.default_rng(seed)
    _take_statistics(model, to_tensor(images[: 2 * BATCH]))
    head = model.backbone.get_submodule("head")
    assert isinstance(head, nn.Linear)
    features = _features(model, head, images, generator)
    mean, deviation = features.mean(0), features.std(0) + 1e-4
    features = (features - mean) / deviation
    weight = torch.zeros_like(head.weight, requires_grad=True)
    bias = torch.zeros_like(head.bias, requires_grad=True)
    optimiser = torch.optim.AdamW([weight, bias], LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        chosen = torch.from_numpy(generator.integers(len(features), size=BATCH))
        loss = functional.cross_entropy(features[chosen] @ weight.T + bias, labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        head.weight.copy_(weight / deviation)
        head.bias.copy_(bias - (weight / deviation) @ mean)


@torch.no_grad()
def _take_statistics(model: nn.Module, images: Tensor) -> None:
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    model(images)
    for norm in norms:
        norm.eval()
        norm.momentum = 0.1


@torch.no_grad()
def _features(model: nn.Module, head: nn.Linear, images: np.ndarray, generator: np.random.Generator) -> Tensor:
    """What the head reads of degraded images: `(N, features)`."""
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for start in range(0, len(images), BATCH):
        model(degrade(to_tensor(images[start : start + BATCH]), generator))
    hook.remove()
    return torch.cat(seen)
