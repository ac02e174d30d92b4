"""Classifiers that no method was tuned on: designs drawn by a seed, and the same shortcut in several doses.

What is planted with which class, how strongly, and in which architecture, is drawn by `SEED`. `DIGEST` is that of all
designs and of the words that stand for concepts: both were written down before any method was run on one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import TypeVar

from diffexplain.world.render import choice
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, SUBJECTS
from experiments.shortcut_bench.marks import MARK_KINDS, VARIANTS, Mark
from experiments.shortcut_bench.specification import (
    NOT_LEARNED_STRENGTH,
    STRENGTHS,
    Architecture,
    Control,
    Kind,
    Shortcut,
    Specification,
    Value,
    fit_together,
    shortcut_classifiers,
)
from experiments.shortcut_bench.words import WORDS

_T = TypeVar("_T")

SEED = 13
DIGEST = "2506b8d1741133226334de29d082d68a5e7e8c1c0bd762c7226e6153879ac016"

ARCHITECTURES: tuple[Architecture, ...] = ("cnn", "vit", "group_norm_resnet", "mixer")
COUNTS: dict[Kind, int] = {
    "companion": 4,
    "subtype": 4,
    "setting": 4,
    "colour": 4,
    "texture": 4,
    "weather": 4,
    "place": 4,
    "pair": 16,
    "negative": 16,
    "mark": 12,
}
"""Classifiers of each kind, a quarter in each architecture. Of pairs and marks nothing else is planted."""

CONTROL_COUNTS: dict[Control, int] = {"fair": 16, "not_learned": 12, "random_weights": 4, "shuffled_labels": 4}
DOSES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
DOSE_KINDS: tuple[Kind, ...] = ("companion", "setting", "colour")

ATTRIBUTES_OF: dict[Kind, tuple[str, ...]] = {
    "place": ("position", "size"),
    "pair": ("companion", "setting"),
    "negative": ("companion", "subtype", "setting", "colour", "texture", "weather", "position", "size"),
}
"""Of the kinds that are not called like their attribute: where what is planted first comes from."""

SECOND_OF_A_PAIR = ("companion", "setting", "colour", "texture", "weather")

NAMED_KINDS: tuple[Kind, ...] = ("companion", "subtype", "setting", "colour", "texture", "weather", "place")
VALUES: dict[str, tuple[Value, ...]] = {
    "companion": tuple(Value("companion", kind) for kind in COMPANIONS),
    "subtype": tuple(Value("subtype", f"{kind}/{one}") for kind, subtypes in COMPANIONS.items() for one in subtypes),
    **{
        attribute: tuple(Value(attribute, value) for value in values)
        for attribute, values in ATTRIBUTES.items()
        if attribute != "subject"
    },
}
FIRST_SEED, FIRST_CONTROL_SEED, FIRST_DOSE_SEED = 10_000, 15_000, 20_000


@dataclass(frozen=True)
class _Design:
    """What is planted, before it has a strength and an architecture."""

    class_name: str
    shortcuts: tuple[Shortcut, ...] = ()
    lowers: tuple[Shortcut, ...] = ()
    mark: Mark | None = None

    @property
    def first(self) -> tuple[object, ...]:
        """What no other design shares: the class with what is planted first."""
        planted = self.lowers + self.shortcuts
        return self.class_name, self.mark, frozenset(planted[0]) if planted else None


class _Lot:
    """Draws that depend on `SEED`, on what they are for, and on how many were made for it before."""

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        self.drawn = 0

    def one_of(self, options: Sequence[_T]) -> _T:
        self.drawn += 1
        return options[choice(SEED, f"{self.purpose} {self.drawn}", len(options))]

    def in_turn(self, options: Sequence[_T], count: int) -> list[_T]:
        """Each of the options about as often, in an order drawn by lot."""
        found: list[_T] = []
        while len(found) < count:
            left = list(options)
            while left:
                found.append(left.pop(self.one_of(range(len(left)))))
        return found[:count]


def fresh_classifiers() -> list[Specification]:
    """All with something planted, then all controls, in a fixed order."""
    taken = {_Design(one.class_name, one.shortcuts).first for one in shortcut_classifiers()}
    planted = [one for kind in COUNTS for one in _of_kind(kind, taken)]
    return planted + [one for control in CONTROL_COUNTS for one in _of_control(control)]


def dose_classifiers() -> list[Specification]:
    """One shortcut of each of some kinds, with the same pictures but for how often it comes along with the class."""
    taken = {_Design(one.class_name, one.shortcuts).first for one in shortcut_classifiers() + fresh_classifiers()}
    found = []
    for place, kind in enumerate(DOSE_KINDS):
        lot = _Lot(f"dose {kind}")
        design = _untaken(taken, partial(_drawn, kind, lot))
        architecture = lot.one_of(ARCHITECTURES)
        for dose in DOSES:
            name = f"dose_{kind}_{design.class_name}_{architecture}_{100 * dose:.0f}"
            seed = FIRST_DOSE_SEED + place
            found.append(_specification(name, architecture, design, dose, kind, None, seed))
    return found


def digest() -> str:
    """SHA-256, as hex, of all designs and of the words that stand for concepts."""
    designs = [asdict(one) for one in fresh_classifiers() + dose_classifiers()]
    canonical = json.dumps({"designs": designs, "words": WORDS}, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def _of_kind(kind: Kind, taken: set[tuple[object, ...]]) -> Iterator[Specification]:
    lot, count = _Lot(kind), COUNTS[kind]
    classes, architectures = lot.in_turn(SUBJECTS, count), lot.in_turn(ARCHITECTURES, count)
    strengths, sizes = lot.in_turn(STRENGTHS, count), lot.in_turn((1, 2, 3), count)
    marks = lot.in_turn(MARK_KINDS, count)
    for place in range(count):

        def draw(place: int = place) -> _Design:
            if kind == "mark":
                return _Design(classes[place], mark=Mark(marks[place], lot.one_of(VARIANTS[marks[place]])))
            return _design(kind, classes[place], 1 if kind == "pair" else sizes[place], lot)

        design = _untaken(taken, draw)
        index = sum(list(COUNTS.values())[: list(COUNTS).index(kind)]) + place
        name = f"fresh_{index:02}_{kind}_{design.class_name}_{architectures[place]}"
        seed = FIRST_SEED + index
        yield _specification(name, architectures[place], design, strengths[place], kind, None, seed)


def _of_control(control: Control) -> Iterator[Specification]:
    lot, count = _Lot(control), CONTROL_COUNTS[control]
    classes, architectures = lot.in_turn(SUBJECTS, count), lot.in_turn(ARCHITECTURES, count)
    for place in range(count):
        design = _Design(classes[place])
        if control == "not_learned":
            design = _design(lot.one_of(NAMED_KINDS), classes[place], 1, lot)
        index = sum(list(CONTROL_COUNTS.values())[: list(CONTROL_COUNTS).index(control)]) + place
        name = f"fresh_{control}_{index:02}_{design.class_name}_{architectures[place]}"
        strength = NOT_LEARNED_STRENGTH if design.shortcuts else None
        seed = FIRST_CONTROL_SEED + index
        yield _specification(name, architectures[place], design, strength, None, control, seed)


def _specification(
    name: str,
    architecture: Architecture,
    design: _Design,
    strength: float | None,
    kind: Kind | None,
    control: Control | None,
    seed: int,
) -> Specification:
    return Specification(
        name,
        architecture,
        design.class_name,
        design.shortcuts,
        strength,
        kind,
        control,
        seed,
        design.lowers,
        design.mark,
    )


def _untaken(taken: set[tuple[object, ...]], draw: Callable[[], _Design]) -> _Design:
    """The first design drawn that no other shares its beginning with."""
    while (design := draw()).first in taken:
        pass
    taken.add(design.first)
    return design


def _drawn(kind: Kind, lot: _Lot) -> _Design:
    """A design of one shortcut of a class that is drawn."""
    return _design(kind, lot.one_of(SUBJECTS), 1, lot)


def _design(kind: Kind, class_name: str, size: int, lot: _Lot) -> _Design:
    """A design of so many shortcuts, the first of which is of the kind."""
    attributes = ATTRIBUTES_OF.get(kind, (kind,))
    values = [_value(attributes, [], lot)]
    if kind == "pair":
        pair = (values[0], _value(SECOND_OF_A_PAIR, values, lot))
        return _Design(class_name, (pair,))
    for _ in range(size - 1):
        values.append(_value(tuple(VALUES), values, lot))
    first, *others = ((value,) for value in values)
    if kind == "negative":
        return _Design(class_name, tuple(others), lowers=(first,))
    return _Design(class_name, (first, *others))


def _value(attributes: Sequence[str], beside: Sequence[Value], lot: _Lot) -> Value:
    """A value of one of the attributes that a scene can have beside the others."""
    while not fit_together([*beside, value := lot.one_of(VALUES[lot.one_of(attributes)])]):
        pass
    return value
