"""Sampling through our own loop equals the library's pipeline, and its gradient is the true one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
)
from safetensors.torch import load_file, save_file
from tests.tiny import tiny_pipeline, tiny_prior
from torch import Tensor

from diffexplain.diffusion import Prior, load_prior
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws

TEXTS = ["a red flag", "snow with dog"]


def noise(prior: Prior, count: int = 2) -> Tensor:
    return Draws(0, "test").normals("noise", 0, count, prior.latent_shape)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_images_equal_the_pipelines(guidance: float) -> None:
    prior = tiny_prior(steps=3, guidance=guidance)
    latents = noise(prior)
    expected = prior.pipeline(
        TEXTS, num_inference_steps=3, guidance_scale=guidance, latents=latents, output_type="pt"
    ).images
    actual = prior.generate(TEXTS, latents)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


class FlowMatching(FlowMatchEulerDiscreteScheduler):
    """With what Stable Diffusion's pipeline asks of a scheduler; flow matching needs neither."""

    init_noise_sigma = 1.0

    def scale_model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        return latents


SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="trailing"),  # SD-Turbo's
        EulerDiscreteScheduler(**SCHEDULE, prediction_type="v_prediction", timestep_spacing="leading", steps_offset=1),
        FlowMatching(shift=3.0),
    ],
    ids=["ddim", "euler", "euler-v", "flow-matching"],
)
def test_every_scheduler_gives_the_pipelines_images(scheduler: Any, steps: int) -> None:
    prior = tiny_prior(steps=steps)
    prior.pipeline.scheduler = scheduler
    latents = noise(prior)
    state = torch.random.get_rng_state()
    expected = prior.pipeline(
        TEXTS, num_inference_steps=steps, guidance_scale=1.0, latents=latents, output_type="pt"
    ).images
    actual = prior.generate(TEXTS, latents)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(prior.generate(TEXTS, latents), actual, rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_guidance_changes_images_and_texts_do() -> None:
    prior, guided = tiny_prior(), tiny_prior(guidance=3.0)
    latents = noise(prior)
    plain = prior.generate(TEXTS, latents)
    assert not torch.allclose(plain, guided.generate(TEXTS, latents), atol=1e-3)
    assert not torch.allclose(plain, prior.generate(["bee", "bee"], latents), atol=1e-5)


@pytest.mark.parametrize(("guidance", "calls"), [(1.0, 3), (3.0, 3)])
def test_one_network_call_a_step(guidance: float, calls: int) -> None:
    prior = tiny_prior(steps=3, guidance=guidance)
    rows: list[int] = []
    prior.pipeline.unet.register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0])))
    prior.generate(["bee"], noise(prior))
    assert rows == [2 if guidance == 1.0 else 4] * calls


def test_gradient_is_that_of_finite_differences() -> None:
    prior = tiny_prior(steps=2)
    for module in (prior.pipeline.unet, prior.pipeline.vae, prior.pipeline.text_encoder):
        module.double()
    latents = noise(prior, 1)
    condition = prior.encode(["flag"]).requires_grad_()

    def measured(states: Tensor) -> Tensor:
        # Not the images: they are cast to single precision for the classifier.
        return prior._denoiser().sample(states, latents.double(), 2)[0, 0].square().sum()

    (gradient,) = torch.autograd.grad(measured(condition), condition)
    direction = torch.sign(gradient)
    width = 1e-6
    difference = measured(condition + width * direction) - measured(condition - width * direction)
    torch.testing.assert_close(difference.detach() / (2 * width), (gradient * direction).sum(), rtol=1e-5, atol=0)


def test_clamped_pixels_pass_their_gradient() -> None:
    prior = tiny_prior()
    with torch.no_grad():
        prior.pipeline.vae.decoder.conv_out.bias.fill_(10.0)
    condition = prior.encode(["flag"]).requires_grad_()
    images = prior.sample(condition, noise(prior))
    assert images.max() == 1.0
    images.mean().backward()
    assert condition.grad is not None
    assert condition.grad.abs().max() > 0


def test_weights_are_frozen_and_stay_without_gradient() -> None:
    prior = tiny_prior()
    condition = prior.encode(["flag"]).requires_grad_()
    prior.sample(condition, noise(prior)).mean().backward()
    modules = (prior.pipeline.unet, prior.pipeline.vae, prior.pipeline.text_encoder)
    assert all(p.grad is None and not p.requires_grad for m in modules for p in m.parameters())
    assert not any(module.training for module in modules)


