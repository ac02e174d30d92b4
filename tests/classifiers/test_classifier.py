"""Classifiers: preprocessing, unit activations, loading, and the errors of wrong folders and units."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from diffexplain.classifiers import Classifier, Preprocessing, load_classifier, unit_modules
from diffexplain.classifiers.architectures import build_backbone
from diffexplain.classifiers.labels import read_labels
from diffexplain.classifiers.units import channel_means
from diffexplain.errors import UserError

ARGUMENTS = {
    "small_cnn": {"widths": [4, 6], "blocks": [1, 2]},
    "small_vit": {"width": 8, "depth": 1, "heads": 2, "side": 64},
}


def write_folder(folder: Path, architecture: str) -> Path:
    """A classifier's folder with two classes and random weights."""
    folder.mkdir()
    torch.manual_seed(0)
    backbone = build_backbone(architecture, 2, ARGUMENTS[architecture])
    save_file(backbone.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": architecture,
        "arguments": ARGUMENTS[architecture],
        "input_size": 64,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    (folder / "config.json").write_text(json.dumps(config))
    classes = [
        {"index": index, "name": name, "wnid": None, "synonyms": []} for index, name in enumerate(["bee", "yawl"])
    ]
    (folder / "labels.json").write_text(json.dumps({"name": "pair", "classes": classes}))
    return folder


@pytest.fixture(params=sorted(ARGUMENTS))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pair", request.param)


class RedAndGreen(nn.Module):
    """Two logits known by hand: the sums of the first two channels after a doubling convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.doubling = nn.Conv2d(3, 3, 1, bias=False)
        self.doubling.weight.data = 2 * torch.eye(3).view(3, 3, 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.doubling(images).sum(dim=(2, 3))[:, :2]


@pytest.fixture
def by_hand(folder: Path) -> Classifier:
    labels = read_labels(folder / "labels.json")
    preprocessing = Preprocessing((4, 4), mean=[0.5, 0.0, 0.0], std=[0.25, 1.0, 1.0], bytes_between=False)
    return Classifier(RedAndGreen(), labels, "by hand", preprocessing)


def test_preprocessing_and_activation_known_by_hand(by_hand: Classifier) -> None:
    images = torch.full((2, 3, 8, 8), 0.75)
    logits = by_hand(images)
    # red: (0.75 - 0.5) / 0.25 = 1, doubled, 16 pixels; green: 0.75 doubled, 16 pixels.
    torch.testing.assert_close(logits, torch.tensor([[32.0, 24.0]]).expand(2, 2))
    torch.testing.assert_close(by_hand.activation(images, "doubling", 0), torch.full((2,), 2.0))


def test_gradient_reaches_images_of_any_size_but_no_parameter(folder: Path) -> None:
    classifier = load_classifier(str(folder))
    images = torch.rand(2, 3, 96, 80, requires_grad=True)
    classifier(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in classifier.parameters())


def test_train_mode_cannot_be_switched_on(folder: Path) -> None:
    classifier = load_classifier(str(folder))
    nn.Sequential(classifier).train()
    assert not any(module.training for module in classifier.modules())


def test_loading_twice_gives_the_same_logits(folder: Path) -> None:
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(load_classifier(str(folder))(images), load_classifier(str(folder))(images))
    assert load_classifier(str(folder)).name == "pair"


def test_units_are_known_without_weights(folder: Path) -> None:
    classifier = load_classifier(str(folder))
    (folder / "model.safetensors").unlink()
    meta = load_classifier(str(folder), meta=True)
    assert all(parameter.is_meta for parameter in meta.parameters())
    units = unit_modules(meta)
    assert units == unit_modules(classifier)
    assert units["head"] == 2
    for path, channels in units.items():
        assert classifier.activation(torch.rand(1, 3, 64, 64), path, channels - 1).shape == (1,)


def test_activation_leaves_no_hook_behind(folder: Path) -> None:
    classifier = load_classifier(str(folder))
    with pytest.raises(UserError):
        classifier.activation(torch.rand(1, 3, 64, 64), "head", 2)
    classifier.activation(torch.rand(1, 3, 64, 64), "head", 1)
    assert not any(module._forward_hooks for module in classifier.modules())


def test_unknown_module_is_a_user_error(folder: Path) -> None:
    with pytest.raises(UserError):
        load_classifier(str(folder)).activation(torch.rand(1, 3, 64, 64), "heads", 0)


class InPlace(nn.Module):
    """A convolution that subtracts one, and a rectification that overwrites its output."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.convolution.weight.data = torch.zeros(3, 3, 1, 1)
        self.convolution.bias.data = -torch.ones(3)
        self.rectification = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.rectification(self.convolution(images)).sum(dim=(2, 3))


def test_a_unit_is_read_before_the_next_module_overwrites_it(folder: Path) -> None:
    labels = read_labels(folder / "labels.json")
    classifier = Classifier(InPlace(), labels, "in place", Preprocessing((4, 4)))
    images = torch.rand(2, 3, 4, 4)
    assert classifier.activation(images, "convolution", 0).tolist() == [-1, -1]
    assert classifier.activation(images, "rectification", 0).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("module", "output", "means"),
    [
        (nn.Conv2d(1, 1, 1), torch.ones(2, 5, 3, 3), 5),
        (nn.Identity(), torch.ones(2, 3, 3, 5), 5),  # Swin's and ConvNeXt's blocks have channels last.
        (nn.Identity(), torch.ones(2, 3, 3, 3), 3),
        (nn.Identity(), torch.ones(2, 7, 5), 5),  # Tokens.
        (nn.Identity(), (torch.ones(2, 7, 5), None), 5),
        (nn.Identity(), torch.ones(2, 5), 5),
        (nn.Identity(), torch.ones(8, 7, 5), None),  # Windows of two images, in the batch's place.
        (nn.Identity(), torch.ones(2), None),
        (nn.Identity(), None, None),
    ],
)
def test_channels_of_an_output(module: nn.Module, output: object, means: int | None) -> None:
    found = channel_means(module, output, 2)
    assert found is None if means is None else found is not None and found.tolist() == [[1.0] * means] * 2


def test_channels_are_told_from_positions() -> None:
    marked = torch.zeros(1, 3, 3, 3)
    marked[..., 0] = 1
    assert channel_means(nn.Linear(3, 3), marked, 1).tolist() == [[1, 0, 0]]
    assert channel_means(nn.Conv2d(3, 3, 1), marked.permute(0, 3, 1, 2), 1).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "labels.json"])
def test_missing_file_is_a_user_error(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(UserError, match=missing):
        load_classifier(str(folder))


def test_weights_of_another_architecture_are_a_user_error(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architecture"] = "small_vit" if config["architecture"] == "small_cnn" else "small_cnn"
    config["arguments"] = ARGUMENTS[config["architecture"]]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="does not fit"):
        load_classifier(str(folder))


def test_unknown_architecture_is_a_user_error(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architecture": "smal_cnn"}))
    with pytest.raises(UserError, match="smal_cnn"):
        load_classifier(str(folder))
