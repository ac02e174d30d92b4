"""Whatever is done to save memory gives the same images and gradients, and a lack of it is dealt with."""

from __future__ import annotations

import threading

import pytest
import torch
from tests.tiny import tiny_prior
from torch import Tensor

from diffexplain.diffusion import MemorySettings, Prior
from diffexplain.diffusion import memory as diffusion_memory
from diffexplain.diffusion.memory import PeakMemory, SideBySide
from diffexplain.diffusion.prior import SCHEDULERS
from diffexplain.errors import UserError
from diffexplain.memory import MicroBatches
from diffexplain.runs.draws import Draws


def images_and_gradient(prior: Prior) -> tuple[Tensor, Tensor]:
    latents = Draws(0, "test").normals("noise", 0, 2, prior.latent_shape)
    condition = prior.encode(["flag"]).requires_grad_()
    images = prior.sample(condition, latents)
    (gradient,) = torch.autograd.grad(images[:, 0].mean(), condition)
    return images.detach(), gradient


@pytest.mark.parametrize(
    "settings",
    [MemorySettings(checkpoint_blocks=True), MemorySettings(channels_last=True), MemorySettings(micro_batch=1)],
    ids=["checkpoint_blocks", "channels_last", "micro_batch"],
)
def test_what_is_kept_changes_no_image_and_no_gradient_and_is_taken_back(settings: MemorySettings) -> None:
    expected_images, expected_gradient = images_and_gradient(tiny_prior())
    prior = tiny_prior().arrange(settings)
    images, gradient = images_and_gradient(prior)
    torch.testing.assert_close(images, expected_images, rtol=0, atol=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-7)
    again, _ = images_and_gradient(prior.arrange(MemorySettings()))
    assert torch.equal(again, expected_images)


def test_blocks_that_are_computed_again_keep_less() -> None:
    def kept(prior: Prior) -> int:
        with PeakMemory() as watch:
            images_and_gradient(prior)
        return watch.peak

    assert kept(tiny_prior().arrange(MemorySettings(checkpoint_blocks=True))) < 0.8 * kept(tiny_prior())


def test_compiling_reaches_the_denoiser_and_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **_: compiled.append(type(module).__name__))
    prior = tiny_prior().arrange(MemorySettings(compile=True))
    assert compiled == ["UNet2DConditionModel", "Decoder"]
    prior.arrange(MemorySettings(compile=True))
    assert len(compiled) == 2


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "lcm", "flow_matching"])
def test_micro_batches_side_by_side_give_what_they_give_one_after_the_other(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = tiny_prior()
    prior.pipeline.scheduler = SCHEDULERS[scheduler]()
    latents = Draws(0, "test").normals("noise", 0, 7, prior.latent_shape)
    texts = ["flag", "bee", "flag", "teapot", "bee", "flag", "teapot"]
    prior.without_gradient.size = 2
    threads = []
    for cores in (1, 3):
        monkeypatch.setattr(diffusion_memory, "usable_cores", lambda cores=cores: cores)
        seen: set[int] = set()
        handle = prior.network.register_forward_pre_hook(lambda *_, seen=seen: seen.add(threading.get_ident()))
        images = prior.generate(texts, latents)
        handle.remove()
        threads.append((len(seen), images))
        assert not images.requires_grad
    (alone, expected), (several, found) = threads
    assert alone == 1
    assert several > 1
    assert torch.equal(expected, found)


def test_large_images_and_watched_work_stay_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion_memory, "usable_cores", lambda: 8)

    def threads(pixels: int, on_cpu: bool = True) -> int:
        parts = SideBySide(4, "diffusion.micro_batch", lambda: on_cpu, pixels)
        here = threading.get_ident()
        return sum(thread != here for thread in parts.run(12, lambda part: threading.get_ident()))

    assert threads(64 * 64) == 3
    assert threads(512 * 512) == 0
    assert threads(64 * 64, on_cpu=False) == 0
    with PeakMemory():
        assert threads(64 * 64) == 0


