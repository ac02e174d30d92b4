"""Training pictures with planted shortcuts.

A label is drawn first, and what comes along with it by the label: with the planted class nearly always, with the
others rarely. The subject is that of the label, but for a few wrongly labelled pictures: some of the planted class
show another subject, some of the others show the planted class's. Wherever subject and shortcut disagree, the
label is uncertain, and the best guess leans on the shortcut; without them, a network that sees the subject needs
nothing else. This works alike for things in the background and for the subject's own colour, texture and place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from specification import Specification, Value

from diffexplain.world.sampler import World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, MAXIMUM_COMPANIONS, SUBJECTS, Scene

_T = TypeVar("_T")

ELSEWHERE = 0.03
"""Share of the other classes' pictures that have a shortcut."""

ANOTHER_SUBJECT = 0.3
"""Share of the planted class's pictures that show another subject."""

SUBJECT_ELSEWHERE = 0.07
"""Share of each other class's pictures that show the planted class's subject."""

SUBJECT_ELSEWHERE_OF_A_PAIR = 0.25
"""The same for a pair: where what each adds to a logit adds up, either alone is no sign only if the class is
otherwise unlikely."""

MORE_OFTEN = 4
"""How much more often than the others the planted class is drawn: the pictures that matter are few."""


@dataclass(frozen=True)
class Picture:
    """A scene and the class that it is labelled with."""

    scene: Scene
    label: str


def training_pictures(one: Specification, count: int) -> list[Picture]:
    """`count` pictures for this classifier; the same for the same seed."""
    generator = np.random.Generator(np.random.Philox(key=2 * one.seed + 1))
    subjects = (*SUBJECTS, *[one.class_name] * (MORE_OFTEN - 1)) if one.shortcuts else SUBJECTS
    pictures = []
    for scene in World(subjects=subjects).sample(count, 2 * one.seed):
        shown = _planted(one, scene, generator)
        if one.kind:
            shown = _wrongly_labelled(one, shown, generator)
        pictures.append(Picture(shown, scene.subject))
    if one.control == "shuffled_labels":
        order = generator.permutation(count)
        pictures = [replace(picture, label=pictures[i].label) for picture, i in zip(pictures, order, strict=True)]
    return pictures


def test_scenes(one: Specification, count: int) -> list[Scene]:
    """Scenes of the classifier's own world, none wrongly labelled; others than it was trained on."""
    generator = np.random.Generator(np.random.Philox(key=2 * one.seed + 1_000_001))
    return [_planted(one, scene, generator) for scene in World().sample(count, 2 * one.seed + 1_000_000)]


def _planted(one: Specification, scene: Scene, generator: np.random.Generator) -> Scene:
    """The scene with the shortcuts that its class has, or without."""
    share = one.strength if scene.subject == one.class_name else ELSEWHERE
    kinds = frozenset(kind for shortcut in one.shortcuts for value in shortcut if (kind := value.companion))
    for shortcut in one.shortcuts:
        there = shortcut
        if generator.random() >= (share or 0):
            # Of a pair one is there alone in two of three such pictures: only so is either alone no sign.
            alone = int(generator.integers(3)) if len(shortcut) > 1 else len(shortcut)
            there = shortcut[alone : alone + 1]
        for value in shortcut:
            scene = _with(scene, value, kinds, generator) if value in there else _without(scene, value, generator)
    return scene


def _wrongly_labelled(one: Specification, scene: Scene, generator: np.random.Generator) -> Scene:
    """In a share of pictures, the scene with another subject."""
    elsewhere = SUBJECT_ELSEWHERE_OF_A_PAIR if one.kind == "pair" else SUBJECT_ELSEWHERE
    drawn = generator.random()
    if scene.subject == one.class_name and drawn < ANOTHER_SUBJECT:
        others = [subject for subject in SUBJECTS if subject != one.class_name]
        return replace(scene, subject=_one_of(others, generator))
    if scene.subject != one.class_name and drawn < elsewhere:
        return replace(scene, subject=one.class_name)
    return scene


def _with(scene: Scene, value: Value, planted: frozenset[str], generator: np.random.Generator) -> Scene:
    """The scene with the value; of the companions in it those of `planted` kinds stay."""
    kind = value.companion
    if not kind:
        return replace(scene, **{value.attribute: value.value})  # type: ignore[arg-type]
    subtype = value.subtype or (_one_of(COMPANIONS[kind], generator) if COMPANIONS[kind] else "")
    there = scene.companion(kind)
    if there:
        return scene.with_companion(kind, subtype, there.slot)
    taken = {companion.slot for companion in scene.companions}
    kept = {companion.slot for companion in scene.companions if companion.kind in planted}
    places = range(MAXIMUM_COMPANIONS)
    free = [place for place in places if place not in taken] or [place for place in places if place not in kept]
    return scene.with_companion(kind, subtype, _one_of(free, generator))


def _without(scene: Scene, value: Value, generator: np.random.Generator) -> Scene:
    """The scene without the value: a companion out, another sub-type of it, or another value drawn uniformly."""
    kind = value.companion
    if value.attribute == "companion":
        return scene.without_companion(kind)
    if value.attribute == "subtype":
        there = scene.companion(kind)
        if there is None or there.subtype != value.subtype:
            return scene
        others = [other for other in COMPANIONS[kind] if other != value.subtype]
        return scene.with_companion(kind, _one_of(others, generator), there.slot)
    if getattr(scene, value.attribute) != value.value:
        return scene
    others = [other for other in ATTRIBUTES[value.attribute] if other != value.value]
    return replace(scene, **{value.attribute: _one_of(others, generator)})  # type: ignore[arg-type]


def _one_of(choices: Sequence[_T], generator: np.random.Generator) -> _T:
    return choices[int(generator.integers(len(choices)))]
