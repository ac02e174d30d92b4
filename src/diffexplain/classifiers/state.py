"""A network's weights from a file: safetensors, or a pickle of which nothing but tensors is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from diffexplain.errors import UserError
from diffexplain.weights import files
from diffexplain.weights.state_dicts import network_state, states

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
"""``.tar`` as in ``model.pth.tar``, which is what `torch.save` writes under another name."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file that holds one network's and nothing else, by name, on the CPU.

    Raises:
        UserError: missing, truncated, of another kind, or with more than one state dict in it.
    """
    found = list(states(_read(path)).values())
    if len(found) != 1:
        raise UserError(f"{path} holds {len(found)} state dicts, and should hold one: names, each with its tensor.")
    return found[0]


def load_state(network: nn.Module, path: Path, chosen: str | None = None) -> None:
    """Read the weights in `path` into `network`; of several states of it there, the ``chosen`` one.

    A pickle is read by `torch.load(weights_only=True)`, which executes nothing. The network's tensors are found in it
    wherever a trainer has put them.

    Raises:
        UserError: missing, truncated, of another kind; or the names and shapes are not those of the network, or those
            of several states.
    """
    fit_state(network, _read(path), path, chosen)


def fit_state(network: nn.Module, content: Mapping[str, Any], path: Path, chosen: str | None = None) -> None:
    """Copy the network's tensors in `content`, read from `path`, into `network`.

    Raises:
        UserError: the names and shapes are not those of the network, or those of several states.
    """
    expected = {name: value.shape for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    # Not strict, since counters may be missing; that everything else is there was seen.
    network.load_state_dict(network_state(path, content, expected, chosen), strict=False)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"There are no weights at {path}.")
    if path.suffix == ".onnx":
        message = "An ONNX graph is no file of weights: classifier=onnx explains it, without classifier.network."
        raise UserError(message, given=path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"Weights are read from files of these kinds: {path}", given=path.suffix, accepted=SUFFIXES)
    if path.suffix == ".safetensors":
        return files.read_weights(path, files.read_shapes(path))
    return files.read_pickle(path)
