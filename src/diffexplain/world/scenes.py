"""The records of the embedded world: what a scene is made of, before anything is drawn.

A scene is one *subject*, up to two *companions*, a *setting* and free attributes. All values are plain
strings from the tables below, so that a scene can be written down, compared and edited.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SUBJECTS = (
    "flagpole", "bee", "dog_sled", "padlock", "snorkel", "umbrella",
    "yawl", "hourglass", "teapot", "mushroom", "balloon", "acoustic_guitar",
)  # fmt: skip
"""Classes of the world's classifiers, in index order; named like the ImageNet classes of the papers."""

COMPANIONS: dict[str, tuple[str, ...]] = {
    "flag": ("striped", "plain", "tricolour"),
    "flower": ("red", "yellow"),
    "dog": ("brown", "white"),
    "tree": ("pine", "round"),
    "person": (),
    "cloud": (),
    "bird": (),
    "ball": (),
    "kite": (),
    "house": (),
}
"""Kinds of companion and their sub-types; a kind without sub-types has an empty tuple."""

SETTINGS = ("snow", "grass", "sea", "night", "city", "desert", "forest", "room")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "spotted")
POSITIONS = ("left", "centre", "right")
WEATHERS = ("clear", "rain", "fog")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "colour": COLOURS,
    "size": SIZES,
    "texture": TEXTURES,
    "position": POSITIONS,
    "setting": SETTINGS,
    "weather": WEATHERS,
}
"""The attributes with exactly one value a scene; companions are apart, since they come in any number."""

MAXIMUM_COMPANIONS = 2
IMAGE_SIZE = 64


@dataclass(frozen=True, slots=True)
class Companion:
    """A thing that comes along with the subject.

    `slot` (0 or 1) fixes its place, so that taking one companion out leaves the other where it was.
    """

    kind: str
    subtype: str = ""
    slot: int = 0

    def __post_init__(self) -> None:
        if self.kind not in COMPANIONS:
            raise ValueError(f"unknown companion {self.kind!r}; known are {', '.join(COMPANIONS)}")
        subtypes = COMPANIONS[self.kind]
        if self.subtype not in (subtypes or ("",)):
            raise ValueError(f"a {self.kind} is one of {subtypes or 'no sub-type'}, not {self.subtype!r}")
        if self.slot not in range(MAXIMUM_COMPANIONS):
            raise ValueError(f"slot is 0 or 1, not {self.slot}")


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene of the world; see the module's tables for the values of each field."""

    subject: str
    colour: str = "red"
    size: str = "large"
    texture: str = "plain"
    position: str = "centre"
    setting: str = "grass"
    weather: str = "clear"
    companions: tuple[Companion, ...] = ()

    def __post_init__(self) -> None:
        for name, values in ATTRIBUTES.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is one of {', '.join(values)}, not {getattr(self, name)!r}")
        kinds = [companion.kind for companion in self.companions]
        slots = [companion.slot for companion in self.companions]
        if len(set(kinds)) != len(kinds) or len(set(slots)) != len(slots):
            raise ValueError(f"companions differ in kind and slot; given {self.companions}")

    def has(self, kind: str) -> bool:
        """Whether a companion of this kind is in the scene."""
        return any(companion.kind == kind for companion in self.companions)

    def companion(self, kind: str) -> Companion | None:
        """The companion of this kind, or None."""
        return next((companion for companion in self.companions if companion.kind == kind), None)

    def without_companion(self, kind: str) -> Scene:
        """The same scene with the companion of this kind taken out; the others stay in their slots."""
        return replace(self, companions=tuple(c for c in self.companions if c.kind != kind))

    def with_companion(self, kind: str, subtype: str = "", slot: int = 0) -> Scene:
        """The same scene with this companion in `slot`; whatever was there, or was of its kind, goes."""
        others = tuple(c for c in self.companions if c.kind != kind and c.slot != slot)
        return replace(self, companions=(*others, Companion(kind, subtype, slot)))
