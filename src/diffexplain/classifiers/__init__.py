"""Classifiers to be explained: one frozen wrapper, and a loader for every place that they come from.

A loader is called with the keys of its configuration; of `labels`, `weights`, `model`, `output` and `plugins` with
those that it has parameters for. If it takes `meta=True`, it gives modules and shapes on the meta device without
reading weights. Nothing here imports torch before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.classifiers.black_box import load_function
    from diffexplain.classifiers.caffenet import load_caffenet
    from diffexplain.classifiers.checkpoint import load_checkpoint
    from diffexplain.classifiers.classifier import Classifier, load_classifier
    from diffexplain.classifiers.clip import load_clip, load_open_clip
    from diffexplain.classifiers.given import load_module
    from diffexplain.classifiers.huggingface import load_huggingface
    from diffexplain.classifiers.inspection import inspect_classifier
    from diffexplain.classifiers.onnx_graph import load_onnx
    from diffexplain.classifiers.output import Inspection
    from diffexplain.classifiers.preprocessing import Preprocessing
    from diffexplain.classifiers.robust_resnet50 import load_robust_resnet50
    from diffexplain.classifiers.timm_models import load_efficientnet_lite0, load_timm
    from diffexplain.classifiers.torchvision_models import load_torchvision
    from diffexplain.classifiers.units import unit_modules

__all__ = [
    "Classifier",
    "Inspection",
    "Preprocessing",
    "inspect_classifier",
    "load_caffenet",
    "load_checkpoint",
    "load_classifier",
    "load_clip",
    "load_efficientnet_lite0",
    "load_function",
    "load_huggingface",
    "load_module",
    "load_onnx",
    "load_open_clip",
    "load_robust_resnet50",
    "load_timm",
    "load_torchvision",
    "unit_modules",
]

_HOMES = {
    "Classifier": "classifier",
    "Inspection": "output",
    "Preprocessing": "preprocessing",
    "inspect_classifier": "inspection",
    "load_caffenet": "caffenet",
    "load_checkpoint": "checkpoint",
    "load_classifier": "classifier",
    "load_clip": "clip",
    "load_efficientnet_lite0": "timm_models",
    "load_function": "black_box",
    "load_huggingface": "huggingface",
    "load_module": "given",
    "load_onnx": "onnx_graph",
    "load_open_clip": "clip",
    "load_robust_resnet50": "robust_resnet50",
    "load_timm": "timm_models",
    "load_torchvision": "torchvision_models",
    "unit_modules": "units",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
