"""Scenes that the gates are measured on; no recipe trains on them or looks at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffexplain.world.render import Rendering, render
from diffexplain.world.sampler import World
from diffexplain.world.scenes import Scene

SCENE_SEED = 970_000_000
RENDER_SEED = 2_000_000_000_000


def scenes_and_seeds(count: int, stream: int, world: World | None = None) -> tuple[list[Scene], list[int]]:
    """Scenes of a world, the independent one by default, with render seeds; a `stream` for each gate."""
    first = RENDER_SEED + stream * 1_000_000
    return (world or World()).sample(count, SCENE_SEED + stream), list(range(first, first + count))


def renderings(scenes: Sequence[Scene], seeds: Sequence[int]) -> tuple[Tensor, list[Rendering]]:
    """Images `(B, 3, 64, 64)` in [0, 1], and the renderings with their masks."""
    drawn = [render(scene, seed) for scene, seed in zip(scenes, seeds, strict=True)]
    images = torch.from_numpy(np.stack([rendering.image for rendering in drawn]))
    return images.permute(0, 3, 1, 2).float() / 255, drawn
