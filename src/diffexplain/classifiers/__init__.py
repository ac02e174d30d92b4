"""Classifiers to be explained: one frozen wrapper, and a loader for every place that they come from.

A loader is called with the keys of its configuration; of `labels`, `weights`, `model`, `output` and `plugins` with
those that it has parameters for. Nothing here imports torch before it is asked for.

All loaders take these alike: `labels` as `diffexplain.classifiers.labels` reads them; `weights`: one source, or a
folder of the user's in its place; `model`: the repository, for messages; and `meta`: modules and shapes alone, on the
meta device, without reading weights.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.classifiers.black_box import load_function as load_function
    from diffexplain.classifiers.caffenet import load_caffenet as load_caffenet
    from diffexplain.classifiers.checkpoint import load_checkpoint as load_checkpoint
    from diffexplain.classifiers.classifier import Classifier as Classifier
    from diffexplain.classifiers.classifier import load_classifier as load_classifier
    from diffexplain.classifiers.clip import load_clip as load_clip
    from diffexplain.classifiers.clip import load_open_clip as load_open_clip
    from diffexplain.classifiers.huggingface import load_huggingface as load_huggingface
    from diffexplain.classifiers.in_memory import load_module as load_module
    from diffexplain.classifiers.inspection import inspect_classifier as inspect_classifier
    from diffexplain.classifiers.onnx_graph import load_onnx as load_onnx
    from diffexplain.classifiers.output import Inspection as Inspection
    from diffexplain.classifiers.preprocessing import Preprocessing as Preprocessing
    from diffexplain.classifiers.timm_models import load_efficientnet_lite0 as load_efficientnet_lite0
    from diffexplain.classifiers.timm_models import load_timm as load_timm
    from diffexplain.classifiers.torchvision_models import load_robust_resnet50 as load_robust_resnet50
    from diffexplain.classifiers.torchvision_models import load_torchvision as load_torchvision
    from diffexplain.classifiers.units import unit_modules as unit_modules

_HOMES = {
    "black_box": ("load_function",),
    "caffenet": ("load_caffenet",),
    "checkpoint": ("load_checkpoint",),
    "classifier": ("Classifier", "load_classifier"),
    "clip": ("load_clip", "load_open_clip"),
    "in_memory": ("load_module",),
    "huggingface": ("load_huggingface",),
    "inspection": ("inspect_classifier",),
    "onnx_graph": ("load_onnx",),
    "output": ("Inspection",),
    "preprocessing": ("Preprocessing",),
    "timm_models": ("load_timm", "load_efficientnet_lite0"),
    "torchvision_models": ("load_torchvision", "load_robust_resnet50"),
    "units": ("unit_modules",),
}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
