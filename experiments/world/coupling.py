"""Starting noise that already holds what a caption leaves open.

A caption does not say how high the subject stands, nor which colour it has or where it is if it names none. A
denoiser that starts from independent noise can only predict the mean of all these pictures in
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

from diffexplain.world.render import CHOICES, decide
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, MAXIMUM_COMPANIONS, Scene

_SUBTYPES = 6  # two and three, the numbers of sub-types that there are, both divide it
COUNTS = [
    *(len(values) for values in ATTRIBUTES.values()),
    1,  # to spare, as below
    *(_SUBTYPES,) * MAXIMUM_COMPANIONS,
    1,
    1,
    CHOICES["subject y"],
]
"""Of each open choice, how many values it has."""
OPEN = torch.tensor([0.0, 1.0])
"""The part of a choice that the noise does not make."""


def choices_of(scene: Scene, seed: int) -> NDArray[np.float32]:
    """The choices of one scene as (count, 2): lower and upper end of its part of [0, 1]."""
    parts = [(values.index(getattr(scene, name)), len(values)) for name, values in ATTRIBUTES.items()]
    parts.append((0, 1))
    for slot in range(MAXIMUM_COMPANIONS):
        companion = next((companion for companion in scene.companions if companion.slot == slot), None)
        subtypes = COMPANIONS[companion.kind] if companion else ()
        parts.append((subtypes.index(companion.subtype), len(subtypes)) if companion and subtypes else (0, 1))
    parts += [(0, 1), (0, 1), (decide(seed, "subject y"), CHOICES["subject y"])]
    return np.array([(value / count, (value + 1) / count) for value, count in parts], np.float32)


def told_choices(named: frozenset[str], scene: Scene) -> list[int]:
    """The choices that a caption makes itself: the noise must say nothing of them.

    Otherwise the denoiser reads them from the noise alone, and draws snow by the sea when noise and text differ.
    """
    told = [index for index, name in enumerate(ATTRIBUTES) if name in named]
    first_subtype = len(ATTRIBUTES) + 1
    return told + [first_subtype + c.slot for c in scene.companions if f"subtype:{c.kind}" in named]


def directions(channels: int = 16, size: int = 16) -> Tensor:
    """Orthonormal (choices, channels, size, size): each channel's mean, then its checkerboard."""
    rows = torch.arange(size)
    board = 1.0 - 2.0 * ((rows[:, None] + rows[None, :]) % 2)
    result = torch.zeros(len(COUNTS), channels, size, size)
    for index in range(len(COUNTS)):
        result[index, index % channels] = (torch.ones(size, size) if index < channels else board) / size
    return result


def paired_noise(noise: Tensor, parts: Tensor, along: Tensor, loudness: float = 1.0) -> Tensor:
    """Standard normal `noise` (count, channels, size, size) with its components along the directions redrawn, each
    from its part (count, choices, 2) of the distribution; everything else of it is scaled by `loudness`."""
    low, high = parts.unbind(-1)
    uniform = (low + (high - low) * torch.rand_like(low)).clamp(1e-4, 1 - 1e-4)
    wanted = torch.special.ndtri(uniform)
    present = torch.einsum("nchw,kchw->nk", noise, along)
    return loudness * noise + torch.einsum("nk,kchw->nchw", wanted - loudness * present, along)
