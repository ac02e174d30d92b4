"""Images as one PNG."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image
from torch import Tensor

GAP = 2
"""White pixels between the images of a grid."""


def image_grid(images: Tensor) -> Image.Image:
    """Images (B, 3, H, W) in [0, 1], row by row in a grid that is about square."""
    pixels = (images.detach().float().cpu().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    count, height, width, _ = pixels.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pixels):
        top, left = (index // columns) * (height + GAP), (index % columns) * (width + GAP)
        canvas[top : top + height, left : left + width] = picture
    return Image.fromarray(canvas)


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file, the same for the same picture."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
