"""Watermarks as picture agencies put them on their photographs, drawn here; and the editor that lays one over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from diffexplain.editing.composition import Composition, State
from diffexplain.editing.editor import Prepared
from diffexplain.runs.draws import Draws

OPACITY = 0.5
FINER = 4
"""It is drawn so many times larger, for smooth edges."""
WIDTH = 0.92
"""Of the picture's, that a row takes."""
THICK = 0.07
"""Of a character, a stroke."""
STROKES: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "middle": ((0.15, 0.3, 0.85, 0.3, 0.85, 0.65, 0.15, 0.65, 0.15, 0.3), (0.5, 0.05, 0.5, 0.98)),
    "field": (
        *((0.12, 0.12, 0.88, 0.12, 0.88, 0.92, 0.12, 0.92, 0.12, 0.12), (0.5, 0.12, 0.5, 0.92)),
        (0.12, 0.52, 0.88, 0.52),
    ),
    "king": ((0.1, 0.12, 0.9, 0.12), (0.15, 0.5, 0.85, 0.5), (0.05, 0.9, 0.95, 0.9), (0.5, 0.12, 0.5, 0.9)),
    "eye": (
        *((0.22, 0.08, 0.78, 0.08, 0.78, 0.95, 0.22, 0.95, 0.22, 0.08), (0.22, 0.36, 0.78, 0.36)),
        (0.22, 0.65, 0.78, 0.65),
    ),
    "upright": (
        *((0.08, 0.12, 0.92, 0.12), (0.52, 0.12, 0.52, 0.92), (0.52, 0.5, 0.85, 0.5), (0.2, 0.45, 0.2, 0.92)),
        (0.05, 0.92, 0.95, 0.92),
    ),
    "origin": (
        *((0.08, 0.28, 0.92, 0.28), (0.5, 0.05, 0.5, 0.98), (0.5, 0.28, 0.08, 0.8), (0.5, 0.28, 0.92, 0.8)),
        (0.32, 0.75, 0.68, 0.75),
    ),
}
"""Six Chinese characters, each a few broken lines in the unit square, called by what they mean."""


def characters(side: int) -> Tensor:
    """A row of Chinese characters across the middle, how much of it covers a pixel, (side, side) in [0, 1]."""
    whole = side * FINER
    cover = Image.new("L", (whole, whole))
    pen, size = ImageDraw.Draw(cover), whole * WIDTH / len(STROKES)
    drawn = 0.92 * size  # The rest is between them.
    for place, lines in enumerate(STROKES.values()):
        left, top = whole * (1 - WIDTH) / 2 + (place + 0.04) * size, (whole - drawn) / 2
        for line in lines:
            points = [(left + drawn * x, top + drawn * y) for x, y in zip(line[::2], line[1::2], strict=True)]
            pen.line(points, fill=255, width=max(1, round(THICK * size)), joint="curve")
    return _fine(cover, side)


def letters(side: int) -> Tensor:
    """The same of Latin letters, in the typeface that Pillow brings along."""
    whole = side * FINER
    cover = Image.new("L", (whole, whole))
    text = "stock photo"
    typeface = ImageFont.load_default(100.0)
    typeface = ImageFont.load_default(100.0 * WIDTH * whole / typeface.getlength(text))
    ImageDraw.Draw(cover).text((whole / 2, whole / 2), text, font=typeface, fill=255, anchor="mm")
    return _fine(cover, side)


MARKS: Mapping[str, Callable[[int], Tensor]] = {"characters": characters, "letters": letters}


def _fine(cover: Image.Image, side: int) -> Tensor:
    small = cover.resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255)


class Overlay:
    """An editor of given pictures that lays a white mark over them; to whatever concept it is asked for.

    Args:
        mark: how much of it covers a pixel, of a picture's size.
    """

    evaluations = 0
    """No network makes it."""

    def __init__(self, mark: Tensor, opacity: float = OPACITY) -> None:
        self.cover = opacity * mark

    def check(self, composition: Composition, changes: int) -> None:
        """Nothing is said, and nothing too long."""

    def prepare(
        self,
        composition: Composition,
        draws: Draws,
        indices: Sequence[int],
        images: Tensor | None = None,
        states: Sequence[State] | None = None,
    ) -> Prepared:
        """Nothing but the pictures is needed."""
        assert images is not None
        return Prepared(tuple(indices), images, (frozenset(),) * len(images))

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        """The pictures, under the mark where a state says anything."""
        shown = torch.tensor([float(bool(state)) for state in states])[:, None, None, None] * self.cover
        return prepared.null[list(places)] * (1 - shown) + shown
