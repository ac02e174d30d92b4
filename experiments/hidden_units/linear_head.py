"""The last linear layer of a network, and the features that it weighs: which units they are, and which a class uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.output import assigned
from diffexplain.classifiers.units import channel_means, device_of, watched
from diffexplain.errors import UserError

_IMAGES = 2
_SIDE = 224
"""Number and side in pixels of the pictures of noise that find the head; the classifier resizes them."""


@dataclass(frozen=True)
class LinearHead:
    """What makes the logits of the features.

    Attributes:
        path: of the linear layer inside the backbone.
        weight: (K, F), of the K classes and F features.
        module: path of the outermost module whose channel means are the features, so that feature f is the unit
            ``unit:<module>:<f>``; None where a token, or something else that is no mean, is read.
    """

    path: str
    weight: NDArray[np.float32]
    module: str | None


@dataclass(frozen=True)
class Penultimate:
    """The features of N images, (N, F), and which of the K classes each is given, (N, K): where classes exclude each
    other, one.
    """

    features: NDArray[np.float32]
    assigned: NDArray[np.bool_]


@torch.no_grad()
def linear_head(classifier: Classifier) -> LinearHead:
    """Find the head by one forward pass of noise.

    Raises:
        UserError: no linear layer gives the logits.
    """
    heads: list[tuple[str, nn.Linear, Tensor, Tensor]] = []
    means: dict[str, Tensor] = {}

    def remember(path: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Linear):
            heads.append((path, module, inputs[0].clone(), output))
        found = channel_means(module, output, _IMAGES)
        if found is not None:
            means[path] = found.clone()  # the next module may work in place

    noise = torch.rand(_IMAGES, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    with watched(classifier.backbone, remember) as paths:
        logits = classifier.outputs(noise.to(device_of(classifier.backbone)))
    for path, module, features, output in reversed(heads):
        if _alike(output, logits):
            weight = module.weight.detach().float().cpu().numpy()
            if len(weight) == 1 and len(classifier.labels) == 2:  # The first class is what the second is not.
                weight = np.concatenate([-weight, weight])
            units = next((name for name in paths if name in means and _alike(means[name], features)), None)
            return LinearHead(path, weight, units)
    raise UserError(f"{classifier.name} has no linear layer that gives its logits, so its features have no weights.")


@torch.no_grad()
def penultimate(classifier: Classifier, head: LinearHead, images: Tensor, batch_size: int = 64) -> Penultimate:
    """Features and predictions of images (N, 3, H, W) in [0, 1], N >= 1, read in batches.

    The images may lie on the CPU: each batch is moved to where the classifier is.
    """
    device = device_of(classifier.backbone)
    found: list[Tensor] = []
    given: list[Tensor] = []
    layer = classifier.backbone.get_submodule(head.path)
    handle = layer.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0].float().cpu()))
    try:
        given.extend(assigned(classifier(piece.to(device)), classifier.exclusive) for piece in images.split(batch_size))
    finally:
        handle.remove()
    return Penultimate(torch.cat(found).numpy(), torch.cat(given).cpu().numpy())


def top_features(head: LinearHead, images: Penultimate, count: int = 5) -> dict[int, tuple[int, ...]]:
    """For each class that some image is given, the features with the largest mean x weight over those images, largest
    first (Singla & Feizi 2022, arXiv 2110.04301). Classes that no image is given are left out.
    """
    found = {}
    for index in range(len(head.weight)):
        mine = images.features[images.assigned[:, index]]
        if len(mine):
            order = np.argsort(-(mine.mean(axis=0) * head.weight[index]), kind="stable")
            found[index] = tuple(int(feature) for feature in order[:count])
    return found


def _alike(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(first, second, rtol=1e-4, atol=1e-5)
