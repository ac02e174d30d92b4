"""The preprocessing of transformers' image processors, and the proof that it was understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.errors import UserError
from diffexplain.weights.files import library_reads

FILE = "preprocessor_config.json"
TOLERANCE = 3 / 255
"""Largest mean difference from the processor itself, in brightness: room for rounding, none for a shifted crop."""

_FILTERS = {2: "bilinear", 3: "bicubic"}
"""PIL's numbers."""


def read_preprocessing(folder: Path) -> Preprocessing:
    """The preprocessing that `preprocessor_config.json` in `folder` describes, compared with the processor itself.

    There are many processors with habits of their own, so none is trusted to be understood: a picture is
    put through both.

    Raises:
        UserError: the file is missing, or its processor does something that is not done here.
    """
    from transformers import AutoImageProcessor

    with library_reads(f"{folder / FILE} describes no image processor"):
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("cpu"):
        preprocessing = _preprocessing(processor)
        if _difference(preprocessing, processor) > TOLERANCE:
            raise UserError(
                f"The preprocessing of {type(processor).__name__} in {folder / FILE} is not supported: a picture "
                "becomes another by it than by resize, crop and normalisation."
            )
    return preprocessing


def _preprocessing(processor: Any) -> Preprocessing:
    settings = processor.to_dict()
    size, crop = settings.get("size") or {}, None
    resized: list[int]
    if "shortest_edge" in size:
        resized = [size["shortest_edge"]]
    elif "height" in size and "width" in size:
        resized = [size["height"], size["width"]]
    else:
        raise UserError(f"The size in {FILE} has neither shortest_edge nor height and width.", given=size)
    if settings.get("do_center_crop"):
        crop = settings["crop_size"]["height"], settings["crop_size"]["width"]
        if crop[0] > resized[0] or crop[1] > resized[-1]:
            message = f"The processor in {FILE} frames pictures with black, which is not done here."
            raise UserError(message, given=f"size={resized}, crop_size={list(crop)}")
    elif "crop_pct" in settings and len(resized) == 1:
        # ConvNeXt's processor: large pictures are squeezed into the square, small ones cropped.
        side = resized[0]
        crop = None if side >= 384 else (side, side)
        resized = [side, side] if crop is None else [int(side / settings["crop_pct"])]
    normalises = settings.get("do_normalize", False)
    scale = 255.0 * settings.get("rescale_factor", 1.0) if settings.get("do_rescale", True) else 255.0
    number = int(settings.get("resample", 2))
    if number not in _FILTERS:
        raise UserError(f"The resampling filter in {FILE} is not supported.", given=number, accepted=["2", "3"])
    return Preprocessing(
        resized,
        crop,
        interpolation="bicubic" if number == 3 else "bilinear",
        mean=settings["image_mean"] if normalises else None,
        std=settings["image_std"] if normalises else None,
        # In one step as in two: 255 * factor is 1 to the last bit but one.
        scale=1.0 if abs(scale - 1) < 1e-6 else scale,
        channels="BGR" if settings.get("do_flip_channel_order") else "RGB",
        odd_surplus="down",
    )


def _difference(preprocessing: Preprocessing, processor: Any) -> float:
    """Mean absolute difference of a smooth picture put through both, as brightness in 0 to 1."""
    picture = _picture(321, 443)
    ours = preprocessing(picture[None])[0]
    # The colours differ in every corner, so that order, place and scale all show.
    theirs: Tensor = processor(
        np.asarray(picture.permute(1, 2, 0) * 255).round().astype(np.uint8), return_tensors="pt"
    )["pixel_values"][0]
    if ours.shape != theirs.shape:
        return float("inf")
    return float(((ours - theirs) * preprocessing.std[0]).abs().mean() / preprocessing.scale)


def _picture(height: int, width: int) -> Tensor:
    down, across = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None, :]
    waves = 0.5 + 0.5 * torch.sin(40 * down) * torch.sin(40 * across)
    return torch.stack([down.expand(height, width), across.expand(height, width), waves])
