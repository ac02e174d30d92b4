"""A frozen image classifier with its class names and its own, differentiable preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffexplain.classifiers.architectures import build_backbone
from diffexplain.classifiers.labels import read_labels
from diffexplain.classifiers.output import Inspection, Scoring, columns, scores, usual
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.state import load_state
from diffexplain.classifiers.units import channel_means
from diffexplain.errors import UserError
from diffexplain.target import Labels
from diffexplain.weights.documents import read_json
from diffexplain.weights.paths import resolve_folder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
LABELS_FILE = "labels.json"


class Classifier(nn.Module):
    """Images with values in [0, 1], of any size, to a score for each class; frozen and in eval mode.

    Args:
        backbone: maps what `preprocessing` makes of the images to whatever `diffexplain.classifiers.output.columns`
            finds `(B, K)` in, or one logit `(B, 1)`.
        labels: the names of the K classes.
        name: what reports call the classifier.
        preprocessing: the classifier's own, from RGB `(B, 3, H, W)` in [0, 1].
        stated: how what comes out becomes scores, where the classifier's source says so. `inspect_classifier` settles
            it (``scoring``, ``inspection``); where nobody inspects the classifier, its first images do, as logits
            usually are taken.
    """

    def __init__(
        self,
        backbone: nn.Module,
        labels: Labels,
        name: str,
        preprocessing: Preprocessing,
        stated: Scoring | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone.float()  # Half, bfloat16 and double networks are shown pictures in float32, too.
        self.labels = labels
        self.name = name
        self.preprocess = preprocessing
        self.stated = stated
        self.scoring: Scoring | None = None
        self.inspection: Inspection | None = None
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Classifier:
        """Stays in eval mode: a trainer that trains its parts must not move batch statistics."""
        try:
            super().train(False)
        except NotImplementedError:  # An exported network keeps the mode in which it was exported.
            for module in self.modules():
                module.training = False
        return self

    @property
    def exclusive(self) -> bool:
        """Whether the classes exclude each other: how the scores are to be read."""
        return (self.scoring or self.stated or usual(len(self.labels))).exclusive

    def outputs(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] to what the network itself gives, `(B, C)`: C is K or 1.

        Raises:
            UserError: it gives something else.
        """
        return columns(self.backbone(self.preprocess(images)), len(images), len(self.labels), self.name)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] to scores `(B, K)`, read as `diffexplain.classifiers.output` does."""
        table = self.outputs(images)
        self.scoring = self.scoring or self.stated or usual(table.shape[1])
        return scores(table, self.scoring, len(self.labels))

    def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
        """Mean activation of one unit: `(B, 3, H, W)` in [0, 1] to `(B,)`; gradients pass.

        ``module`` is a path inside the backbone, as `unit_modules` lists it.

        Raises:
            UserError: no such module, or the channel is out of range.
        """
        try:
            submodule = self.backbone.get_submodule(module)
        except AttributeError as error:
            paths = [path for path, _ in self.backbone.named_modules() if path]
            raise UserError(f"{self.name} has no module {module!r}", given=module, accepted=paths) from error
        found: list[Tensor | None] = []
        # Read in the hook: the next module may work in place. Of a module that is used again, the last use counts.
        handle = submodule.register_forward_hook(
            lambda _module, _inputs, output: found.append(channel_means(submodule, output, len(images)))
        )
        try:
            self.backbone(self.preprocess(images))
        finally:
            handle.remove()
        means = found[-1] if found else None
        if means is None:
            raise UserError(f"The output of {module} in {self.name} has no channels.", given=module)
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
        config: dict[str, Any] = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"no classifier in {folder}: {CONFIG_FILE} is missing") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no JSON object.")
    missing = [key for key in ("architecture", "arguments", "input_size", "mean", "std") if key not in config]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    return config


def load_classifier(folder: str, *, meta: bool = False) -> Classifier:
    """The classifier of a folder or `embedded:classifiers/<name>`: `config.json`, `model.safetensors`, `labels.json`.

    Raises:
        UserError: a file is missing, or the weights do not fit the architecture.
    """
    path = resolve_folder(folder)
    config = read_config(path)
    labels = read_labels(path / LABELS_FILE)
    side = config["input_size"]
    with torch.device("meta" if meta else "cpu"):
        backbone = build_backbone(config["architecture"], len(labels.classes), config["arguments"])
        preprocessing = Preprocessing((side, side), mean=config["mean"], std=config["std"], bytes_between=False)
    if not meta:
        if not (path / WEIGHTS_FILE).is_file():
            raise UserError(f"no classifier in {path}: {WEIGHTS_FILE} is missing")
        load_state(backbone, path / WEIGHTS_FILE)
    return Classifier(backbone, labels, config.get("name", path.name), preprocessing)
