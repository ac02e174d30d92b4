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
from diffexplain.weights import atomic
from diffexplain.weights.files import read_pickle, refusal, some
from diffexplain.weights.state_dicts import states, without_wrappers

_STATE = "--state="
"""Before the name of one of several states."""

LAYOUTS: dict[str, dict[str, str | None]] = {
    # Each prefix and what takes its place; `None`: left out. The first layout that knows every name is taken.
    "robustness, DataParallel": {"module.model.": "", "module.attacker.": None, "module.normalizer.": None},
    "robustness": {"model.": "", "attacker.": None, "normalizer.": None},
    "DataParallel": {"module.": ""},
    "net": {"net.": ""},
    "plain": {"": ""},
}
"""How names are written by the libraries that wrap a network for training. The robustness library's attacker holds
the same network again, and its normaliser the mean and deviation that a classifier's preprocessing has here. They are
taken off one after another; `torch.compile`'s ``_orig_mod.`` goes wherever it stands."""


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
    """``diffexplain convert <pickle> [<safetensors>] [--state=<name>]``: writes the file, says what is in it.

    Returns the exit status.

    Raises:
        UserError: there is no such file, or something but tensors would have to be read, or several networks are in it.
        RetryableError: the file cannot be written.
    """
    chosen = [text.removeprefix(_STATE) for text in arguments if text.startswith(_STATE)]
    files = [text for text in arguments if not text.startswith(_STATE)]
    if len(files) not in (1, 2) or len(chosen) > 1:
        raise UserError("Name a file of weights, and the safetensors file to make of it.", hint="diffexplain --help")
    source = Path(files[0]).expanduser()
    plain = source.with_suffix("") if source.name.endswith(".pth.tar") else source
    target = Path(files[1]).expanduser() if len(files) == 2 else plain.with_suffix(".safetensors")
    if target.suffix != ".safetensors":
        raise UserError("The file that is made ends in .safetensors.", given=target)
    conversion = convert(source, target, chosen[0] if chosen else None)
    size = target.stat().st_size / 1e6
    print(f"kept:    {len(conversion.kept)} tensors, {size:.1f} MB: {some(list(conversion.kept))}")
    print(f"dropped: {some(conversion.dropped) if conversion.dropped else 'nothing'}")
    print(f"names:   {conversion.layout}")
    print(target)
    return 0


def convert(source: Path, target: Path, chosen: str | None = None) -> Conversion:
    """Write the tensors of the pickle ``source`` to the safetensors file ``target``, which is there when it is whole.

    ``chosen``: under which name the network is in it, if there are several.

    Raises:
        UserError: ``source`` is missing or damaged, or has anything but tensors where the network should be; or holds
            several networks, and none is chosen.
        RetryableError: ``target`` cannot be written.
    """
    if not source.is_file():
        raise UserError(f"There is no file at {source}.")
    content = read_pickle(source)
    key, state = _state(source, content, chosen)
    if not state:
        raise refusal(source, "names, each with its tensor", "no names")
    strange = [f"{name} ({type(value).__name__})" for name, value in state.items() if not _is_dense(value)]
    if strange:
        raise refusal(source, "nothing but tensors in the network's place", some(strange))
    layout, names = _renamed(state)
    # A copy of its own for each: safetensors keeps no views.
    kept = {new: state[old].detach().clone(memory_format=torch.contiguous_format) for old, new in names.items()}
    beside = [str(name) for name in content if name != key.partition(".")[0]] if key else []
    atomic.write_bytes(target, save(kept, {"format": "pt"}))
    return Conversion(kept, layout, (*beside, *(name for name in state if name not in names)))


def _state(path: Path, content: Any, chosen: str | None) -> tuple[str, Mapping[str, Any]]:
    """The network's tensors, and under which name they are, empty if they are the whole file."""
    if not isinstance(content, Mapping):
        raise refusal(path, "names, each with its tensor", f"one {type(content).__name__}")
    containers = [name for name in states(content) if name]
    if chosen is not None and chosen not in containers:
        raise UserError(f"{path} holds no such state.", given=chosen, accepted=containers)
    if chosen is None and len(containers) > 1:
        accepted = [f"{_STATE}{name}" for name in containers]
        raise UserError(f"{path} holds {len(containers)} states: say which is the network's.", accepted=accepted)
    key = chosen or (containers[0] if containers else "")
    state = content
    for part in key.split(".") if key else ():
        state = state[part]
    return key, {str(name): value for name, value in state.items()}


def _is_dense(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_quantized


def _renamed(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The layouts of ``names``, and the new name of each that is kept."""
    layouts: list[str] = []
    kept = {name: plain for plain, name in without_wrappers({name: name for name in names}).items()}
    while True:
        layout, renamed = _without_prefix(kept.values())
        if layout == "plain":
            return ", ".join(layouts) or layout, kept
        layouts.append(layout)
        kept = {old: renamed[name] for old, name in kept.items() if name in renamed}


def _without_prefix(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The first layout that knows all ``names``, and the new name of each that is kept."""
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
