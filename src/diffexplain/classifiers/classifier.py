"""A frozen image classifier with its class names and its own, differentiable preprocessing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.classifiers.architectures import build_backbone
from diffexplain.classifiers.units import channel_means
from diffexplain.errors import UserError
from diffexplain.paths import resolve_folder
from diffexplain.target import Labels

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
LABELS_FILE = "labels.json"


class Classifier(nn.Module):
    """Images with values in [0, 1], of any size, to logits; frozen and in eval mode.

    Args:
        backbone: maps normalised images `(B, 3, input_size, input_size)` to logits `(B, K)`.
        labels: the names of the K classes.
        name: what reports call the classifier.
        input_size: side that the backbone expects, in pixels.
        mean: per channel, subtracted from values in [0, 1].
        std: per channel, divides afterwards.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        labels: Labels,
        name: str,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.labels = labels
        self.name = name
        self.input_size = input_size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Classifier":
        """Stays in eval mode: a trainer that trains its parts must not move batch statistics."""
        super().train(False)
        return self

    def preprocess(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] to the normalised `(B, 3, input_size, input_size)`; gradients pass."""
        side = (self.input_size, self.input_size)
        if images.shape[-2:] != side:
            images = functional.interpolate(images, side, mode="bilinear", antialias=True, align_corners=False)
        normalised: Tensor = (images - self.mean) / self.std
        return normalised

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] to logits `(B, K)`."""
        logits: Tensor = self.backbone(self.preprocess(images))
        return logits

    def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
        """Mean activation of one unit: `(B, 3, H, W)` in [0, 1] to `(B,)`; gradients pass.

        Args:
            images: values in [0, 1].
            module: path inside the backbone, as `unit_modules` lists it.
            channel: from 0.

        Raises:
            UserError: no such module, or the channel is out of range.
        """
        try:
            submodule = self.backbone.get_submodule(module)
        except AttributeError as error:
            paths = [path for path, _ in self.backbone.named_modules() if path]
            raise UserError(f"{self.name} has no module {module!r}", given=module, accepted=paths) from error
        outputs: list[Tensor] = []
        handle = submodule.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
        try:
            self(images)
        finally:
            handle.remove()
        means = channel_means(outputs[-1])
        if not 0 <= channel < means.shape[1]:
            raise UserError(f"{module} has channels 0 to {means.shape[1] - 1}, not {channel}")
        return means[:, channel]


def read_config(folder: Path) -> dict[str, Any]:
    """The classifier's config.json.

    Raises:
        UserError: the file is missing, is not JSON, or lacks a key.
    """
    path = folder / CONFIG_FILE
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no classifier in {folder}: {CONFIG_FILE} is missing") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    missing = [key for key in ("architecture", "arguments", "input_size", "mean", "std") if key not in config]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    return config


def build_meta(folder: str) -> Classifier:
    """The classifier on the meta device: its modules and shapes without its weights.

    Raises:
        UserError: a file of the folder is missing or wrong.
    """
    path = resolve_folder(folder)
    config = read_config(path)
    labels = Labels.load(path / LABELS_FILE)
    with torch.device("meta"):
        backbone = build_backbone(config["architecture"], len(labels.classes), config["arguments"])
        return _wrap(backbone, labels, path, config)


def load_classifier(folder: str) -> Classifier:
    """The classifier of a folder with `config.json`, `model.safetensors` and `labels.json`.

    Args:
        folder: a path, or `embedded:classifiers/<name>`.

    Raises:
        UserError: a file is missing, or the weights do not fit the architecture.
    """
    path = resolve_folder(folder)
    config = read_config(path)
    labels = Labels.load(path / LABELS_FILE)
    backbone = build_backbone(config["architecture"], len(labels.classes), config["arguments"])
    if not (path / WEIGHTS_FILE).is_file():
        raise UserError(f"no classifier in {path}: {WEIGHTS_FILE} is missing")
    try:
        backbone.load_state_dict(load_file(path / WEIGHTS_FILE))
    except RuntimeError as error:
        raise UserError(f"{path / WEIGHTS_FILE} does not fit the architecture in {CONFIG_FILE}: {error}") from error
    return _wrap(backbone, labels, path, config)


def _wrap(backbone: nn.Module, labels: Labels, path: Path, config: dict[str, Any]) -> Classifier:
    return Classifier(
        backbone, labels, config.get("name", path.name), config["input_size"], config["mean"], config["std"]
    )
