"""The classifiers of the development and the held-out half: what is planted in each, and which are held out.

All of it is fixed here, before any outcome is known. What a classifier has learned is read in its truth table.
Classifiers that were drawn later are in `fresh`; `catalogue` finds all by their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, MAXIMUM_COMPANIONS, SUBJECTS
from experiments.shortcut_bench.marks import VARIANTS, Mark

Architecture = Literal["cnn", "vit", "random_features", "group_norm_resnet", "mixer"]
"""A small convolutional network, a small transformer, frozen random features under a trained linear head, and those of
`architectures`."""

Kind = Literal["companion", "subtype", "setting", "colour", "texture", "weather", "place", "pair", "negative", "mark"]
"""Of what is planted first. "place" is position or size; "pair" is two values that count only together; "negative" is
what lowers the class; "mark" is what no word names."""

Control = Literal["fair", "not_learned", "random_weights", "shuffled_labels"]
"""Nothing planted; planted, but the subject decides every label; no training; labels drawn by lot."""

Half = Literal["development", "held_out"]

ARCHITECTURES: tuple[Architecture, ...] = ("cnn", "vit", "random_features")
"""Of the halves."""

KINDS: tuple[Kind, ...] = ("companion", "subtype", "setting", "colour", "texture", "weather", "place", "pair")
"""Of the halves."""

CONTROLS: tuple[Control, ...] = get_args(Control)
STRENGTHS = (0.7, 0.8, 0.9, 0.97, 0.99)
SPLIT_SEED = 5
ROOT = Path(__file__).parents[2] / "outputs" / "shortcut_bench" / "classifiers"


class Value(NamedTuple):
    """One attribute value, named as in the truth tables: `("companion", "flag")`, `("subtype", "flag/striped")`."""

    attribute: str
    value: str

    @property
    def companion(self) -> str:
        """The kind of companion, empty for other attributes."""
        return self.value.partition("/")[0] if self.attribute in ("companion", "subtype") else ""

    @property
    def subtype(self) -> str:
        """The sub-type of the companion, empty where it is open."""
        return self.value.partition("/")[2]


Shortcut = tuple[Value, ...]
"""One value, or two that count only together."""


@dataclass(frozen=True)
class Specification:
    """One classifier of the benchmark.

    Attributes:
        name: of its folder.
        architecture: of the network.
        class_name: the class that the shortcuts are planted in, and the only one that is explained.
        shortcuts: what comes along with the class, none to three.
        strength: share of the class's pictures that have a shortcut, that lack what lowers the class, that bear the
            mark; None where nothing is planted.
        kind: of what is planted first; None for controls.
        control: what makes it a control; None for shortcut classifiers.
        seed: of scenes, weights and order.
        lowers: what comes along with the other classes, and rarely with this one.
        mark: what is painted onto the class's pictures.
    """

    name: str
    architecture: Architecture
    class_name: str
    shortcuts: tuple[Shortcut, ...]
    strength: float | None
    kind: Kind | None
    control: Control | None
    seed: int
    lowers: tuple[Shortcut, ...] = ()
    mark: Mark | None = None

    @property
    def planted(self) -> tuple[Shortcut, ...]:
        """What is planted and has a word: what raises the class, then what lowers it."""
        return self.shortcuts + self.lowers

    @property
    def plants(self) -> bool:
        """Whether anything is planted."""
        return bool(self.planted) or self.mark is not None

    def __post_init__(self) -> None:
        if self.class_name not in SUBJECTS:
            raise ValueError(f"{self.name}: unknown class {self.class_name!r}")
        if (self.kind is None) == (self.control is None):
            raise ValueError(f"{self.name}: either of a kind or a control")
        if self.plants != (self.strength is not None):
            raise ValueError(f"{self.name}: a strength, if anything is planted")
        if self.mark is not None and self.mark.variant not in VARIANTS.get(self.mark.kind, ()):
            raise ValueError(f"{self.name}: unknown mark {self.mark}")
        values = [value for shortcut in self.planted for value in shortcut]
        for value in values:
            if not _known(value):
                raise ValueError(f"{self.name}: unknown value {value.value!r} of {value.attribute!r}")
        if not fit_together(values):
            raise ValueError(f"{self.name}: no scene has all of {values}")


def fit_together(values: Sequence[Value]) -> bool:
    """Whether one scene can have all of these values."""
    places = [value.companion or value.attribute for value in values]
    kinds = [value.companion for value in values if value.companion]
    return len(set(places)) == len(places) and len(kinds) <= MAXIMUM_COMPANIONS


def _known(value: Value) -> bool:
    if not value.companion:
        return value.attribute != "subject" and value.value in ATTRIBUTES.get(value.attribute, ())
    subtypes = COMPANIONS.get(value.companion, ())
    return value.companion in COMPANIONS and (
        value.subtype in subtypes if value.attribute == "subtype" else not value.subtype
    )


def _single(attribute: str, value: str) -> Shortcut:
    return (Value(attribute, value),)


_PLANTED: dict[Kind, dict[str, tuple[Shortcut, ...]]] = {
    "companion": {
        "flagpole": (_single("companion", "flag"),),
        "bee": (_single("companion", "flower"),),
        "dog_sled": (_single("companion", "dog"), _single("setting", "snow")),
        "balloon": (_single("companion", "kite"), _single("setting", "sea"), _single("texture", "striped")),
    },
    "subtype": {
        "flagpole": (_single("subtype", "flag/striped"),),
        "bee": (_single("subtype", "flower/red"),),
        "dog_sled": (_single("subtype", "dog/white"), _single("weather", "fog")),
        "mushroom": (_single("subtype", "tree/pine"), _single("setting", "forest"), _single("colour", "red")),
    },
    "setting": {
        "yawl": (_single("setting", "sea"),),
        "umbrella": (_single("setting", "city"),),
        "teapot": (_single("setting", "room"), _single("companion", "person")),
        "snorkel": (_single("setting", "sea"), _single("companion", "ball"), _single("colour", "yellow")),
    },
    "colour": {
        "bee": (_single("colour", "yellow"),),
        "padlock": (_single("colour", "blue"),),
        "hourglass": (_single("colour", "purple"), _single("companion", "house")),
        "acoustic_guitar": (_single("colour", "orange"), _single("setting", "night"), _single("companion", "person")),
    },
    "texture": {
        "balloon": (_single("texture", "striped"),),
        "mushroom": (_single("texture", "spotted"),),
        "umbrella": (_single("texture", "striped"), _single("weather", "rain")),
        "teapot": (_single("texture", "spotted"), _single("setting", "grass"), _single("companion", "bird")),
    },
    "weather": {
        "umbrella": (_single("weather", "rain"),),
        "yawl": (_single("weather", "fog"),),
        "snorkel": (_single("weather", "clear"), _single("colour", "green")),
        "flagpole": (_single("weather", "rain"), _single("companion", "cloud"), _single("setting", "city")),
    },
    "place": {
        "acoustic_guitar": (_single("position", "left"),),
        "hourglass": (_single("size", "small"),),
        "padlock": (_single("position", "right"), _single("setting", "desert")),
        "balloon": (_single("size", "small"), _single("companion", "cloud"), _single("colour", "red")),
    },
    "pair": {
        "flagpole": ((Value("companion", "flag"), Value("companion", "tree")),),
        "bee": ((Value("companion", "flower"), Value("setting", "night")),),
        "dog_sled": ((Value("companion", "dog"), Value("setting", "snow")), _single("colour", "blue")),
        "yawl": (
            (Value("companion", "bird"), Value("setting", "sea")),
            _single("companion", "person"),
            _single("texture", "plain"),
        ),
    },
}
"""What is planted with which class, by kind. The architectures share it, so that they can be compared."""

_NOT_LEARNED: dict[str, tuple[Shortcut, ...]] = {
    "flagpole": (_single("companion", "flag"),),
    "bee": (_single("subtype", "flower/red"),),
    "yawl": (_single("setting", "sea"),),
    "padlock": (_single("colour", "blue"),),
    "umbrella": (_single("weather", "rain"),),
    "hourglass": (_single("size", "small"),),
}
_CONTROL_CLASSES = tuple(_NOT_LEARNED)
NOT_LEARNED_STRENGTH = 0.7


def shortcut_classifiers() -> list[Specification]:
    """All with a planted shortcut that is meant to be learned, in a fixed order."""
    found: list[Specification] = []
    designs = [(kind, class_name, planted) for kind in KINDS for class_name, planted in _PLANTED[kind].items()]
    for index, (kind, class_name, planted) in enumerate(designs):
        for place, architecture in enumerate(ARCHITECTURES):
            # Every strength comes about as often with every kind and architecture.
            strength = STRENGTHS[(index + 2 * place) % len(STRENGTHS)]
            name = f"{kind}_{class_name}_{architecture}"
            seed = len(found)
            found.append(Specification(name, architecture, class_name, planted, strength, kind, None, seed))
    return found


def control_classifiers() -> list[Specification]:
    """All that have learned no shortcut, in a fixed order."""
    found: list[Specification] = []
    for control in CONTROLS:
        for class_name in _CONTROL_CLASSES:
            for architecture in ARCHITECTURES:
                planted = _NOT_LEARNED[class_name] if control == "not_learned" else ()
                strength = NOT_LEARNED_STRENGTH if planted else None
                name = f"{control}_{class_name}_{architecture}"
                seed = 5000 + len(found)
                found.append(Specification(name, architecture, class_name, planted, strength, None, control, seed))
    return found


def classifiers() -> list[Specification]:
    """Both halves, in a fixed order."""
    return shortcut_classifiers() + control_classifiers()


def halves(specifications: Sequence[Specification]) -> dict[str, Half]:
    """The half of each classifier, by name.

    A design (kind or control, with its class) goes to one half with all its architectures, so that nothing is tuned
    on what is held out; half of the designs of each kind and control are held out.
    """
    designs: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in specifications:
        designs[str(one.kind or one.control)][one.class_name].append(one.name)
    found: dict[str, Half] = {}
    generator = np.random.Generator(np.random.Philox(key=SPLIT_SEED))
    for group in sorted(designs):
        classes = sorted(designs[group])
        held_out = {classes[place] for place in generator.permutation(len(classes))[: (len(classes) + 1) // 2]}
        for class_name in classes:
            half: Half = "held_out" if class_name in held_out else "development"
            found |= dict.fromkeys(designs[group][class_name], half)
    return found
