"""Images as a vision-language model is shown them."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from torch import Tensor


def pictures(images: Tensor | None, most: int, side: int) -> list[Image.Image]:
    """At most ``most`` of the images (N, 3, H, W) in [0, 1], evenly chosen, no side longer than ``side`` pixels."""
    if images is None or len(images) == 0:
        return []
    count = min(most, len(images))
    chosen = images[[index * len(images) // count for index in range(count)]]
    levels = (chosen.detach().cpu().float().clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    made = [Image.fromarray(picture) for picture in levels]
    for picture in made:
        picture.thumbnail((side, side), Image.Resampling.BICUBIC)
    return made


def data_url(picture: Image.Image) -> str:
    """The picture as the address that holds it: PNG in base64."""
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
