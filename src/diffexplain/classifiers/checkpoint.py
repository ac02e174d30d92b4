"""The user's own classifier: an importable network, or what builds it, and perhaps a file of weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import preprocessing_from
from diffexplain.classifiers.state import load_state
from diffexplain.classifiers.units import device_of
from diffexplain.config.instantiate import find, locate
from diffexplain.errors import UserError
from diffexplain.weights.paths import resolve_file

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
        preprocessing: arguments of `Preprocessing`, beginning with `size`.
        plugins: the run's own.
        labels, meta: as those of all loaders; on the meta device only where the network can be made there.

    Raises:
        UserError: nothing of that name, not allowed, no network, or weights that do not fit it.
    """
    prepare = preprocessing_from(preprocessing)
    built = _network(network, dict(arguments or {}), plugins, meta)
    if not isinstance(built, nn.Module):
        message = f"{_WHERE} must be or make a torch.nn.Module; {_of_pictures(network)}"
        raise UserError(message, given=f"{network}, {type(built).__name__}")
    if getattr(built.forward, "__name__", "") == "_forward_unimplemented":
        raise UserError(
            "The network has no forward, so it answers to nothing.", given=f"{network}, {type(built).__name__}"
        )
    if checkpoint is not None and not meta:
        load_state(built, resolve_file(checkpoint), state)
    return Classifier(built, find_labels(labels, command=""), network, prepare.to(device_of(built)))


def _network(name: str, arguments: Mapping[str, Any], plugins: Sequence[str], meta: bool) -> Any:
    made = find(name, plugins, _WHERE)
    if isinstance(made, nn.Module):
        return copy.deepcopy(made).to("cpu")
    function = locate(name, plugins, _WHERE)
    _check_arguments(function, name, arguments)
    built = _without_weights(function, arguments) if meta else None
    return function(**arguments) if built is None else built


def _without_weights(function: Callable[..., Any], arguments: Mapping[str, Any]) -> nn.Module | None:
    """The network on the meta device; None where it cannot be made there, as with weights that it reads itself."""
    try:
        with torch.device("meta"):
            built = function(**arguments)
    except Exception:  # What is the user's fault comes again when the network is made in earnest.
        return None
    tensors = [*built.parameters(), *built.buffers()] if isinstance(built, nn.Module) else []
    return built if tensors and all(tensor.is_meta for tensor in tensors) else None


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
        if not arguments and len(accepted) == 1 and not inspect.isclass(function):
            message += f" If it answers pictures: {_of_pictures(name)}"
        raise UserError(message, given=", ".join(map(str, arguments)) or "none", accepted=accepted) from error


def _of_pictures(name: str) -> str:
    return f"a function of pictures is explained by classifier=function classifier.function={name}."
