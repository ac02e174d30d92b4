"""All classifiers of the benchmark, in their sets and by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import specification
from fresh import dose_classifiers, fresh_classifiers
from specification import Specification

from diffexplain.errors import UserError

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