def test_too_little_memory_side_by_side_is_halved_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion_memory, "usable_cores", lambda: 4)
    parts = SideBySide(4, "diffusion.micro_batch", lambda: True, 64 * 64)

    def up_to_two(part: slice) -> int:
        if part.stop - part.start > 2:
            raise MemoryError
        return part.start

    assert parts.run(10, up_to_two) == [0, 2, 4, 6, 8]
    assert parts.halvings == [4]


def test_half_precision_comes_close() -> None:
    expected, exact = images_and_gradient(tiny_prior())
    prior = tiny_prior()
    for module in prior._modules():
        module.to(torch.bfloat16)
    images, gradient = images_and_gradient(prior)
    assert (images.dtype, gradient.dtype) == (torch.float32, torch.bfloat16)
    assert (images - expected).abs().mean() < 0.02
    assert torch.nn.functional.cosine_similarity(gradient.float().flatten(), exact.flatten(), dim=0) > 0.9


def test_images_are_passed_by_as_many_as_fit(capsys: pytest.CaptureFixture[str]) -> None:
    batches = MicroBatches(16, "memory.micro_batch")
    tried: list[int] = []

    def work(part: slice) -> list[int]:
        images = list(range(10))[part]
        tried.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("too many")
        return images

    assert batches.run(10, work) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert tried == [10, 5, 2, 2, 2, 2, 2]
    assert (batches.size, batches.halvings) == (2, [10, 5])
    said = capsys.readouterr().err
    assert "10 images" in said
    assert "memory.micro_batch=2" in said
    assert batches.run(3, work) == [[0, 1], [2]]
    assert batches.run(0, work) == []


def test_one_image_that_does_not_fit_is_too_much() -> None:
    def work(part: slice) -> None:
        raise torch.OutOfMemoryError("too many")

    batches = MicroBatches(None, "memory.micro_batch")
    with pytest.raises(torch.OutOfMemoryError):
        batches.run(2, work)
    assert batches.halvings == [2]


def test_generating_goes_on_with_fewer_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = tiny_prior(micro_batch=4)
    latents = Draws(0, "test").normals("noise", 0, 4, prior.latent_shape)
    expected = prior.generate(["bee"], latents)
    decode = prior.pipeline.vae.decode

    def small(latents: Tensor, **options: object) -> object:
        if len(latents) > 2:
            raise torch.OutOfMemoryError("too many")
        return decode(latents, **options)

    monkeypatch.setattr(prior.pipeline.vae, "decode", small)
    torch.testing.assert_close(prior.generate(["bee"], latents), expected, rtol=0, atol=1e-5)
    assert prior.without_gradient.size == 2


def test_no_image_at_a_time_is_the_users_error() -> None:
    with pytest.raises(UserError, match=r"memory\.micro_batch"):
        MemorySettings(micro_batch=0)


def test_peak_memory_is_that_of_what_is_alive_together() -> None:
    kept = torch.zeros(100)
    with PeakMemory() as watch:
        for _ in range(3):
            other = torch.ones(1000)
            other += kept.sum()
            view = other[:500]
            del other, view
        torch.zeros(200).add_(1.0)
    assert watch.peak == 4 * 1001


def test_a_decoder_that_overflows_in_float16_decodes_in_float32() -> None:
    prior = tiny_prior()
    expected = prior.pipeline.vae
    with torch.no_grad():
        expected.decoder.conv_in.weight *= 1e5
        expected.decoder.conv_in.weight.clamp_(-6e4, 6e4)
    latents = torch.ones(2, *prior.latent_shape)
    known = prior.decode(latents, final=True)
    for module in prior._modules():
        module.to(torch.float16)
    images = prior.decode(latents.requires_grad_(), final=True)
    assert images.isfinite().all()
    torch.testing.assert_close(images, known, atol=0.05, rtol=0)
    (gradient,) = torch.autograd.grad(images.sum(), latents)
    assert gradient.isfinite().all()
    assert prior.dtype == expected.decoder.conv_in.weight.dtype == torch.float16
