"""The user's own classifier: an importable network, or what builds it, and perhaps a file of weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from diffexplain.building import find, locate
from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.state import load_state
from diffexplain.errors import UserError
from diffexplain.labels import IMAGENET, find_labels
from diffexplain.paths import resolve_file

_WHERE = "classifier.network"


def load_checkpoint(
    network: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    checkpoint: str | None = None,
    state: str | None = None,
    labels: str | Sequence[str] = IMAGENET,
    preprocessing: Mapping[str, Any],
    plugins: Sequence[str] = (),
    meta: bool = False,
) -> Classifier:
    """A classifier of the user's.

    Args:
        network: dotted name of a function or class that makes a `torch.nn.Module`, or of a module that is
            already made, in one of the packages that `plugins` names.
        arguments: of the function or class.
        checkpoint: safetensors, or a pickle of tensors alone as trainers write it; `None` leaves the network as it is
            made.
        state: which of several states of the network in the checkpoint, such as `state_dict_ema`.
        labels: as `diffexplain.labels` reads them.
        preprocessing: arguments of `Preprocessing`, beginning with `size`.
        plugins: the run's own.
        meta: modules and shapes alone, on the meta device; no weights are read.

    Raises:
        UserError: nothing of that name, not allowed, no network, weights that do not fit it, or another number
            of logits than of names.
    """
    if "size" not in preprocessing:
        raise UserError("classifier.preprocessing needs a size.")
    built = _network(network, dict(arguments or {}), plugins, meta)
    if not isinstance(built, nn.Module):
        raise UserError(f"{_WHERE} must be or make a torch.nn.Module.", given=f"{network}, {type(built).__name__}")
    if getattr(built.forward, "__name__", "") == "_forward_unimplemented":
        raise UserError(
            "The network has no forward, so it answers to nothing.", given=f"{network}, {type(built).__name__}"
        )
    if checkpoint is not None and not meta:
        load_state(built, resolve_file(checkpoint), state)
    with torch.device("meta" if meta else "cpu"):
        classes = find_labels(labels, command="")
        classifier = Classifier(built, classes, network, Preprocessing(**preprocessing))
        with torch.no_grad():
            logits = classifier(torch.zeros(1, 3, 64, 64))
    if logits.shape != (1, len(classes)):
        found = f"logits {tuple(logits.shape)} of one picture"
        raise UserError(f"classifier.labels has {len(classes)} names, and the network says otherwise.", given=found)
    return classifier


def _network(name: str, arguments: Mapping[str, Any], plugins: Sequence[str], meta: bool) -> Any:
    made = find(name, plugins, _WHERE)
    if isinstance(made, nn.Module):
        return copy.deepcopy(made).to("meta" if meta else "cpu")
    function = locate(name, plugins, _WHERE)
    _check_arguments(function, name, arguments)
    with torch.device("meta" if meta else "cpu"):
        return function(**arguments)


def _check_arguments(function: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the user's function does not take, before it runs."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in another language
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        accepted = [key for key, one in signature.parameters.items() if one.kind is not one.VAR_KEYWORD]
        message = f"classifier.arguments are not those of {name}: {error}."
        raise UserError(message, given=", ".join(map(str, arguments)) or "none", accepted=accepted) from error
