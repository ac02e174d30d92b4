"""A network's weights from a file: safetensors, or a pickle of which nothing but tensors is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from diffexplain import weights_file
from diffexplain.errors import UserError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_NESTED = ("state_dict", "model", "model_state_dict")
_PARALLEL = "module."
"""What training on several devices puts in front of every name."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    A pickle is read by `torch.load(weights_only=True)`, which executes nothing, and must be one state
    dict, or hold one as `state_dict`, `model` or `model_state_dict`.

    Raises:
        UserError: missing, truncated, of another kind, or with anything but tensors in it.
    """
    if not path.is_file():
        raise UserError(f"There are no weights at {path}.")
    if path.suffix not in SUFFIXES:
        raise UserError(f"Weights are read from files of these kinds: {path}", given=path.suffix, accepted=SUFFIXES)
    if path.suffix == ".safetensors":
        return weights_file.read_weights(path, weights_file.read_shapes(path))
    content = weights_file.read_pickle(path)
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} holds no state dict: names, each with its tensor.")
    return {str(name).removeprefix(_PARALLEL): tensor for name, tensor in content.items()}


def load_state(network: nn.Module, path: Path) -> None:
    """Read the weights in `path` into `network`.

    Raises:
        UserError: as `read_state`, or the names and shapes are not those of the network.
    """
    fit_state(network, read_state(path), path)


def fit_state(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy the tensors `state`, read from `path`, into `network`.

    Raises:
        UserError: the names and shapes are not those of the network.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit the architecture: {error}") from error
