"""Every shipped prior: its configuration, fetched from a hub with tiny repositories in the real layout, and loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tests.hub import repositories
from tests.hub.server import Hub, Repo, running
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.config import configuration, fetch_command
from diffexplain.config.instantiate import build
from diffexplain.diffusion import Prior
from diffexplain.diffusion.lora import merge_lora
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws

CHOICES = ("sd14_lcm", "sd15", "sd_turbo", "sd21_nitro", "sdxs")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store into which all of them were fetched."""
    folder = tmp_path_factory.mktemp("store")
    repos = repositories.tiny_repositories()
    repos[repositories.NITRO] = Repo("c" * 40, {"nitro-1-sd.bin": b"a pickle, which nobody opens"})
    program = "import sys; from diffexplain.cli import main; sys.exit(max(main(['fetch', n]) for n in sys.argv[1:]))"
    with running(Hub(repos)) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFEXPLAIN_CACHE", str(folder))
        subprocess.run(
            [sys.executable, "-c", program, *(f"diffusion={choice}" for choice in CHOICES)],
            env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"},
            check=True,
            capture_output=True,
        )
        pickle = next(folder.rglob("nitro-1-sd.bin"))
        unet = UNet2DConditionModel(**repositories.UNET_SD2)
        save_file(unet.state_dict(), pickle.with_suffix(".safetensors"))  # as `diffexplain convert` does
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFEXPLAIN_CACHE", str(folder))
        yield folder


def load(choice: str, *overrides: str) -> Prior:
    config = configuration.compose([f"diffusion={choice}", "diffusion.dtype=float32", *overrides])
    fetch_command.require(config)
    return build(config["diffusion"], where="diffusion")


def noise(prior: Prior) -> Tensor:
    return Draws(0, "test").normals("noise", 0, 2, prior.latent_shape)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_prior_loads_and_passes_a_gradient_to_the_prompt(choice: str, store: Path) -> None:
    prior = load(choice)
    words = prior.word_embeddings(["red", "flag"])
    spliced = prior.encode_embeddings(words, prefix="a")
    torch.testing.assert_close(spliced, prior.encode(["a red flag"]), rtol=0, atol=1e-6)
    condition = spliced.detach().requires_grad_()
    images = prior.sample(condition, noise(prior))
    assert images.shape == (2, 3, *prior.image_size)
    images.mean().backward()
    assert condition.grad is not None
    assert condition.grad.abs().max() > 0


@pytest.mark.parametrize("choice", CHOICES)
def test_final_images_are_the_full_decoders_and_equal_the_pipelines(choice: str, store: Path) -> None:
    prior = load(choice, "diffusion.steps=1")
    assert isinstance(prior.pipeline.vae, AutoencoderKL)
    assert isinstance(prior.tiny_decoder, AutoencoderTiny)
    latents, texts = noise(prior), ["red flag", "bee"]
    prior.pipeline.set_progress_bar_config(disable=True)
    expected = prior.pipeline(
        texts, num_inference_steps=1, guidance_scale=prior.guidance, latents=latents, output_type="pt"
    ).images
    actual = prior.generate(texts, latents)
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-5)
    optimised = prior.sample(prior.encode(texts), latents)
    assert (optimised - actual).abs().max() > 0.01


@pytest.mark.parametrize(("choice", "timestep"), [("sd21_nitro", 999), ("sd_turbo", 999), ("sdxs", 999)])
def test_one_step_goes_from_the_last_timestep_to_the_image_itself(choice: str, timestep: int, store: Path) -> None:
    prior = load(choice)
    scheduler = prior.pipeline.scheduler
    scheduler.set_timesteps(prior.steps)
    assert [int(value) for value in scheduler.timesteps] == [timestep]
    latents, prediction = noise(prior), noise(prior).flip(0)
    start = latents * scheduler.init_noise_sigma
    signal = scheduler.alphas_cumprod[timestep].sqrt()
    spread = (1 - signal**2).sqrt()
    if choice == "sd21_nitro":
        expected = (start - spread * prediction) / signal
    else:  # Euler keeps its latents unscaled: image + noise * spread / signal
        expected = start - prediction * spread / signal
    scheduler.scale_model_input(start, scheduler.timesteps[0])
    actual = scheduler.step(prediction, scheduler.timesteps[0], start, return_dict=False)[0]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)


