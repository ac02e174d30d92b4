"""All classifiers of the benchmark, in their sets and by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import experiments.shortcut_bench.architectures  # noqa: F401  the loader of classifiers is to know them
from diffexplain.errors import UserError
from experiments.shortcut_bench import specification
from experiments.shortcut_bench.fresh import dose_classifiers, fresh_classifiers
from experiments.shortcut_bench.specification import Specification

_T = TypeVar("_T")

SETS: dict[str, Callable[[], list[Specification]]] = {
    "halves": specification.classifiers,
    "fresh": fresh_classifiers,
    "dose": dose_classifiers,
}


def chosen(names: Sequence[str], every_of: str = "halves") -> list[Specification]:
    """The classifiers of these names in the benchmark's order, all of one set if there is no name.

    Raises:
        UserError: a name is not in the benchmark.
    """
    if not names:
        return SETS[every_of]()
    every = [one for make in SETS.values() for one in make()]
    known = [one.name for one in every]
    for name in names:
        if name not in known:
            raise UserError(f"The benchmark has no classifier {name!r}.", given=name, accepted=known)
    return [one for one in every if one.name in names]


def part(items: Sequence[_T], shard: str) -> Sequence[_T]:
    """What is one process's part: of "1/3" every third from the second on.

    Raises:
        UserError: it is not written so, or there is no such part.
    """
    first, _, count = shard.partition("/")
    if not (first.isdecimal() and count.isdecimal() and int(first) < int(count)):
        raise UserError(
            "A shard is i/n, where i counts from 0 and is less than n.", given=shard, accepted=["0/2", "1/2"]
        )
    return items[int(first) :: int(count)]
