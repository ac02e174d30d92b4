"""The tensors of a network in what a training script saved: in which container, and with what before their names.

Trainers keep a network's state beside their own (``state_dict``, ``model``, ``net``, ``state_dict_ema``), and what
wraps a network for training puts ``module.``, ``model.``, ``_orig_mod.`` before its names, one after another. Where the
network is known, the file is searched for exactly its names and shapes under any prefix; so no list of trainers is
needed, and nothing that is nearly right is taken.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffexplain.errors import UserError
from diffexplain.weights.files import shown

State = Mapping[str, Tensor]
ITSELF = "itself"
"""What the choice is called of tensors that lie in the file itself, under no container's name."""

_COMPILED = "_orig_mod."
_PARALLEL = "module."
_OPTIONAL = "num_batches_tracked"
"""Counters that older versions of torch do not save; a frozen network does not read them."""
_DEPTH = 3
_NAMED = 5


@dataclass(frozen=True)
class Found:
    """A network's tensors in a file.

    Attributes:
        container: where they lie, such as ``state_dict``; empty: in the file itself.
        prefix: what stands before their names there.
        tensors: by the network's own names.
        beside: names in the same container that belong to something else.
    """

    container: str
    prefix: str
    tensors: State
    beside: tuple[str, ...]

    @property
    def label(self) -> str:
        """What the user calls it."""
        return ".".join(filter(None, (self.container, self.prefix.rstrip(".")))) or ITSELF


def states(content: Any) -> dict[str, dict[str, Tensor]]:
    """Every state dict in what was saved, by where it lies: ``state_dict``, ``ema.shadow``; empty: the file itself."""
    return dict(_states(content, "", _DEPTH))


def network_state(path: Path, content: Any, expected: Mapping[str, Sequence[int]], chosen: str | None = None) -> State:
    """The tensors of a network in what was saved in ``path``, by the network's own names.

    Args:
        expected: name and shape of every tensor of the network.
        chosen: where they lie, if there are several that fit; as the message calls it that asks for it.

    Raises:
        UserError: none fits, several do and none is chosen, or none is called so.
    """
    candidates = states(content)
    if not candidates:
        raise UserError(f"{path} holds no state dict: names, each with its tensor.")
    every = [match for name, state in candidates.items() for match in _matches(name, state, expected)]
    if not every:
        raise _misfit(path, candidates, expected)
    found = _distinct([match for match in every if chosen in (None, match.label, match.container)])
    if not found:
        labels = [match.label for match in every]
        raise UserError(f"{path} holds no such state of the network.", given=chosen, accepted=labels)
    if len(found) > 1:
        message = f"{path} holds the network {len(found)} times, with other weights each: say which."
        raise UserError(message, accepted=[f"classifier.state={match.label}" for match in found])
    (match,) = found
    if match.beside:
        warnings.warn(
            f"Of {path}, the tensors under {match.label} are the network's; left out: {named(match.beside)}.",
            stacklevel=2,
        )
    return match.tensors


def named(names: Sequence[str]) -> str:
    """How many ``names`` there are, and the first five."""
    return f"{len(names)} ({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''})"


def without_wrappers(state: Mapping[str, Any]) -> dict[str, Any]:
    """``state`` without what `torch.compile` puts into names."""
    return {name.replace(_COMPILED, ""): value for name, value in state.items()}


def _states(content: Any, where: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping):
        return
    own = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if own:
        yield where, own
    if depth:
        for name, value in content.items():
            if isinstance(name, str):
                yield from _states(value, f"{where}.{name}" if where else name, depth - 1)


def _matches(container: str, state: State, expected: Mapping[str, Sequence[int]]) -> Iterator[Found]:
    """Under which prefixes of a state the whole network lies, and nothing else."""
    for wanted in _inner(expected):
        for names in _spellings(state):
            found = []
            for prefix in _prefixes(names, wanted):
                under = {name.removeprefix(prefix): tensor for name, tensor in names.items() if name.startswith(prefix)}
                if not any(_differences(under, wanted)):
                    outer = next(iter(expected)).removesuffix(next(iter(wanted)))
                    beside = tuple(name for name in names if not name.startswith(prefix))
                    tensors = {f"{outer}{name}": tensor for name, tensor in under.items()}
                    found.append(Found(container, prefix, tensors, beside))
            if found:
                yield from found
                return


def _inner(expected: Mapping[str, Sequence[int]]) -> Iterator[dict[str, Sequence[int]]]:
    """The network's names, and without what stands before all of them: it may be a wrapper, too."""
    names = dict(expected)
    while names:
        yield names
        first = {name.partition(".")[0] for name in names}
        if len(first) != 1 or not all("." in name for name in names):
            return
        names = {name.partition(".")[2]: shape for name, shape in names.items()}


def _spellings(state: State) -> Iterator[State]:
    """A state's names as they are, and without what wraps parts of a network for training."""
    yield state
    for dropped in ((_COMPILED,), (_COMPILED, _PARALLEL)):
        renamed = {}
        for name, tensor in state.items():
            for wrapper in dropped:
                name = name.removeprefix(wrapper).replace(f".{wrapper}", ".")
            renamed[name] = tensor
        if renamed.keys() != state.keys() and len(renamed) == len(state):
            yield renamed


def _prefixes(names: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What stands in ``names`` before names that are expected, the most frequent and shortest first."""
    count: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for index in range(len(parts)):
            if ".".join(parts[index:]) in expected:
                count["".join(f"{part}." for part in parts[:index])] += 1
    return sorted(count, key=lambda prefix: (-count[prefix], len(prefix)))


def _differences(
    found: State, expected: Mapping[str, Sequence[int]]
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Names that are missing, names that are unexpected, and names with the shapes found and expected."""
    missing = [name for name in expected if name not in found and not name.endswith(_OPTIONAL)]
    unexpected = [name for name in found if name not in expected]
    reshaped = [
        (name, f"{shown(found[name].shape)}, the network's is {shown(shape)}")
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != tuple(shape)
    ]
    return missing, unexpected, reshaped


def _distinct(found: Sequence[Found]) -> list[Found]:
    """Without those whose tensors are another's: some trainers save a network twice."""
    kept: list[Found] = []
    for match in found:
        if not any(_equal(match.tensors, other.tensors) for other in kept):
            kept.append(match)
    return kept


def _equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def _misfit(path: Path, candidates: Mapping[str, State], expected: Mapping[str, Sequence[int]]) -> UserError:
    """What is wrong with the state that is most like the network."""
    best: tuple[int, State] = (-1, {})
    for state in candidates.values():
        for names in _spellings(state):
            for prefix in (_prefixes(names, expected) or [""])[:1]:
                under = {name.removeprefix(prefix): tensor for name, tensor in names.items() if name.startswith(prefix)}
                alike = len(under.keys() & expected.keys())
                if alike > best[0]:
                    best = (alike, under)
    missing, unexpected, reshaped = _differences(best[1], expected)
    lines = [f"{path} does not fit the network, which has {len(expected)} tensors."]
    lines += [f"  missing:     {named(missing)}"] if missing else []
    lines += [f"  unexpected:  {named(unexpected)}"] if unexpected else []
    lines += [f"  other shape: {named([f'{name} {shapes}' for name, shapes in reshaped])}"] if reshaped else []
    return UserError("\n".join(lines))
