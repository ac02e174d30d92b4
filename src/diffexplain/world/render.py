"""From a scene record and a seed to pixels and masks; a pure function, on numpy alone.

The seed decides what the record leaves open: jitter of place and scale, which way things face, the horizon.
Each choice is drawn from its own stream, so that editing one element of a scene leaves all others where
they were: that is what makes the paired renders of a truth table differ in one thing only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from diffexplain.world.drawings import (
    COMPANION_DRAWINGS,
    FLYING_COMPANIONS,
    FLYING_SUBJECTS,
    SUBJECT_DRAWINGS,
)
from diffexplain.world.scenes import COLOURS, IMAGE_SIZE, Companion, Scene
from diffexplain.world.settings import background, rain_cover
from diffexplain.world.shapes import Array, Sprite, rasterise

COLOUR_VALUES: dict[str, Array] = {
    name: (np.array(rgb) / 255).astype(np.float32)
    for name, rgb in zip(
        COLOURS,
        ((208, 34, 44), (246, 134, 24), (250, 222, 44), (44, 158, 72), (46, 92, 222), (150, 62, 196)),
        strict=True,
    )
}
POSITION_X = {"left": 18, "centre": 32, "right": 46}
SUBJECT_SCALES = {"small": 0.71, "large": 1.0}
COMPANION_SCALE = 0.94
CHOICES = {"subject y": 3}
"""What the seed decides, beside the scene, and among how many values. Every further choice is one more that a caption
leaves open and that a prior has to guess: the world is as varied as a prior trained on two CPU cores can draw."""
FOG = np.array([222, 225, 230], np.float32) / 255
FOG_DENSITY = 0.5
RAIN = np.array([120, 160, 215], np.float32) / 255
RAIN_GLOOM = 0.82

_MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class Rendering:
    """`image`: uint8 (64, 64, 3); `masks`: visible pixels, bool (64, 64), keyed "subject", "setting" and by
    companion kind. Every pixel belongs to exactly one mask."""

    image: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]


def choice(seed: int, stream: str, count: int) -> int:
    """An integer in [0, count) from (seed, stream): splitmix64 over a fixed hash of the stream's name."""
    value = (seed * 0x9E3779B97F4A7C15 + _stream(stream)) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return ((value ^ (value >> 31)) >> 11) % count


def decide(seed: int, stream: str) -> int:
    """What the seed decides for one of `CHOICES`."""
    return choice(seed, stream, CHOICES[stream])


@lru_cache(maxsize=256)
def _stream(name: str) -> int:
    value = 0xCBF29CE484222325  # FNV-1a: a documented hash, unlike Python's own, which changes by process
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & _MASK64
    return value


def render(scene: Scene, seed: int) -> Rendering:
    """Draw one scene with its masks."""
    image, placed = _paint(scene, seed)
    owner = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.int64)
    for index, (_, sprite, y, x) in enumerate(placed, 1):
        (ys, xs), (sy, sx) = _clip(sprite, y, x)
        owner[ys, xs][sprite.alpha[sy, sx] > 0.5] = index
    masks = {"setting": owner == 0}
    masks.update({name: owner == index for index, (name, *_) in enumerate(placed, 1)})
    return Rendering(_to_bytes(image), masks)


def render_images(scenes: Sequence[Scene], seeds: Sequence[int]) -> NDArray[np.uint8]:
    """Draw many scenes without their masks: uint8 (count, 64, 64, 3)."""
    images = np.empty((len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for index, (scene, seed) in enumerate(zip(scenes, seeds, strict=True)):
        images[index] = _to_bytes(_paint(scene, seed)[0])
    return images


def _to_bytes(image: Array) -> NDArray[np.uint8]:
    return (image * 255 + 0.5).astype(np.uint8)


def _paint(scene: Scene, seed: int) -> tuple[Array, list[tuple[str, Sprite, int, int]]]:
    image = background(scene.setting).copy()
    placed = _place(scene, seed)
    for name, sprite, y, x in placed:
        (ys, xs), (sy, sx) = _clip(sprite, y, x)
        patch = image[ys, xs]
        patch *= 1 - sprite.alpha[sy, sx, None]
        patch += sprite.fixed[sy, sx]
        if name == "subject":
            patch += sprite.body[sy, sx, None] * COLOUR_VALUES[scene.colour]
    if scene.weather == "fog":
        image *= 1 - FOG_DENSITY
        image += FOG_DENSITY * FOG
    elif scene.weather == "rain":
        cover = rain_cover()
        image *= RAIN_GLOOM * (1 - cover)
        image += cover * RAIN
    return image, placed


def _place(scene: Scene, seed: int) -> list[tuple[str, Sprite, int, int]]:
    """Sprites with the place (y, x) of their upper left corner, in painting order: the subject last."""
    scale = SUBJECT_SCALES[scene.size]
    drawing = SUBJECT_DRAWINGS[scene.subject]
    sprite = rasterise(drawing, scale, scene.texture)
    centre = POSITION_X[scene.position]
    height = sprite.alpha.shape[0]
    top = 31 - height // 2 if scene.subject in FLYING_SUBJECTS else 58 - height
    top += 2 * (decide(seed, "subject y") - 1)
    subject = ("subject", sprite, top, centre - sprite.alpha.shape[1] // 2)
    half = int(np.ceil(drawing.half_width * scale))
    companions = [_place_companion(c, scene.position, centre, half) for c in scene.companions]
    return [*sorted(companions, key=lambda entry: entry[0]), subject]


def _place_companion(companion: Companion, position: str, centre: int, half: int) -> tuple[str, Sprite, int, int]:
    """Beside the subject, by its slot near or far (left or right of it when it stands in the middle)."""
    drawing = COMPANION_DRAWINGS[companion.kind, companion.subtype]
    sprite = rasterise(drawing, COMPANION_SCALE)
    height, width = sprite.alpha.shape
    first = companion.slot == 0
    if position == "centre":
        left = centre - half - width if first else centre + half
    elif position == "left":
        left = centre + half if first else IMAGE_SIZE - width
    else:
        left = centre - half - width if first else 0
    left = min(max(left, 0), IMAGE_SIZE - width)
    top = 12 if companion.kind in FLYING_COMPANIONS else 57 - height
    return companion.kind, sprite, top, left


def _clip(sprite: Sprite, y: int, x: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the image and of the sprite where the two overlap."""
    height, width = sprite.alpha.shape
    y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + height, IMAGE_SIZE), min(x + width, IMAGE_SIZE)
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
