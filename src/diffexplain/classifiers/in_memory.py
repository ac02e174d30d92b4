"""A network that a Python program holds: known by its tensors and its code, looked into as a copy, kept in no file.

The configuration of such a run holds the digests of both, and so do its identity and its summary; the network itself is
found here while the call that gave it lasts. Imports torch only when there is a network.
"""

from __future__ import annotations

import copy
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from hashlib import sha256
from types import CodeType, MethodType
from typing import TYPE_CHECKING, Any

from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from diffexplain.classifiers.classifier import Classifier

CHOICE = "module"
"""The configuration's choice of ``classifier`` for such a network."""
_given: dict[tuple[str, str], nn.Module] = {}
"""The networks of the calls that are under way, by the digests of their tensors and code."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_HOOKS = {"_forward_hooks", "_forward_pre_hooks"}
_OF_TRAINERS = {"_compile_kwargs", "_is_torch_compile", "_trainer"}
"""Attributes that come with use and change no answer."""
_OF_TORCH = ("torch", "builtins", "typing", "abc")


@contextmanager
def given(model: Any, transform: Any = None) -> Iterator[dict[str, Any]]:
    """While this lasts, `load_module` finds ``model``; gives the keys that say so in a configuration, and their values.

    Args:
        transform: of torchvision, or the keys of a classifier's ``preprocessing``; None leaves those as they are.

    Raises:
        UserError: it is no network, or has no weights in memory; or the transform cannot be redone with gradient.
    """
    from torch import nn
    from torch.nn.parallel import DataParallel, DistributedDataParallel

    from diffexplain.classifiers.transforms import settings_of

    model = getattr(model, "_orig_mod", model)  # What torch.compile wraps.
    model = model.module if isinstance(model, DataParallel | DistributedDataParallel) else model
    if not isinstance(model, nn.Module):
        message = "model is a torch.nn.Module; a function of pictures is explained by classifier=function."
        raise UserError(message, given=model if isinstance(model, type) else type(model).__name__)
    kind, key = type(model), (_tensors(model), _code(model))
    keys = {"network": f"{kind.__module__}.{kind.__qualname__}", "tensors": key[0], "code": key[1]}
    keys |= {f"preprocessing.{name}": value for name, value in settings_of(transform).items()}
    before = _given.get(key)
    _given[key] = model
    try:
        yield {f"classifier.{name}": value for name, value in keys.items()}
    finally:
        _given.pop(key)
        if before is not None:
            _given[key] = before


def names(labels: Any) -> str | list[str]:
    """``labels`` as a configuration has them.

    Raises:
        UserError: neither a list of names nor a file.
    """
    if not isinstance(labels, Sequence) or not all(isinstance(one, str) for one in labels):
        raise UserError("labels is a list of names, in the order of the outputs, or a file of them.", given=labels)
    return labels if isinstance(labels, str) else list(labels)


def require(classifier: Mapping[str, Any]) -> None:
    """See that the network of a configuration is here, if it is one that a program gives.

    Raises:
        UserError: it is not.
    """
    if classifier["name"] == CHOICE and (classifier.get("tensors"), classifier.get("code")) not in _given:
        message = (
            "Such a network is handed over by the Python program that holds it, which begins and continues its runs: "
            'diffexplain.explain(model=my_network, labels=["bee", "wasp"], target="bee").'
        )
        network = classifier.get("network")
        raise UserError(message, given=f"classifier={CHOICE}" + (f", made of {network}" if network else ""))


def load_module(
    *,
    network: str | None,
    tensors: str | None,
    code: str | None,
    labels: str | Sequence[str] = IMAGENET,
    preprocessing: Mapping[str, Any],
    meta: bool = False,
) -> Classifier:
    """A copy of the network that was given, on the CPU: its own mode, flags and place stay as they are.

    Args:
        network, tensors, code: as `given` says them.
        preprocessing: arguments of `Preprocessing`, beginning with `size`.
        labels, meta: as those of all loaders; the network is in memory anyway, so `meta` changes nothing.

    Raises:
        UserError: none was given, or it cannot be copied.
    """
    from diffexplain.classifiers.classifier import Classifier
    from diffexplain.classifiers.preprocessing import preprocessing_from

    require({"name": CHOICE, "network": network, "tensors": tensors, "code": code})
    model = _given[str(tensors), str(code)]
    if getattr(model.forward, "__name__", "") == "_forward_unimplemented":
        raise UserError("The network has no forward, so it answers to nothing.", given=network)
    try:
        copied = copy.deepcopy(model).to("cpu")
    except Exception as error:  # Whatever its attributes raise.
        message = f"The network cannot be copied, and it is not explained itself, so that it stays as it is: {error}"
        raise UserError(message, given=network) from error
    prepare = preprocessing_from(preprocessing)
    return Classifier(copied, find_labels(labels, command=""), str(network), prepare)


def _tensors(model: nn.Module) -> str:
    """SHA-256 of parameters and buffers, those that no checkpoint holds too."""
    digest = sha256()
    found = {**dict(model.named_buffers()), **model.state_dict()}
    for name in sorted(found):
        digest.update(name.encode())
        _update(digest, found[name])
    return digest.hexdigest()


def _code(model: nn.Module) -> str:
    """SHA-256 of the source of every class in it but torch's, of its structure, plain attributes and hooks."""
    from torch import nn

    digest = sha256(_ADDRESS.sub("", repr(model)).encode())
    usual = vars(nn.Module()).keys() - _HOOKS | _OF_TRAINERS
    classes = {}
    for path, module in model.named_modules():
        digest.update(path.encode())
        _update(digest, {name: value for name, value in vars(module).items() if name not in usual})
        for kind in type(module).__mro__:
            if kind.__module__.partition(".")[0] not in _OF_TORCH:
                classes[f"{kind.__module__}.{kind.__qualname__}"] = kind
    without = [name for name, kind in sorted(classes.items()) if not _update_source(digest, kind)]
    traced = getattr(model, "code", None)
    digest.update(traced.encode() if isinstance(traced, str) else b"")
    if without:
        message = f"The source of {', '.join(without)} cannot be had; the compiled code says which run it is."
        warnings.warn(message, stacklevel=2)
    return digest.hexdigest()


