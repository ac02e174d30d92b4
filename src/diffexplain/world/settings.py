"""The places of the world: a background for each setting, and the cover that rain lays over it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from diffexplain.world.scenes import IMAGE_SIZE, SETTINGS
from diffexplain.world.shapes import Array, Grid

_SKY_AND_GROUND: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "snow": ((196, 214, 236), (246, 249, 253)),
    "grass": ((140, 196, 242), (98, 178, 78)),
    "sea": ((164, 212, 246), (28, 96, 176)),
    "night": ((18, 20, 58), (38, 40, 62)),
    "city": ((176, 184, 198), (92, 92, 98)),
    "desert": ((252, 214, 160), (222, 168, 98)),
    "forest": ((52, 98, 62), (70, 84, 44)),
    "room": ((222, 204, 182), (150, 104, 70)),
}


HORIZON = 41.0


@lru_cache(maxsize=len(SETTINGS))
def background(setting: str) -> Array:
    """Float32 (64, 64, 3) in [0, 1]."""
    n = 4
    coordinates = (np.arange(IMAGE_SIZE * n) + 0.5) / n
    X, Y = np.meshgrid(coordinates, coordinates)
    image = _draw(setting, X, Y, HORIZON)
    return image.reshape(IMAGE_SIZE, n, IMAGE_SIZE, n, 3).mean((1, 3), dtype=np.float32)


def _draw(setting: str, X: Grid, Y: Grid, level: float) -> Array:
    sky, ground = _SKY_AND_GROUND[setting]
    image = np.empty((*X.shape, 3), np.float32)
    image[:] = np.array(sky, np.float32) / 255

    def fill(where: np.ndarray, rgb: tuple[int, int, int]) -> None:
        image[where] = np.array(rgb, np.float32) / 255

    if setting == "night":
        fill((X - 8) ** 2 + (Y - 9) ** 2 <= 25, (238, 234, 204))
    if setting == "city":
        heights = np.array([10, 18, 6, 22, 13, 20, 8, 16])[((X // 8) % 8).astype(int)]
        fill(level - heights < Y, (126, 130, 146))
    if setting == "forest":
        fill((X % 16 < 5), (92, 68, 44))
    if setting in ("snow", "desert"):
        level_at = level + (3.0 if setting == "snow" else 4.0) * np.sin(X / (10 if setting == "snow" else 7))
    else:
        level_at = np.full_like(X, level)
    fill(level_at <= Y, ground)
    if setting == "sea":
        wave = (Y - level - 5 + 1.5 * np.sin(X / 3)) % 10
        fill((Y > level + 2) & (wave < 3), (92, 156, 220))
    if setting == "grass":
        fill((level + 3 < Y) & ((X + 5 * (Y // 6)) % 14 < 4) & (Y % 6 < 4), (70, 148, 60))
    if setting == "room":
        fill((level - 3 <= Y) & (level > Y), (246, 240, 230))
        fill((np.abs(X - 10) <= 6) & (np.abs(Y - 12) <= 6), (170, 214, 236))
    if setting == "city":
        fill((np.abs(Y - 56) <= 1.6) & (X % 16 < 9), (236, 220, 120))
    return image


@lru_cache(maxsize=1)
def rain_cover() -> Array:
    """How much of each pixel falling rain covers: float32 (64, 64, 1) in [0, 0.75]."""
    n = 4
    coordinates = (np.arange(IMAGE_SIZE * n) + 0.5) / n
    X, Y = np.meshgrid(coordinates, coordinates)
    along, across = Y + 0.35 * X, X - 0.35 * Y
    column = np.floor(across / 16)
    streak = (across % 16 < 3.2) & ((along + 9 * (column % 3)) % 27 < 9)
    cover = streak.astype(np.float32).reshape(IMAGE_SIZE, n, IMAGE_SIZE, n).mean((1, 3), dtype=np.float32)
    return 0.75 * cover[..., None]
