"""torchvision's classifiers, with the weights and the preprocessing that its metadata names."""

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
        labels: as `diffexplain.classifiers.labels` reads them.
        weights: one source, the file that torchvision's metadata names.
        meta: modules and shapes alone, on the meta device; no weights are read.

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


def _options(model: str, entry: Any) -> dict[str, Any]:
    """What torchvision's builders set by themselves when they are asked for these weights."""
    if model in ("googlenet", "inception_v3"):
        return {"transform_input": True, "aux_logits": True, "init_weights": False}
    if model.startswith("vit_"):
        return {"image_size": entry.meta["min_size"][0]}
    return {}


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
