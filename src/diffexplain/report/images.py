"""Pictures of a run: as PNG files in its directory, and as data inside the page.

The files are the truth; the page and the copy on W&B are made from them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffexplain.effects.results import EffectExample
from diffexplain.evaluation.results import Example
from diffexplain.runs.run import Run
from diffexplain.weights.documents import read_json
from diffexplain.weights.store import inside

INDEX = "images/index.json"
PHOTOGRAPHIC = 256
"""From this side in pixels on, the page carries a picture lossily, at most so large, and smooths when it enlarges."""

_QUALITY = 75
_MASK_SIDE = 128


@dataclass(frozen=True)
class Gallery:
    """The pictures of one run: of the found prompt, and without a concept and with it."""

    examples: tuple[Example, ...] = ()
    effects: tuple[EffectExample, ...] = ()


def png(image: NDArray[Any]) -> bytes:
    """``image``, (H, W, 3) uint8 or (H, W) bool, as PNG; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image) if image.dtype != np.bool_ else Image.fromarray(image).convert("1")
    picture.save(buffer, format="PNG", optimize=False, compress_level=9)
    return buffer.getvalue()


def data_uri(image: NDArray[np.uint8]) -> str:
    """``image``, (H, W, 3) uint8, as a data URI: PNG, or WebP of `PHOTOGRAPHIC` pixels from there on."""
    if is_photographic(image):
        return webp_uri(Image.fromarray(image), PHOTOGRAPHIC, _QUALITY)
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def webp_uri(picture: Image.Image, side: int, quality: int) -> str:
    """The picture, made to fit a square of so many pixels, as a data URI of a lossy WebP."""
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def is_photographic(image: NDArray[np.uint8]) -> bool:
    """Whether the image is large enough to be shown smoothly rather than pixel by pixel."""
    return max(image.shape[:2]) >= PHOTOGRAPHIC


def outline(mask: NDArray[np.bool_]) -> str:
    """The area of ``mask``, (H, W), as SVG path data with the corners of pixels as points.

    Its coordinates run from 0 to W and 0 to H. A mask above 128 pixels is coarsened first: a block
    belongs to it when half of the block does.
    """
    height, width = mask.shape
    factor = max(1, -(-max(height, width) // _MASK_SIDE))
    if factor > 1:
        rows, columns = -(-height // factor), -(-width // factor)
        padded = np.zeros((rows * factor, columns * factor), dtype=np.float32)
        padded[:height, :width] = mask
        mask = padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3)) >= 0.5
    return "".join("M" + "L".join(f"{x * factor} {y * factor}" for x, y in loop) + "Z" for loop in _loops(mask))


def write_pictures(run: Run, examples: Sequence[Example], effects: Sequence[EffectExample] = ()) -> Gallery:
    """Write pictures and masks below ``images/`` of the run, and an index of them."""
    index = {
        "examples": [_write_example(run, example) for example in examples],
        "effects": [_write_effect(run, example, effects) for example in effects],
    }
    run.write_json(INDEX, index)
    return Gallery(tuple(examples), tuple(effects))


def _write_example(run: Run, example: Example) -> dict[str, Any]:
    stem = f"images/found-{example.index:03d}"
    run.write_bytes(f"{stem}.png", png(example.image))
    phrases = sorted(example.masks)
    if phrases:
        # One file for all, the masks below one another: a file more is a flush to disk more.
        run.write_bytes(f"{stem}-masks.png", png(np.concatenate([example.masks[name] for name in phrases])))
    return {
        "index": example.index,
        "image": f"{stem}.png",
        "score": example.score,
        "activates": example.activates,
        "masks": f"{stem}-masks.png" if phrases else None,
        "phrases": phrases,
    }


def _write_effect(run: Run, example: EffectExample, effects: Sequence[EffectExample]) -> dict[str, Any]:
    shown = list(dict.fromkeys(one.path for one in effects))
    stem = f"images/effect-{shown.index(example.path):02d}-{example.index:03d}"
    files = {part: f"{stem}-{part}.png" for part in ("without", "present")}
    for part, name in files.items():
        run.write_bytes(name, png(getattr(example, part)))
    scores = {"without": example.score_without, "present": example.score_present}
    return {"path": list(example.path), "index": example.index, "files": files, "scores": scores}


def read_pictures(directory: Path) -> Gallery:
    """The gallery of a run's directory; empty when the run kept no pictures."""
    try:
        index = read_json(directory / INDEX)
    except FileNotFoundError:
        return Gallery()
    examples = tuple(
        Example(
            index=entry["index"],
            image=_read(directory, entry["image"]),
            score=entry["score"],
            activates=entry["activates"],
            masks=_read_masks(directory, entry),
        )
        for entry in index["examples"]
    )
    effects = tuple(
        EffectExample(
            path=tuple(entry["path"]),
            index=entry["index"],
            without=_read(directory, entry["files"]["without"]),
            present=_read(directory, entry["files"]["present"]),
            score_without=entry["scores"]["without"],
            score_present=entry["scores"]["present"],
        )
        for entry in index.get("effects", [])
    )
    return Gallery(examples, effects)


def _read_masks(directory: Path, entry: dict[str, Any]) -> dict[str, NDArray[np.bool_]]:
    if not entry["phrases"]:
        return {}
    stacked = _read_mask(directory, entry["masks"])
    return dict(zip(entry["phrases"], np.split(stacked, len(entry["phrases"])), strict=True))


def open_picture(directory: Path, name: str) -> Image.Image:
    """A picture of a run, which may come from elsewhere: Pillow calls programs for some other formats.

    Raises:
        OSError, ValueError: it lies outside the run's directory, or is no PNG that can be read.
    """
    try:
        return Image.open(inside(directory, name), formats=("PNG",))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _read(directory: Path, name: str) -> NDArray[np.uint8]:
    with open_picture(directory, name) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)


def _read_mask(directory: Path, name: str) -> NDArray[np.bool_]:
    with open_picture(directory, name) as picture:
        return np.asarray(picture.convert("1"), dtype=np.bool_)


def _loops(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Closed boundaries of ``mask`` as lists of corners (x, y), the inside on the right of the walk."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add(where: NDArray[np.bool_], start: tuple[int, int], end: tuple[int, int]) -> None:
        for y, x in np.argwhere(where).tolist():
            edges.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))

    add(inside & ~padded[:-2, 1:-1], (0, 0), (1, 0))  # upper side, walked rightwards
    add(inside & ~padded[1:-1, 2:], (1, 0), (1, 1))  # right side, downwards
    add(inside & ~padded[2:, 1:-1], (1, 1), (0, 1))  # lower side, leftwards
    add(inside & ~padded[1:-1, :-2], (0, 1), (0, 0))  # left side, upwards

    loops = []
    while edges:
        start = min(edges)
        corners, point, direction = [], start, (0, 0)
        while point in edges:
            following = edges[point].pop()
            if not edges[point]:
                del edges[point]
            step = (following[0] - point[0], following[1] - point[1])
            if step != direction:
                corners.append(point)
            point, direction = following, step
        loops.append(corners)
    return loops