def test_the_dtype_is_that_of_the_configuration(store: Path) -> None:
    config = configuration.compose(["diffusion=sd14_lcm"])
    prior = build(config["diffusion"], where="diffusion")
    assert {parameter.dtype for module in prior._modules() for parameter in module.parameters()} == {torch.bfloat16}
    with pytest.raises(UserError, match="bfloat16"):
        load("sd15", "diffusion.dtype=half")


def test_an_adapter_becomes_part_of_the_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.ModuleDict({"linear": nn.Linear(3, 5), "conv": nn.Conv2d(3, 4, 3, padding=1)})
    tensors = repositories.lora(layers)
    save_file(tensors, tmp_path / "lora.safetensors")
    inputs = {"linear": torch.randn(2, 3), "conv": torch.randn(2, 3, 6, 6)}
    expected = {}
    for name, layer in layers.items():
        down, up = (tensors[f"lora_unet_{name}.lora_{side}.weight"] for side in ("down", "up"))
        apply = functional.linear if name == "linear" else functional.conv2d
        inner = apply(inputs[name], down) if name == "linear" else apply(inputs[name], down, padding=1)
        expected[name] = layer(inputs[name]) + 0.5 / len(down) * apply(inner, up)
    assert merge_lora(layers, tmp_path / "lora.safetensors") == 2
    for name, layer in layers.items():
        torch.testing.assert_close(layer(inputs[name]), expected[name], rtol=1e-5, atol=1e-5)


def test_the_adapter_of_the_prior_is_merged(store: Path) -> None:
    merged = load("sd14_lcm").pipeline.unet.state_dict()
    (file,) = store.glob("repositories/CompVis--stable-diffusion-v1-4/*/unet/*.safetensors")
    before = load_file(file)
    changed = {name for name, value in merged.items() if not torch.equal(value, before[name])}
    assert "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight" in changed
    assert "down_blocks.0.downsamplers.0.conv.weight" in changed
    assert not any(name.endswith("bias") or "norm" in name for name in changed)


@pytest.mark.parametrize(
    ("name", "rows"),
    [("lora_unet_linear", 7), ("lora_unet_nothing", 5), ("lora_te_linear", 5)],
    ids=["another shape", "another layer", "another part"],
)
def test_an_adapter_of_another_network_is_refused_and_changes_nothing(name: str, rows: int, tmp_path: Path) -> None:
    layers = nn.ModuleDict({"linear": nn.Linear(3, 5)})
    before = layers["linear"].weight.clone()
    foreign = {f"{name}.lora_down.weight": torch.ones(2, 3), f"{name}.lora_up.weight": torch.ones(rows, 2)}
    save_file(foreign, tmp_path / "lora.safetensors")
    with pytest.raises(UserError, match=name):
        merge_lora(layers, tmp_path / "lora.safetensors")
    assert torch.equal(layers["linear"].weight, before)


def test_any_folder_is_a_prior_with_or_without_a_tiny_decoder(store: Path) -> None:
    (folder,) = store.glob("repositories/stable-diffusion-v1-5--*/*")
    (tiny,) = store.glob("repositories/madebyollin--taesd/*")
    prior = load("local", f"diffusion.folder={folder}", "diffusion.steps=2")
    assert prior.tiny_decoder is None
    latents = noise(prior)
    assert torch.equal(prior.sample(prior.encode(["bee"]), latents), prior.generate(["bee"], latents))
    assert load("local", f"diffusion.folder={folder}", f"diffusion.tiny_decoder_folder={tiny}").tiny_decoder is not None
    with pytest.raises(UserError, match=r"diffusion\.folder=<folder>"):
        load("local")


def test_a_denoiser_that_was_not_converted_says_how(store: Path, tmp_path: Path, monkeypatch: Any) -> None:
    converted = next(store.rglob("nitro-1-sd.safetensors"))
    monkeypatch.setattr(Path, "is_file", lambda path, real=Path.is_file: path != converted and real(path))
    with pytest.raises(UserError, match=r"diffexplain convert .*nitro-1-sd\.bin"):
        load("sd21_nitro")