def _update_source(digest: Any, kind: type) -> bool:
    """Add the source of a class, or of its functions, as a notebook has it; False where only compiled code is there."""
    try:
        digest.update(inspect.getsource(kind).encode())
        return True
    except (OSError, TypeError):
        found = True
    for name, value in sorted(vars(kind).items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if inspect.isfunction(function):
            digest.update(name.encode())
            found = _update_function(digest, function) and found
    return found


def _update_function(digest: Any, function: Any) -> bool:
    function = inspect.unwrap(function)
    try:
        digest.update(inspect.getsource(function).encode())
        return True
    except (OSError, TypeError):
        waiting: list[CodeType] = [function.__code__]
    while waiting:
        code = waiting.pop()
        digest.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
        for one in code.co_consts:
            if isinstance(one, CodeType):
                waiting.append(one)
            else:  # A set has another order in every process.
                digest.update(repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one).encode())
    return False


def _update(digest: Any, value: Any) -> None:
    """Add a value; of one that is neither data nor a function, its type alone."""
    import numpy as np
    import torch
    from torch import Tensor

    if isinstance(value, np.ndarray) and value.dtype != object:
        value = torch.from_numpy(np.ascontiguousarray(value)) if value.dtype.kind in "biuf" else value.tolist()
    if isinstance(value, Tensor):
        if value.is_meta:
            raise UserError("The network has no weights in memory; its tensors are on the meta device.")
        plain = value.detach().cpu()
        plain = plain.dequantize() if plain.is_quantized else plain.to_dense()
        digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
        digest.update(plain.contiguous().reshape(-1).view(torch.uint8).numpy())
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        digest.update(repr(value).encode())
    elif isinstance(value, Mapping):
        for name, one in value.items():
            digest.update(f"{'' if isinstance(name, int) else name}:".encode())  # Hooks have numbers of the process.
            _update(digest, one)
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}[".encode())
        for one in value:
            _update(digest, one)
    elif inspect.isfunction(value):
        digest.update(value.__qualname__.encode())
        _update_function(digest, value)
    elif isinstance(value, MethodType):
        _update(digest, value.__func__)
    elif is_dataclass(value) and not isinstance(value, type):
        _update(digest, vars(value))
    else:
        digest.update(f"{type(value).__module__}.{type(value).__qualname__}".encode())
