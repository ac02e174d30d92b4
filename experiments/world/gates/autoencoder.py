"""The autoencoder's gates: how close its reconstructions are, and what the oracle can still read in them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from diffexplain.weights.files import load_whole
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.held_out import renderings, scenes_and_seeds
from experiments.world.gates.row import Row, at_least, at_most
from experiments.world.oracle import load_oracle, read, score, visible_questions

SCENES = 1000
PSNR_GATE = 30.0
DROP_GATE = 0.01
PART = "autoencoder"


@cache
def _autoencoder(folder: str) -> Any:
    from diffusers import AutoencoderKL

    from diffexplain.diffusion.loading import QUIETLY

    return load_whole(AutoencoderKL, resolve_folder(folder), **QUIETLY).float().eval()


@torch.no_grad()
def reconstruct(images: Tensor, folder: str = "embedded:prior/vae", batch: int = 50) -> Tensor:
    """Images `(B, 3, 64, 64)` in [0, 1] through the autoencoder and back."""
    autoencoder = _autoencoder(folder)
    parts = []
    for chunk in images.split(batch):
        latents = autoencoder.encode(chunk * 2 - 1).latent_dist.mode()
        parts.append((autoencoder.decode(latents).sample / 2 + 0.5).clamp(0, 1))
    return torch.cat(parts)


def psnr(images: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio in decibels for values in [0, 1], from the error over all images at once."""
    return float(-10 * (images - others).square().mean().log10())


def autoencoder_rows() -> list[Row]:
    """Reconstruction error, and what it costs the oracle: all questions together, and the worst."""
    scenes, seeds = scenes_and_seeds(SCENES, stream=2)
    images, drawn = renderings(scenes, seeds)
    reconstructed = reconstruct(images)
    rows = [at_least(PART, "reconstruction PSNR, dB", psnr(images, reconstructed), PSNR_GATE, SCENES)]
    oracle = load_oracle()
    asked = [visible_questions(scene, rendering) for scene, rendering in zip(scenes, drawn, strict=True)]
    before = score(read(oracle, images), scenes, asked)
    after = score(read(oracle, reconstructed), scenes, asked)
    total = sum(n for _, n in before.values())
    lost = sum(before[name][0] - after[name][0] for name in before)
    rows.append(at_most(PART, "oracle accuracy drop, all attributes", lost / total, DROP_GATE, total))
    drops = {name: (before[name][0] - after[name][0]) / max(before[name][1], 1) for name in before}
    worst = max(drops, key=lambda name: drops[name])
    rows.append(Row(PART, "oracle accuracy drop, worst", drops[worst], "report", n=before[worst][1], note=worst))
    return rows
