"""Any pipeline of diffusers that takes texts and latents keeps the contract of a source of paired pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.diffusion.tiny_pipelines import MADE, SIZE, made
from torch import Tensor

from diffexplain.diffusion import TextPrior
from diffexplain.runs.draws import Draws

TEXTS = ["a red flag", "a small dog with a flower"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipelines")
    for name in MADE:
        made(name).save_pretrained(root / name)
    return root


def load(folder: Path, **more: Any) -> TextPrior:
    weights = [{"repository": str(folder), "licence": "none", "megabytes": 1}]
    told = {**MADE.get(folder.name, (None, {}))[1], **more}
    return TextPrior.load(str(folder), weights=weights, size=SIZE, dtype="float32", **told)


def noise(prior: TextPrior, count: int) -> Tensor:
    return Draws(0, "test").normals("noise", 0, count, prior.latent_shape)


@pytest.mark.parametrize("name", MADE)
def test_every_pipeline_makes_paired_pictures(name: str, folders: Path) -> None:
    prior = load(folders / name)
    state = torch.random.get_rng_state()
    latents = noise(prior, 3)
    images = prior.generate([TEXTS[0]], latents)
    assert images.shape == (3, 3, SIZE, SIZE) == (3, 3, *prior.image_size)
    assert float(images.min()) >= 0 and float(images.max()) <= 1
    # The same text and noise again, with another between, is the same to the bit; another text is another picture.
    others = prior.generate([TEXTS[1]], latents)
    assert torch.equal(prior.generate([TEXTS[0]], latents), images)
    for changed in (others[0], images[1]):
        assert (changed - images[0]).abs().max() > 1e-3
    assert torch.equal(torch.random.get_rng_state(), state)
    # A picture is its own, whatever is made beside it: alone, and in another place among other texts.
    alone = prior.generate([TEXTS[0]], latents[1:2])
    torch.testing.assert_close(alone, images[1:2], rtol=0, atol=1e-5)
    mixed = prior.generate([TEXTS[1], TEXTS[0]], latents[[2, 1]])
    torch.testing.assert_close(mixed, torch.stack([others[2], images[1]]), rtol=0, atol=1e-5)
