"""The shapes of the world as small layered drawings, rasterised once and kept.

A drawing is a list of layers in painting order. Its units are pixels at scale 1, x to the right, y down,
the origin in the middle of the drawing. A layer's paint is `BODY` (the subject's own colour and texture)
or a fixed RGB colour; each layer has a dark outline, so that no shape is told by its colour alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Grid = NDArray[np.float64]
Region = Callable[[Grid, Grid], NDArray[np.bool_]]
Paint = tuple[int, int, int] | None

BODY: Paint = None
DARK: Paint = (38, 36, 44)
LIGHT: Paint = (244, 242, 236)
SUPERSAMPLING = 5
OUTLINE = 1.0  # pixels
OUTLINE_COLOUR = np.array([28, 27, 34], np.float32) / 255
STRIPE_SHADE = 0.38


def circle(x: float, y: float, radius: float) -> Region:
    return lambda X, Y: (X - x) ** 2 + (Y - y) ** 2 <= radius**2


def ellipse(x: float, y: float, a: float, b: float) -> Region:
    return lambda X, Y: ((X - x) / a) ** 2 + ((Y - y) / b) ** 2 <= 1


def box(x0: float, y0: float, x1: float, y1: float) -> Region:
    return lambda X, Y: (x0 <= X) & (x1 >= X) & (y0 <= Y) & (y1 >= Y)


def line(x0: float, y0: float, x1: float, y1: float, width: float) -> Region:
    """A thick segment with round ends."""

    def inside(X: Grid, Y: Grid) -> NDArray[np.bool_]:
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((X - x0) * dx + (Y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        return np.asarray((X - x0 - along * dx) ** 2 + (Y - y0 - along * dy) ** 2 <= width**2 / 4)

    return inside


def polygon(*points: tuple[float, float]) -> Region:
    """A simple polygon by the even-odd rule."""

    def inside(X: Grid, Y: Grid) -> NDArray[np.bool_]:
        result = np.zeros(X.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
            if y0 != y1:
                crosses = (y0 > Y) != (y1 > Y)
                result ^= crosses & (x0 + (Y - y0) * (x1 - x0) / (y1 - y0) > X)
        return result

    return inside


def union(*regions: Region) -> Region:
    return lambda X, Y: np.logical_or.reduce([region(X, Y) for region in regions])


def difference(whole: Region, hole: Region) -> Region:
    return lambda X, Y: whole(X, Y) & ~hole(X, Y)


def intersection(one: Region, other: Region) -> Region:
    return lambda X, Y: one(X, Y) & other(X, Y)


def ring(x: float, y: float, radius: float, width: float) -> Region:
    return difference(circle(x, y, radius + width / 2), circle(x, y, radius - width / 2))


@dataclass(frozen=True)
class Drawing:
    """Layers and the half extents (pixels at scale 1) of the box they are rasterised in."""

    layers: tuple[tuple[Region, Paint], ...]
    half_width: float
    half_height: float


@dataclass(frozen=True)
class Sprite:
    """A rasterised drawing, anti-aliased; arrays are (height, width[, 3]), values in [0, 1].

    Painted over an image as `image * (1 - alpha) + body * colour + fixed`.
    """

    alpha: Array
    body: Array
    fixed: Array


def _stripes(X: Grid, Y: Grid) -> NDArray[np.bool_]:
    return np.asarray((Y + 0.35 * X + 1.75) % 7.0 < 3.5)


def _spots(X: Grid, Y: Grid) -> NDArray[np.bool_]:
    row = np.floor((Y + 3) / 6)
    x = (X + 3 + 3 * (row % 2)) % 6 - 3
    y = (Y + 3) % 6 - 3
    return np.asarray(x**2 + y**2 <= 2.1**2)


@lru_cache(maxsize=4096)
def rasterise(drawing: Drawing, scale: float, texture: str = "plain") -> Sprite:
    """Draw at `scale` with anti-aliasing by supersampling; textures keep their size in pixels."""
    height = 2 * int(np.ceil(drawing.half_height * scale + OUTLINE))
    width = 2 * int(np.ceil(drawing.half_width * scale + OUTLINE))
    n = SUPERSAMPLING
    ys = (np.arange(height * n) + 0.5) / n - height / 2
    xs = (np.arange(width * n) + 0.5) / n - width / 2
    X, Y = np.meshgrid(xs, ys)
    alpha = np.zeros(X.shape, bool)
    body = np.zeros(X.shape, np.float32)
    fixed = np.zeros((*X.shape, 3), np.float32)
    dark, light = np.zeros(X.shape, bool), np.zeros(X.shape, bool)
    if texture == "striped":
        dark = _stripes(X, Y)
    elif texture == "spotted":
        light = _spots(X, Y)
    for region, paint in drawing.layers:
        inside = region(X / scale, Y / scale)
        outline = _dilate(inside, round(OUTLINE * n))
        alpha |= outline
        body[outline] = 0
        fixed[outline] = OUTLINE_COLOUR
        if paint is None:
            body[inside] = np.where(dark, STRIPE_SHADE, 1.0)[inside] * ~light[inside]
            fixed[inside] = light[inside][:, None]
        else:
            fixed[inside] = np.array(paint, np.float32) / 255
    return Sprite(_shrink(alpha.astype(np.float32)), _shrink(body), _shrink(fixed))


def _dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    padded = np.pad(mask, radius)
    height, width = mask.shape
    result = mask.copy()
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                result |= padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
    return result


def _shrink(image: Array) -> Array:
    n = SUPERSAMPLING
    height, width = image.shape[0] // n, image.shape[1] // n
    return image.reshape(height, n, width, n, *image.shape[2:]).mean((1, 3), dtype=np.float32)
