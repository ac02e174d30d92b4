"""torchvision's classifiers, with the weights and the preprocessing that its metadata names, or robust ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import models

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.state import fit_state, read_state
from diffexplain.errors import UserError
from diffexplain.weights.files import beside, read_weights, shapes_of
from diffexplain.weights.store import Node, source_path

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")
"""Names from before modules could have no dots in theirs; torchvision renames them while loading, too."""


def load_torchvision(
    model: str,
    *,
    version: str = "DEFAULT",
    labels: str | Sequence[str] = IMAGENET,
    weights: Sequence[Node] = (),
    meta: bool = False,
) -> Classifier:
    """A classifier of torchvision's.

    Args:
        model: as torchvision lists it: `resnet50`.
        version: of its weights, as torchvision calls it: `IMAGENET1K_V2`; with `DEFAULT`, the best.
        labels, weights, meta: as those of all loaders; the source is the file that torchvision's metadata names.

    Raises:
        UserError: no such model or version, or its file is missing or another model's.
    """
    if model not in models.list_models(module=models):
        raise UserError("torchvision has no such classifier.", given=model, accepted=models.list_models(module=models))
    versions = models.get_model_weights(model).__members__
    if version not in versions:
        raise UserError(f"{model} has no such weights.", given=version, accepted=list(versions))
    entry = versions[version]
    command = f"diffexplain fetch classifier=torchvision classifier.model={model} classifier.version={version}"
    with torch.device("meta" if meta else "cpu"):
        network = models.get_model(model, weights=None, **_options(model, entry))
        transforms = entry.transforms()
        preprocessing = Preprocessing(
            transforms.resize_size,
            transforms.crop_size,
            interpolation=transforms.interpolation.value,
            mean=transforms.mean,
            std=transforms.std,
        )
    if not meta:
        path = source_path(weights[0], command=command)
        state = read_state(path)
        fit_state(network, _renamed(state) if model.startswith("densenet") else state, path)
    return Classifier(network, find_labels(labels, weights, command=command), model, preprocessing)


def load_robust_resnet50(
    *, weights: Sequence[Node], labels: str | Sequence[str] = IMAGENET, meta: bool = False
) -> Classifier:
    """The ResNet-50 trained against attacks of L2 norm 3 (Engstrom et al. 2019), of which Salient ImageNet labels the
    features `unit:avgpool:<0 to 2047>`.

    Args:
        weights: one source, the robustness library's pickle; what is read is the safetensors file that
            `diffexplain convert` has made of it, in the same folder.
        labels, meta: as those of all loaders.

    Raises:
        UserError: a file is missing, the pickle is not converted yet, or the weights are another network's.
    """
    command = "diffexplain fetch classifier=robust_resnet50"
    with torch.device("meta"):
        network = models.resnet50(weights=None)
    if not meta:
        (source,) = weights
        state = read_weights(beside(source_path(source, command=command)), shapes_of(network))
        network.load_state_dict(state, assign=True)
    with torch.device("meta" if meta else "cpu"):
        preprocessing = Preprocessing(256, 224)
    return Classifier(network, find_labels(labels, command=command), "robust_resnet50", preprocessing)


def _options(model: str, entry: Any) -> dict[str, Any]:
    """What torchvision's builders set by themselves when they are asked for these weights."""
    if model in ("googlenet", "inception_v3"):
        return {"transform_input": True, "aux_logits": True, "init_weights": False}
    if model.startswith("vit_"):
        return {"image_size": entry.meta["min_size"][0]}
    return {}


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
