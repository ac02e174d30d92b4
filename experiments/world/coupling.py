"""Starting noise that already holds what a caption leaves open.

A caption does not say where exactly the subject stands, which colour it has if none is named, which way a
companion faces. A denoiser that starts from independent noise can only predict the mean of all these pictures in
its first step, and few steps are too few to come from there to a sharp one. Here every open choice of a training
scene is written into the noise it is paired with: the noise's component along one fixed direction is drawn from
that part of the normal distribution that belongs to the choice. All choices of the independent world are equally
likely, so the noise as a whole stays exactly standard normal; but noise and picture now belong together, as after
the rectification of a flow (Liu et al. 2022, arXiv 2209.03003), and the first step already has one picture to
predict.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.world.drawings import FLYING_SUBJECTS
from diffexplain.world.render import COMPANION_SCALES, SUBJECT_SCALES, choice
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, Scene
from diffexplain.world.settings import RAIN_PATTERNS

_JITTER = {
    "horizon": 5,
    "shift": 8,
    "rain": RAIN_PATTERNS,
    "subject scale": len(SUBJECT_SCALES["small"]),
    "subject side": 2,
    "subject x": 5,
    "subject y": 7,
    "companion order": 2,
}
_COMPANION_JITTER = {" scale": len(COMPANION_SCALES), " side": 2, " gap": 3, " y": 7}
COUNTS = [
    *(len(values) for values in ATTRIBUTES.values()),
    *_JITTER.values(),
    2,  # the slot of the first companion
    *(count for _ in range(2) for count in (*_COMPANION_JITTER.values(), 6)),  # and the companion's sub-type
]
"""Of each open choice, how many values it has."""


def choices_of(scene: Scene, seed: int) -> NDArray[np.float32]:
    """The choices of one scene as (count, 2): lower and upper end of its part of [0, 1]."""
    parts = [(values.index(getattr(scene, name)), len(values)) for name, values in ATTRIBUTES.items()]
    for name, count in _JITTER.items():
        # A grounded subject has five heights, a flying one seven.
        flying = scene.subject in FLYING_SUBJECTS
        count = 5 if name == "subject y" and not flying else count
        parts.append((choice(seed, name, count), count))
    companions = sorted(scene.companions, key=lambda companion: list(COMPANIONS).index(companion.kind))
    parts.append((companions[0].slot, 2) if companions else (0, 1))
    for slot in range(2):
        if slot < len(companions):
            companion = companions[slot]
            for name, count in _COMPANION_JITTER.items():
                parts.append((choice(seed, f"companion {companion.slot}{name}", count), count))
            subtypes = COMPANIONS[companion.kind] or ("",)
            parts.append((subtypes.index(companion.subtype), len(subtypes)))
        else:
            parts += [(0, 1)] * (len(_COMPANION_JITTER) + 1)
    return np.array([(value / count, (value + 1) / count) for value, count in parts], np.float32)


def directions(channels: int = 16, size: int = 16) -> Tensor:
    """Orthonormal (choices, channels, size, size): each channel's mean, then its checkerboard."""
    rows = torch.arange(size)
    board = 1.0 - 2.0 * ((rows[:, None] + rows[None, :]) % 2)
    result = torch.zeros(len(COUNTS), channels, size, size)
    for index in range(len(COUNTS)):
        result[index, index % channels] = (torch.ones(size, size) if index < channels else board) / size
    return result


def paired_noise(noise: Tensor, parts: Tensor, along: Tensor) -> Tensor:
    """Standard normal `noise` (count, channels, size, size) with its components along the directions redrawn, each
    from its part (count, choices, 2) of the distribution."""
    low, high = parts.unbind(-1)
    uniform = (low + (high - low) * torch.rand_like(low)).clamp(1e-4, 1 - 1e-4)
    wanted = torch.special.ndtri(uniform)
    present = torch.einsum("nchw,kchw->nk", noise, along)
    return noise + torch.einsum("nk,kchw->nchw", wanted - present, along)
