"""`diffexplain convert`: a pickle of tensors, as older projects publish their weights, is made a safetensors file.

`torch.load(weights_only=True)` builds tensors and plain containers, and calls nothing that a pickle names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from diffexplain.errors import UserError
from diffexplain.runs import atomic
from diffexplain.weights_file import read_pickle, refusal, some

STATES = ("model", "state_dict", "model_state_dict")
"""Under which names training scripts keep the network's tensors, beside the optimiser's and the like."""

LAYOUTS: dict[str, dict[str, str | None]] = {
    # Each prefix and what takes its place; `None`: left out. The first layout that knows every name is taken.
    "robustness, DataParallel": {"module.model.": "", "module.attacker.": None, "module.normalizer.": None},
    "robustness": {"model.": "", "attacker.": None, "normalizer.": None},
    "DataParallel": {"module.": ""},
    "plain": {"": ""},
}
"""How names are written by the libraries that wrap a network for training. The robustness library's attacker holds
the same network again, and its normaliser the mean and deviation that a classifier's preprocessing has here."""


@dataclass(frozen=True)
class Conversion:
    """What came of a pickle.

    Attributes:
        kept: tensors by the names that the network gives them.
        layout: the key of `LAYOUTS` by which they were renamed.
        dropped: names of everything else in the pickle.
    """

    kept: dict[str, Tensor]
    layout: str
    dropped: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """``diffexplain convert <pickle> [<safetensors>]``: writes the file, says what is in it, returns the exit status.

    Raises:
        UserError: there is no such file, or something but tensors would have to be read.
        RetryableError: the file cannot be written.
    """
    if len(arguments) not in (1, 2):
        raise UserError("Name a file of weights, and the safetensors file to make of it.", hint="diffexplain --help")
    source = Path(arguments[0]).expanduser()
    target = Path(arguments[1]).expanduser() if len(arguments) == 2 else source.with_suffix(".safetensors")
    if target.suffix != ".safetensors":
        raise UserError("The file that is made ends in .safetensors.", given=target)
    conversion = convert(source, target)
    size = target.stat().st_size / 1e6
    print(f"kept:    {len(conversion.kept)} tensors, {size:.1f} MB: {some(list(conversion.kept))}")
    print(f"dropped: {some(conversion.dropped) if conversion.dropped else 'nothing'}")
    print(f"names:   {conversion.layout}")
    print(target)
    return 0


def convert(source: Path, target: Path) -> Conversion:
    """Write the tensors of the pickle ``source`` to the safetensors file ``target``.

    Raises:
        UserError: ``source`` is missing or damaged, or has anything but tensors where the network should be.
        RetryableError: ``target`` cannot be written.
    """
    if not source.is_file():
        raise UserError(f"There is no file at {source}.")
    content = read_pickle(source)
    key, state = _state(source, content)
    if not state:
        raise refusal(source, "names, each with its tensor", "no names")
    strange = [f"{name} ({type(value).__name__})" for name, value in state.items() if not _is_dense(value)]
    if strange:
        raise refusal(source, "nothing but tensors in the network's place", some(strange))
    state = {str(name): value for name, value in state.items()}
    layout, names = _renamed(state)
    # A copy of its own for each: safetensors keeps no views.
    kept = {new: state[old].detach().clone(memory_format=torch.contiguous_format) for old, new in names.items()}
    beside = [str(name) for name in content if name != key] if key is not None else []
    atomic.write_bytes(target, save(kept, {"format": "pt"}))
    return Conversion(kept, layout, (*beside, *(name for name in state if name not in names)))


def _state(path: Path, content: Any) -> tuple[str | None, Mapping[Any, Any]]:
    """The network's tensors, and the key under which they are, or ``None`` if they are the whole file."""
    if not isinstance(content, Mapping):
        raise refusal(path, "names, each with its tensor", f"one {type(content).__name__}")
    for key in STATES:
        if isinstance(content.get(key), Mapping):
            return key, content[key]
    return None, content


def _is_dense(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_quantized


def _renamed(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The layout of ``names``, and the new name of each that is kept."""
    for layout, prefixes in LAYOUTS.items():
        kept = {}
        for name in names:
            prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
            if prefix is None:
                break
            replacement = prefixes[prefix]
            if replacement is not None:
                kept[name] = replacement + name.removeprefix(prefix)
        else:
            return layout, kept
    raise AssertionError("the last layout takes every name")
