"""The figure: rows are classes, columns methods, some pictures in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

NAMES = {
    "yosinski": "Yosinski et al.",
    "mahendran_vedaldi": "Mahendran & Vedaldi",
    "nguyen": "Nguyen et al. (prior's decoder)",
    "maco": "MACO",
    "diffexplainer": "DiffExplainer",
}
"""As the papers call the methods."""
SIDE = 80
"""Of a picture in the figure, in pixels."""
GAP, MARGIN, HEAD = 2, 14, 26
LABEL = 76


class CellLike(Protocol):
    """What is drawn of a cell."""

    @property
    def class_name(self) -> str: ...

    @property
    def method(self) -> str: ...

    @property
    def name(self) -> str: ...


def draw(cells: Sequence[CellLike], outputs: Path, target: Path) -> None:
    """Write the figure of one classifier; a cell whose pictures are not there stays empty."""
    rows = list(dict.fromkeys(cell.class_name for cell in cells))
    columns = list(dict.fromkeys(cell.method for cell in cells))
    strips = {}
    for cell in cells:
        file = outputs / f"{cell.name}.png"
        if file.is_file():
            strips[cell.class_name, cell.method] = Image.open(file).convert("RGB")
    shown = max(strip.width // strip.height for strip in strips.values())
    wide = shown * (SIDE + GAP) - GAP
    size = (LABEL + len(columns) * (wide + MARGIN), HEAD + len(rows) * (SIDE + MARGIN))
    canvas = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for down, row in enumerate(rows):
        top = HEAD + down * (SIDE + MARGIN)
        pen.text((8, top + SIDE // 2 - 7), row.replace("_", " "), "black", font)
        for across, column in enumerate(columns):
            left = LABEL + across * (wide + MARGIN)
            if down == 0:
                pen.text((left, 7), NAMES[column], "black", font)
            strip = strips.get((row, column))
            if strip is None:
                continue
            for place in range(shown):
                box = (place * strip.height, 0, (place + 1) * strip.height, strip.height)
                picture = strip.crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                canvas.paste(picture, (left + place * (SIDE + GAP), top))
    canvas.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
