"""Training images of the world: degraded anew at each use, or rendered with the subject hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor
from torch.nn import functional

from diffexplain.world.render import render, render_images
from diffexplain.world.scenes import IMAGE_SIZE, Scene


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 `(B, H, W, 3)` to float `(B, 3, H, W)` in [0, 1], stored channels last."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def degrade(images: Tensor, generator: np.random.Generator, strength: float = 1.0) -> Tensor:
    """Blur and noise of random strength for each image, as generated pictures have: `(B, 3, H, W)`, 0 to 1.

    Two thirds are mixed with a blur over 3 or 5 pixels; two thirds, drawn apart, get Gaussian noise with a
    standard deviation of up to `0.06 * strength`.
    """
    count = len(images)

    def amounts(largest: float) -> Tensor:
        drawn = generator.random(count) * largest * (generator.random(count) > 1 / 3)
        return torch.from_numpy(drawn.astype(np.float32)).view(count, 1, 1, 1)

    wide = generator.random() < 0.5
    blurred = _blur(_blur(images)) if wide else _blur(images)
    images = torch.lerp(images, blurred, amounts(0.7 * strength if wide else strength).clamp(max=1))
    noise = torch.from_numpy(generator.standard_normal(images.shape, dtype=np.float32))
    return (images + noise * amounts(0.06 * strength)).clamp_(0, 1)


def _blur(images: Tensor) -> Tensor:
    """Mean over 3x3 pixels; written as sums of slices, several times faster than a pooling layer."""
    padded = functional.pad(images, (0, 0, 1, 1), mode="replicate")
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    padded = functional.pad(rows, (1, 1, 0, 0), mode="replicate")
    return (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 9


def render_hiding_subjects(scenes: Sequence[Scene], seeds: Sequence[int], hidden: Sequence[bool]) -> NDArray[np.uint8]:
    """Like `render_images`, with the setting painted over the subject wherever `hidden` says so."""
    images = render_images(scenes, seeds)
    for index, (scene, seed) in enumerate(zip(scenes, seeds, strict=True)):
        if hidden[index]:
            images[index] = without_subject(scene, seed)
    return images


def without_subject(scene: Scene, seed: int) -> NDArray[np.uint8]:
    """One scene, its subject and the subject's anti-aliased edge replaced by the setting behind it."""
    rendering = render(scene, seed)
    gone = binary_dilation(rendering.masks["subject"], iterations=2)
    kept = [mask for name, mask in rendering.masks.items() if name not in ("subject", "setting")]
    gone &= ~np.logical_or.reduce([np.zeros_like(gone), *kept])
    image = rendering.image.copy()
    image[gone] = empty_setting(scene, seed)[gone]
    return image


def empty_setting(scene: Scene, seed: int) -> NDArray[np.uint8]:
    """The scene's setting and weather alone: two halves of scenes whose narrow subject is in the other."""
    bare = replace(scene, subject="flagpole", size="small", companions=())
    right, left = render_images([replace(bare, position=p) for p in ("right", "left")], [seed, seed])
    half = IMAGE_SIZE // 2
    return np.concatenate([right[:, :half], left[:, half:]], axis=1)
