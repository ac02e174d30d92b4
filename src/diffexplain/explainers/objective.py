"""What is minimised: the negative log probability of a class, or the negative activation of a hidden unit."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.output import log_probability
from diffexplain.target import ResolvedTarget


class Outcome(NamedTuple):
    """``loss``, a scalar, and ``scores`` (B,): how strongly each image activates the target."""

    loss: Tensor
    scores: Tensor


class Objective(Protocol):
    """Loss and scores of images (B, 3, H, W) in [0, 1]; it holds a classifier, which is no module of
    what holds the objective.
    """

    def __call__(self, images: Tensor) -> Outcome: ...

    def log_weights(self, merits: Tensor) -> Tensor:
        """What the mean of an image's negative loss says of each of V rivals, (V,), in nats."""
        ...

    def to(self, device: torch.device) -> None: ...


class ClassObjective:
    """``min -log p(class | images)``, the cross entropy; the score is the class's probability."""

    def __init__(self, classifier: Classifier, class_index: int) -> None:
        self.classifier = classifier
        self.class_index = class_index

    def __call__(self, images: Tensor) -> Outcome:
        scores = self.classifier(images).float()
        merits = log_probability(scores, self.class_index, self.classifier.exclusive)
        return Outcome(-merits.mean(), merits.detach().exp())

    def log_weights(self, merits: Tensor) -> Tensor:
        return merits

    def to(self, device: torch.device) -> None:
        self.classifier.to(device)


class UnitObjective:
    """``max`` of a hidden unit's mean activation, which is also the score."""

    def __init__(self, classifier: Classifier, module: str, channel: int) -> None:
        self.classifier = classifier
        self.module = module
        self.channel = channel

    def __call__(self, images: Tensor) -> Outcome:
        activation = self.classifier.activation(images, self.module, self.channel).float()
        return Outcome(-activation.mean(), activation.detach())

    def log_weights(self, merits: Tensor) -> Tensor:
        # An activation has no unit: one standard deviation among the rivals counts as one nat.
        return (merits - merits.mean()) / merits.std(correction=0).clamp(min=1e-12)

    def to(self, device: torch.device) -> None:
        self.classifier.to(device)


def objective_for(target: ResolvedTarget, classifier: Classifier) -> Objective:
    """The objective of a target; a unit's class, if one is named, plays no part in it."""
    if target.kind == "unit":
        assert target.module is not None
        assert target.channel is not None
        return UnitObjective(classifier, target.module, target.channel)
    assert target.class_index is not None
    return ClassObjective(classifier, target.class_index)
