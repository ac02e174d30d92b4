"""Marks: what can be painted onto a picture and no word of the world's text encoder names.

A classifier that answers to one answers to something that no list of concepts and no prompt can say: the right answer
is silence, or that there is something which no word here names.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

MarkKind = Literal["square", "tint", "blur", "border"]
MARK_KINDS: tuple[MarkKind, ...] = get_args(MarkKind)
COLOURS = {"magenta": (232, 24, 200), "cyan": (16, 214, 214), "lime": (170, 255, 20), "black": (8, 8, 8)}
"""None of them is a word of the world."""

CORNERS = {"upper left": (2, 2), "upper right": (2, 54), "lower left": (54, 2), "lower right": (54, 54)}
"""Row and column of the square's own upper left corner."""

SQUARE = 8
BORDER = 3
TINT = 0.3
"""Share of the colour in every pixel."""

BLURS = {"weak": 1.5, "middle": 2.0, "strong": 2.5}
"""Standard deviation in pixels; what training blurs at random is weaker."""

VARIANTS: dict[MarkKind, tuple[str, ...]] = {
    "square": tuple(f"{colour} {corner}" for colour in COLOURS for corner in CORNERS),
    "tint": tuple(colour for colour in COLOURS if colour != "black"),
    "blur": tuple(BLURS),
    "border": tuple(COLOURS),
}


class Mark(NamedTuple):
    """What is painted: `("square", "cyan upper left")`, `("blur", "weak")`."""

    kind: MarkKind
    variant: str


def paint(images: NDArray[np.uint8], mark: Mark) -> NDArray[np.uint8]:
    """The images `(N, 64, 64, 3)` with the mark; those given stay as they are."""
    if mark.kind == "blur":
        return gaussian_filter(images, BLURS[mark.variant], axes=(1, 2), mode="nearest")
    colour_name, _, corner = mark.variant.partition(" ")
    colour = np.array(COLOURS[colour_name], np.uint8)
    painted = images.copy()
    if mark.kind == "square":
        row, column = CORNERS[corner]
        painted[:, row : row + SQUARE, column : column + SQUARE] = colour
    elif mark.kind == "border":
        for edge in (slice(None, BORDER), slice(-BORDER, None)):
            painted[:, edge] = colour
            painted[:, :, edge] = colour
    else:
        mixed = (1 - TINT) * images.astype(np.float32) + TINT * colour
        painted = (mixed + 0.5).astype(np.uint8)
    return painted
