"""The head of a network, and the features that a class uses, with weights made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diffexplain.classifiers import load_classifier
from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.errors import UserError
from diffexplain.target import Label, Labels
from experiments.hidden_units.linear_head import LinearHead, Penultimate, linear_head, penultimate, top_features

COLOURS = Labels("colours", tuple(Label(index, name) for index, name in enumerate(("red", "green", "dark"))))


class Colours(nn.Module):
    """Its features are the mean red, green and blue."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
        self.head = nn.Linear(3, 3)
        self.head.weight.data = torch.tensor([[2.0, -1.0, 0.5], [-1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
        self.head.bias.data = torch.tensor([0.0, 0.0, 0.1])

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean(dim=(2, 3)))


def classifier(backbone: nn.Module) -> Classifier:
    return Classifier(backbone, COLOURS, "colours", Preprocessing((8, 8), mean=[0.0] * 3, std=[1.0] * 3))


def test_features_and_predictions_in_batches() -> None:
    network = classifier(Colours())
    head = linear_head(network)
    assert (head.path, head.module) == ("head", "body")
    pictures = torch.zeros(5, 3, 8, 8)
    pictures[0, 0], pictures[1, 1], pictures[2, 1] = 1.0, 1.0, 0.5
    found = penultimate(network, head, pictures, batch_size=2)
    assert found.features == pytest.approx(pictures.mean(dim=(2, 3)).numpy(), abs=1e-6)
    assert found.assigned.argmax(axis=1).tolist() == [0, 1, 1, 2, 2]


def test_a_feature_counts_by_mean_times_weight_over_images_of_the_class() -> None:
    head = LinearHead("head", np.array([[1.0, 10.0, 2.0], [1.0, 0.0, 5.0], [1.0, 1.0, 1.0]], np.float32), "body")
    features = np.array([[4.0, 0.1, 1.0], [2.0, 0.1, 2.0], [9.0, 9.0, 1.0]], np.float32)
    found = top_features(head, Penultimate(features, np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)), count=2)
    # Class 0: means 3, 0.1, 1.5 make 3, 1, 3, of which the first of equals comes first; nothing is of class 2.
    assert found == {0: (0, 2), 1: (0, 2)}


def test_a_network_without_a_linear_head_is_refused() -> None:
    with pytest.raises(UserError, match="no linear layer"):
        linear_head(classifier(nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())))


@pytest.mark.parametrize(("name", "module", "features"), [("fair_cnn", "stages", 96), ("fair_vit", "norm", 64)])
def test_the_embedded_classifiers_features_are_units(name: str, module: str, features: int) -> None:
    network = load_classifier(f"embedded:classifiers/{name}")
    head = linear_head(network)
    assert (head.path, head.module, head.weight.shape) == ("head", module, (12, features))
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = penultimate(network, head, pictures)
    assert found.features[:, 7] == pytest.approx(network.activation(pictures, module, 7).numpy(), abs=1e-4)