def test_micro_batches_and_batch_mates_do_not_change_an_image() -> None:
    whole, parted = tiny_prior(micro_batch=16), tiny_prior(micro_batch=2)
    latents = noise(whole, 5)
    expected = whole.generate(["bee"], latents)
    torch.testing.assert_close(parted.generate(["bee"], latents), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole.generate(["bee"], latents[3:4]), expected[3:4], rtol=0, atol=1e-5)


def test_spliced_embeddings_of_words_equal_their_text() -> None:
    prior = tiny_prior()
    words = prior.word_embeddings(["red", "flag"])
    spliced = prior.encode_embeddings(words, prefix="a small")
    torch.testing.assert_close(spliced, prior.encode(["a small red flag"]), rtol=0, atol=1e-6)
    torch.testing.assert_close(prior.encode_embeddings(words), prior.encode(["red flag"]), rtol=0, atol=1e-6)
    torch.testing.assert_close(prior.encode(["a small red flag"]), spliced, rtol=0, atol=1e-6)


def test_an_attention_mask_is_used_where_the_encoder_wants_one() -> None:
    prior = tiny_prior()
    plain = prior.encode(["red flag"])
    prior.pipeline.text_encoder.config.use_attention_mask = True
    words = prior.word_embeddings(["red", "flag"])
    torch.testing.assert_close(prior.encode_embeddings(words), prior.encode(["red flag"]), rtol=0, atol=1e-6)
    # Attention is causal: what the mask hides comes after every token that is not padding.
    torch.testing.assert_close(prior.encode(["red flag"])[:, :4], plain[:, :4], rtol=0, atol=1e-5)


def test_a_word_of_several_tokens_is_their_mean() -> None:
    prior = tiny_prior()
    ids = prior.pipeline.tokenizer("zx").input_ids[1:-1]
    assert len(ids) == 2
    table = prior.pipeline.text_encoder.get_input_embeddings().weight
    torch.testing.assert_close(prior.word_embeddings(["zx"])[0], table[ids].mean(dim=0))


def test_a_prompt_that_is_too_long_is_the_users_error() -> None:
    prior = tiny_prior()
    with pytest.raises(UserError, match="16"):
        prior.encode_embeddings(torch.zeros(13, 16), prefix="a red")


def test_consistency_sampler_is_repeatable_without_global_state() -> None:
    prior = tiny_prior(steps=3)
    prior.pipeline.scheduler = LCMScheduler(original_inference_steps=10)
    latents = noise(prior)
    state = torch.random.get_rng_state()
    first = prior.generate(["bee"], latents)
    assert torch.equal(prior.generate(["bee"], latents), first)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(prior.generate(["bee"], latents[1:]), first[1:], rtol=0, atol=1e-5)


def test_consistency_sampler_of_one_step_equals_the_pipeline() -> None:
    prior = tiny_prior(steps=1)
    prior.pipeline.scheduler = LCMScheduler(original_inference_steps=10)
    latents = noise(prior)
    expected = prior.pipeline(
        TEXTS, num_inference_steps=1, guidance_scale=1.0, latents=latents, output_type="pt"
    ).images
    torch.testing.assert_close(prior.generate(TEXTS, latents), expected, rtol=0, atol=1e-5)


def test_a_scheduler_that_cannot_be_repeated_is_refused() -> None:
    pipeline = tiny_pipeline()
    pipeline.scheduler = EulerAncestralDiscreteScheduler()
    with pytest.raises(UserError, match=r"diffusion\.scheduler"):
        Prior(pipeline, steps=2)


def test_loading_from_a_folder(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pipeline.scheduler = PNDMScheduler(skip_prk_steps=True)
    pipeline.save_pretrained(tmp_path / "prior")
    with pytest.raises(UserError, match=r"diffusion\.scheduler"):
        load_prior(str(tmp_path / "prior"), steps=2)
    prior = load_prior(str(tmp_path / "prior"), steps=2, scheduler="ddim")
    assert (prior.latent_shape, prior.image_size, prior.token_limit) == ((4, 8, 8), (32, 32), 16)
    assert prior.generate(["flag"], noise(prior)).shape == (2, 3, 32, 32)
    with pytest.raises(UserError, match="ddim"):
        load_prior(str(tmp_path / "prior"), steps=2, scheduler="ddpm")


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_a_part_that_lacks_a_tensor_is_refused(part: str, tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path)
    (weights,) = (tmp_path / part).glob("*.safetensors")
    tensors = load_file(weights)
    lacking = sorted(tensors)[0]
    save_file({name: value for name, value in tensors.items() if name != lacking}, weights, {"format": "pt"})
    with pytest.raises(UserError, match=lacking.split(".")[-2]):
        load_prior(str(tmp_path), steps=2, scheduler="ddim")


def test_a_folder_that_is_no_pipeline_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model_index"):
        load_prior(str(tmp_path), steps=2)
