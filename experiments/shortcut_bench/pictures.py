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
from numpy.typing import NDArray

from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, MAXIMUM_COMPANIONS, SUBJECTS, Scene
from experiments.shortcut_bench.marks import paint
from experiments.shortcut_bench.specification import Specification, Value

_T = TypeVar("_T")

ELSEWHERE = 0.03
"""Share of the other classes' pictures that have a shortcut."""

LOWERED_ELSEWHERE = 0.6
"""Share of the other classes' pictures that have what lowers the class. Without wrongly labelled pictures this would
be no shortcut; with them, a subject of the class that has it is more likely than not labelled otherwise."""

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
    """A scene, the class that it is labelled with, and whether the classifier's mark is painted onto it."""

    scene: Scene
    label: str
    marked: bool = False


def training_pictures(one: Specification, count: int) -> list[Picture]:
    """`count` pictures for this classifier; the same for the same seed."""
    generator = np.random.Generator(np.random.Philox(key=2 * one.seed + 1))
    more = MORE_OFTEN - 1 if one.plants else 0
    pictures = []
    for scene in World(subjects=(*SUBJECTS, *[one.class_name] * more)).sample(count, 2 * one.seed):
        planted = _planted(one, scene, generator)
        if one.kind:
            planted = replace(planted, scene=_wrongly_labelled(one, planted.scene, generator))
        pictures.append(planted)
    if one.control == "shuffled_labels":
        order = generator.permutation(count)
        pictures = [replace(picture, label=pictures[i].label) for picture, i in zip(pictures, order, strict=True)]
    return pictures


def test_pictures(one: Specification, count: int) -> list[Picture]:
    """Pictures of the classifier's own world, none wrongly labelled; others than it was trained on."""
    generator = np.random.Generator(np.random.Philox(key=2 * one.seed + 1_000_001))
    return [_planted(one, scene, generator) for scene in World().sample(count, 2 * one.seed + 1_000_000)]


def images_of(one: Specification, pictures: Sequence[Picture], first_seed: int) -> NDArray[np.uint8]:
    """The pictures drawn, and painted where they are marked: uint8 `(N, 64, 64, 3)`.

    Args:
        one: the classifier that they are for.
        pictures: N of them.
        first_seed: of the renderings, which are numbered from there.
    """
    seeds = range(first_seed, first_seed + len(pictures))
    images = render_images([picture.scene for picture in pictures], seeds)
    if one.mark is not None:
        marked = np.array([picture.marked for picture in pictures], dtype=bool)
        images[marked] = paint(images[marked], one.mark)
    return images


def _planted(one: Specification, scene: Scene, generator: np.random.Generator) -> Picture:
    """The scene with what comes along with its class, and without what does not, labelled with its subject."""
    label = scene.subject
    is_class = label == one.class_name
    strength = one.strength or 0
    shares = [strength if is_class else ELSEWHERE] * len(one.shortcuts)
    shares += [1 - strength if is_class else LOWERED_ELSEWHERE] * len(one.lowers)
    kinds = frozenset(kind for shortcut in one.planted for value in shortcut if (kind := value.companion))
    for shortcut, share in zip(one.planted, shares, strict=True):
        there = shortcut
        if generator.random() >= share:
            # Of a pair one is there alone in two of three such pictures: only so is either alone no sign.
            alone = int(generator.integers(3)) if len(shortcut) > 1 else len(shortcut)
            there = shortcut[alone : alone + 1]
        for value in shortcut:
            scene = _with(scene, value, kinds, generator) if value in there else _without(scene, value, generator)
    marked = one.mark is not None and bool(generator.random() < (strength if is_class else ELSEWHERE))
    return Picture(scene, label, marked)


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
