"""Drawing scenes from the world's joint distribution: independent by default, shortcuts declared as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, MAXIMUM_COMPANIONS, SUBJECTS, Companion, Scene

COMPANION_COUNT_PROBABILITIES = (0.3, 0.4, 0.3)
"""Of no, one and two companions."""


@dataclass(frozen=True)
class Shortcut:
    """`P(attribute = value | subject) = probability`; for other subjects the value stays as it was, or has
    `elsewhere` as its probability when that is given.

    `attribute` is "companion" (value: a kind, or "kind/subtype") or any attribute but "subject".
    """

    subject: str
    attribute: str
    value: str
    probability: float
    elsewhere: float | None = None

    def __post_init__(self) -> None:
        if self.subject not in SUBJECTS:
            raise ValueError(f"unknown subject {self.subject!r}; known are {', '.join(SUBJECTS)}")
        if self.attribute == "companion":
            kind, _, subtype = self.value.partition("/")
            if kind not in COMPANIONS or (subtype and subtype not in COMPANIONS[kind]):
                raise ValueError(f"unknown companion {self.value!r}; known are {', '.join(COMPANIONS)}")
        elif self.attribute == "subject" or self.value not in ATTRIBUTES.get(self.attribute, ()):
            raise ValueError(f"unknown value {self.value!r} of {self.attribute!r}")
        for probability in (self.probability, self.elsewhere):
            if probability is not None and not 0 <= probability <= 1:
                raise ValueError(f"a probability lies in [0, 1], not {probability}")


@dataclass(frozen=True)
class World:
    """A joint distribution of scenes. `World()` is the independent world."""

    shortcuts: tuple[Shortcut, ...] = ()
    subjects: tuple[str, ...] = field(default=SUBJECTS)

    def sample(self, count: int, seed: int) -> list[Scene]:
        """`count` scenes; the same for the same seed."""
        generator = np.random.Generator(np.random.Philox(key=seed))
        return [self._scene(generator) for _ in range(count)]

    def _scene(self, generator: np.random.Generator) -> Scene:
        values = {name: choices[int(generator.integers(len(choices)))] for name, choices in ATTRIBUTES.items()}
        values["subject"] = self.subjects[int(generator.integers(len(self.subjects)))]
        count = int(np.searchsorted(np.cumsum(COMPANION_COUNT_PROBABILITIES), generator.random()))
        order = [list(COMPANIONS)[i] for i in generator.permutation(len(COMPANIONS))]
        chosen = order[: min(count, MAXIMUM_COMPANIONS)]
        subtypes = {kind: s[int(generator.integers(len(s)))] if s else "" for kind, s in COMPANIONS.items()}
        wanted: list[str] = []
        for shortcut in self.shortcuts:
            probability = shortcut.probability
            if shortcut.subject != values["subject"]:
                if shortcut.elsewhere is None:
                    continue
                probability = shortcut.elsewhere
            present = bool(generator.random() < probability)
            if shortcut.attribute != "companion":
                values[shortcut.attribute] = _forced(shortcut, present, values[shortcut.attribute], generator)
                continue
            kind, _, subtype = shortcut.value.partition("/")
            if present:
                wanted.append(kind)
                subtypes[kind] = subtype or subtypes[kind]
            elif subtype:
                others = [other for other in COMPANIONS[kind] if other != subtype]
                subtypes[kind] = others[int(generator.integers(len(others)))]
            else:
                chosen = [other for other in chosen if other != kind]
        kinds = _unique([*wanted, *chosen])[:MAXIMUM_COMPANIONS]
        # In the order in which captions name them, so that a caption says where each stands.
        companions = tuple(Companion(kind, subtypes[kind], slot) for slot, kind in enumerate(kinds))
        return Scene(**values, companions=companions)


def _forced(shortcut: Shortcut, present: bool, current: str, generator: np.random.Generator) -> str:
    if present:
        return shortcut.value
    if current != shortcut.value:
        return current
    others = [value for value in ATTRIBUTES[shortcut.attribute] if value != shortcut.value]
    return others[int(generator.integers(len(others)))]


def _unique(kinds: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(kinds))
