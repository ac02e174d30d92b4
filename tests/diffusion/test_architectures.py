"""The architectures that benchmarks build are the published ones, and one optimisation step goes through them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tests.tiny import tiny_tokenizer
from torch import nn
from torchvision.models import resnet50
from transformers import CLIPTextConfig, CLIPTextModel

from diffexplain.diffusion import Prior, architectures
from diffexplain.runs.draws import Draws


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        (UNet2DConditionModel, architectures.UNET_SD15, 859_520_964),
        (UNet2DConditionModel, architectures.UNET_SD21, 865_910_724),
        (AutoencoderKL, architectures.VAE_SD, 83_653_863),
        (AutoencoderTiny, architectures.TAESD, 2_445_063),
    ],
)
def test_numbers_of_parameters_are_the_published_ones(kind: type, config: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        assert parameters(kind(**config)) == expected


def test_the_denoiser_of_sdxs_is_as_large_as_its_file() -> None:
    with torch.device("meta"):
        size = 4 * parameters(UNet2DConditionModel(**architectures.UNET_SDXS))
    assert round(size / 1e9, 2) == 1.31


@pytest.mark.parametrize(
    ("config", "expected"), [(architectures.TEXT_CLIP_L, 123_060_480), (architectures.TEXT_OPENCLIP_H, 340_387_840)]
)
def test_text_encoders_are_the_published_ones(config: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        assert parameters(CLIPTextModel(CLIPTextConfig(**config))) == expected


@pytest.mark.slow
def test_one_optimisation_step_at_full_size() -> None:
    """Stable Diffusion 1.5's denoiser and text encoder, the tiny decoder and ResNet-50, at 64x64 latents."""
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = architectures.TEXT_CLIP_L["max_position_embeddings"]
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(**architectures.VAE_SD),
        text_encoder=CLIPTextModel(CLIPTextConfig(**architectures.TEXT_CLIP_L)),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**architectures.UNET_SD15),
        scheduler=DDIMScheduler(**architectures.SCHEDULER_SD),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    prior = Prior(pipeline, steps=1, tiny_decoder=AutoencoderTiny(**architectures.TAESD))
    classifier = resnet50(weights=None).requires_grad_(False).eval()
    prompt = prior.word_embeddings(["flagpole", "bee"]).requires_grad_()
    before = prompt.detach().clone()
    optimiser = torch.optim.AdamW([prompt], lr=0.1)
    latents = Draws(0, "test").normals("noise", 0, 1, prior.latent_shape)
    assert latents.shape == (1, 4, 64, 64)
    images = prior.sample(prior.encode_embeddings(prompt, prefix="a"), latents)
    assert images.shape == (1, 3, 512, 512)
    nn.functional.cross_entropy(classifier(images), torch.tensor([557])).backward()
    optimiser.step()
    assert prompt.isfinite().all()
    assert not torch.equal(prompt, before)
