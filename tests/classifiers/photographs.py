"""Photographs for tests: one of each of 100 ImageNet classes, where they are; their licence lets nobody ship them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

VARIABLE = "DIFFEXPLAIN_IMAGENET_SAMPLES"
FOLDER = Path(os.environ.get(VARIABLE) or Path(__file__).parents[3] / "shared" / "data" / "imagenet_samples")
ENLARGED = 1.7
"""So that the resize matters."""

needed = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{VARIABLE} names no folder of photographs")


def photographs(every: int = 1, enlarged: float = 1.0) -> Iterator[tuple[int, Image.Image]]:
    """Class index, with which the file's name begins, and picture."""
    for path in sorted(FOLDER.glob("*.jpg"))[::every]:
        picture = Image.open(path).convert("RGB")
        size = (round(picture.width * enlarged), round(picture.height * enlarged))
        yield (
            int(path.name.partition("_")[0]),
            picture if enlarged == 1 else picture.resize(size, Image.Resampling.BICUBIC),
        )


def tensor(picture: Image.Image) -> Tensor:
    """`(1, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
