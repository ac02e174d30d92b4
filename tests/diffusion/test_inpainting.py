"""Inpainting changes the mask and nothing else."""

from __future__ import annotations

import pytest
import torch
from tests.tiny import tiny_images, tiny_prior

from diffexplain.diffusion.inpainting import composite, shrink_mask
from diffexplain.runs.draws import Draws


def left_half(count: int) -> torch.Tensor:
    masks = torch.zeros(count, 1, 32, 32)
    masks[:, :, :, :16] = 1.0
    return masks


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_pixels_outside_the_mask_are_the_inputs(strength: float) -> None:
    prior = tiny_prior(steps=4)
    images, masks = tiny_images(2), left_half(2)
    noise = Draws(0, "test").normals("inpaint", 0, 2, prior.latent_shape)
    filled = prior.inpaint(images, masks, ["bee"], noise, strength=strength)
    assert torch.equal(filled[..., 16:], images[..., 16:])
    assert (filled[..., :15] - images[..., :15]).abs().mean() > 0.01
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_an_empty_mask_changes_nothing() -> None:
    prior = tiny_prior()
    images = tiny_images(1)
    noise = Draws(0, "test").normals("inpaint", 0, 1, prior.latent_shape)
    assert torch.equal(prior.inpaint(images, torch.zeros(1, 1, 32, 32), ["bee"], noise), images)


def test_a_full_mask_at_full_strength_is_generation() -> None:
    prior = tiny_prior(steps=3)
    noise = Draws(0, "test").normals("inpaint", 0, 1, prior.latent_shape)
    filled = prior.inpaint(tiny_images(1), torch.ones(1, 1, 32, 32), ["bee"], noise)
    torch.testing.assert_close(filled, prior.generate(["bee"], noise), rtol=0, atol=1e-5)


def test_each_image_has_its_own_condition_and_any_batch_gives_the_same() -> None:
    prior, parted = tiny_prior(micro_batch=16), tiny_prior(micro_batch=1)
    images, masks = tiny_images(3), left_half(3)
    noise = Draws(0, "test").normals("inpaint", 0, 3, prior.latent_shape)
    texts = ["bee", "flag", "snow"]
    together = prior.inpaint(images, masks, prior.encode(texts), noise)
    torch.testing.assert_close(parted.inpaint(images, masks, texts, noise), together, rtol=0, atol=1e-5)
    alone = prior.inpaint(images[1:2], masks[1:2], ["flag"], noise[1:2])
    torch.testing.assert_close(alone, together[1:2], rtol=0, atol=1e-5)
    assert not together.requires_grad


def test_a_latent_cell_is_masked_if_any_of_its_pixels_is() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[0, 0, 3, 4] = 1.0
    expected = torch.tensor([[0.0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert torch.equal(shrink_mask(mask, (4, 4))[0, 0], expected)


def test_the_soft_edge_lies_inside_the_mask() -> None:
    masks = torch.zeros(1, 1, 1, 8)
    masks[..., 2:] = 1.0
    blended = composite(torch.zeros(1, 3, 1, 8), torch.ones(1, 3, 1, 8), masks, edge=1)[0, 0, 0]
    assert blended[:2].tolist() == [0.0, 0.0]
    assert 0.0 < blended[2] < 1.0
    assert blended[3:].tolist() == [1.0] * 5
    hard = composite(torch.zeros(1, 3, 1, 8), torch.ones(1, 3, 1, 8), masks, edge=0)[0, 0, 0]
    assert hard.tolist() == masks[0, 0, 0].tolist()
