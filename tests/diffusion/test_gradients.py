"""Each estimator gives what its paper says: the true gradient, a part of it, or one that is right on average."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, LCMScheduler
from tests.tiny import WORDS, tiny_prior
from torch import Tensor, nn

from diffexplain.diffusion import MemorySettings, Prior
from diffexplain.diffusion import memory as diffusion_memory
from diffexplain.diffusion.gradients import (
    SPSA,
    AttentionOnly,
    Checkpointed,
    Estimate,
    Exact,
    GradientEstimator,
    LastK,
    Leap,
)
from diffexplain.diffusion.memory import PeakMemory
from diffexplain.errors import UserError
from diffexplain.prompts import FreePrompt, SoftPrompt
from diffexplain.runs.draws import Draws

DRAWS = Draws(0, "test")
STEPS = 3
SCHEDULERS: dict[str, Callable[[], Any]] = {
    "euler": lambda: EulerDiscreteScheduler(timestep_spacing="trailing"),
    "flow_matching": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "lcm": lambda: LCMScheduler(original_inference_steps=20),
}


def prior_of(scheduler: str = "ddim", steps: int = STEPS, guidance: float = 1.0) -> Prior:
    prior = tiny_prior(steps=steps, guidance=guidance)
    if scheduler in SCHEDULERS:
        prior.pipeline.scheduler = SCHEDULERS[scheduler]()
    return prior


def objective(images: Tensor) -> tuple[Tensor, Tensor]:
    """Not linear, so that a step's gradient depends on where it is."""
    scores = images[:, 0].mean(dim=(1, 2)) - images[:, 2].square().mean(dim=(1, 2))
    return -scores.mean(), scores.detach()


def estimate(
    estimator: GradientEstimator, prior: Prior, count: int = 2, step: int = 0
) -> tuple[Estimate, Tensor, SoftPrompt]:
    """One step's estimate and the gradient of the prompt's parameter."""
    prompt = FreePrompt(prior, WORDS, DRAWS, tokens=2)
    latents = DRAWS.normals("noise", 0, count, prior.latent_shape)
    found = estimator.estimate(prompt, prior, latents, objective, DRAWS, step)
    found.loss.backward()
    assert prompt.offset.grad is not None
    return found, prompt.offset.grad, prompt


def cosine(one: Tensor, other: Tensor) -> float:
    return nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_exact_is_the_derivative_by_finite_differences_in_double_precision(guidance: float) -> None:
    prior = prior_of(steps=3, guidance=guidance)
    for module in (prior.pipeline.unet, prior.pipeline.vae, prior.pipeline.text_encoder):
        module.double()
    noise = DRAWS.normals("noise", 0, 2, prior.latent_shape).double()
    condition = prior.encode(["flag"]).expand(2, -1, -1).clone().requires_grad_()
    weights = torch.from_numpy(DRAWS.generator("weights").standard_normal(noise.shape))

    def measured(states: Tensor) -> Tensor:
        # Of the latents: images are cast to single precision for the classifier.
        return (Exact().sample(prior._denoiser(), states, noise, 3) * weights).sum()

    (gradient,) = torch.autograd.grad(measured(condition), condition)
    for number in range(3):
        direction = torch.from_numpy(DRAWS.generator("direction", 0, number).standard_normal(condition.shape))
        width = 1e-6
        with torch.no_grad():
            difference = measured(condition + width * direction) - measured(condition - width * direction)
        torch.testing.assert_close(difference / (2 * width), (gradient * direction).sum(), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("scheduler", ["ddim", *SCHEDULERS])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_those_that_are_exact_by_construction(scheduler: str, guidance: float) -> None:
    prior, short = prior_of(scheduler, guidance=guidance), prior_of(scheduler, steps=1, guidance=guidance)
    reference, exact, _ = estimate(Exact(), prior)
    assert exact.abs().max() > 0
    for estimator in (Checkpointed(), LastK(STEPS), LastK(STEPS + 3), Leap(STEPS), Leap(STEPS + 3)):
        found, gradient, _ = estimate(estimator, prior)
        assert torch.equal(found.images, reference.images), estimator
        assert torch.equal(found.loss, reference.loss), estimator
        assert torch.equal(gradient, exact), estimator
    assert torch.equal(estimate(AttentionOnly(), short)[1], estimate(Exact(), short)[1])


@pytest.mark.parametrize("scheduler", ["ddim", *SCHEDULERS])
def test_the_others_make_the_same_images_with_another_gradient(scheduler: str) -> None:
    prior = prior_of(scheduler)
    reference, exact, _ = estimate(Exact(), prior)
    for estimator in (LastK(1), LastK(2), Leap(1), Leap(2), AttentionOnly()):
        found, gradient, _ = estimate(estimator, prior)
        assert torch.equal(found.images, reference.images)
        similarity = cosine(gradient, exact)
        print(f"{scheduler} {type(estimator).__name__} {vars(estimator)}: cosine to exact {similarity:.3f}")
        assert not torch.equal(gradient, exact)
        assert similarity > 0


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "flow_matching"])
def test_a_leap_over_all_steps_lands_where_a_straight_way_does(scheduler: str) -> None:
    """A network that predicts the same clean image and noise everywhere makes every way the same.

    Not so for LCM, which adds fresh noise after each step.
    """
    steps = 4
    prior = prior_of(scheduler, steps)
    denoiser = prior._denoiser()
    timesteps = denoiser.timesteps(steps)
    noise, clean = DRAWS.normals("noise", 0, 2, prior.latent_shape)
    noise, clean = noise.unsqueeze(0), clean.unsqueeze(0)

    def predicted(latents: Tensor, index: int) -> Tensor:
        signal, spread = denoiser._signal_and_noise(timesteps, index)
        kind = getattr(prior.pipeline.scheduler.config, "prediction_type", "flow")
        return {"v_prediction": signal * noise - spread * clean, "epsilon": noise, "flow": noise - clean}[kind]

    signal, spread = denoiser._signal_and_noise(timesteps, 0)
    beginning = signal * clean + spread * noise
    latents = beginning
    for index in range(steps):
        denoiser.predict(prior.encode(["flag"]), latents, timesteps, index)  # Euler wants to have scaled an input.
        for to in range(index + 1, steps + 1):
            leapt = denoiser.advance(predicted(latents, index), latents, timesteps, index, noise, to)
            signal, spread = denoiser._signal_and_noise(timesteps, to)
            torch.testing.assert_close(leapt, signal * clean + spread * noise, rtol=0, atol=2e-3 * float(latents.std()))
        latents = denoiser.advance(predicted(latents, index), latents, timesteps, index, noise)


def test_memory_of_the_backward_pass_does_not_grow_with_the_steps_where_it_should_not() -> None:
    def kept(estimator: Any, steps: int) -> int:
        prior = prior_of(steps=steps)
        condition = prior.encode(["flag"]).requires_grad_()
        with PeakMemory() as watch:
            images = prior.sample(condition, DRAWS.normals("n", 0, 1, prior.latent_shape), path=estimator.sample)
            images.mean().backward()
        assert condition.grad is not None
        return watch.peak

    exact = kept(Exact(), 6)
    assert exact > 1.5 * kept(Exact(), 3)
    for estimator in (Checkpointed(), LastK(1), Leap(2)):
        few, many = kept(estimator, 3), kept(estimator, 6)
        assert many < 1.15 * few, estimator
        assert many < 0.7 * exact, estimator


class Linear(nn.Module):
    """A prompt and a prior in one: its images are its parameter, so the loss is linear in it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.3, -0.2, 0.5]]))

    def forward(self, mixed: bool = False) -> Tensor:
        return self.weight


class Passes:
    """Stands for a prior whose images are the hidden states."""

    without_gradient = tiny_prior().without_gradient

    def sample(self, condition: Tensor, latents: Tensor) -> Tensor:
        return condition.expand(len(latents), -1)


@pytest.mark.parametrize("probes", [1, 2])
def test_spsa_is_unbiased_on_a_linear_loss(probes: int) -> None:
    true = torch.tensor([[1.0, -2.0, 0.5]])
    prompt = Linear()

    def linear(images: Tensor) -> tuple[Tensor, Tensor]:
        assert not images.requires_grad
        values = (images * true).sum(dim=1)
        return values.mean(), values

    drawn = []
    for step in range(2000 // probes):
        prompt.weight.grad = None
        found = SPSA(probes, 0.1).estimate(prompt, Passes(), torch.zeros(2, 1), linear, DRAWS, step)  # type: ignore[arg-type]
        found.loss.backward()
        assert prompt.weight.grad is not None
        drawn.append(prompt.weight.grad)
        assert found.loss.item() == pytest.approx((prompt.weight * true).sum().item(), abs=1e-5)
    estimates = torch.stack(drawn)
    error = estimates.std(dim=0) / len(estimates) ** 0.5
    assert ((estimates.mean(dim=0) - true).abs() < 4 * error + 1e-6).all()
    # A single direction tells the derivative along it and nothing else.
    signs = estimates[0].sign()
    if probes == 1:
        assert (estimates[0] * signs).unique().numel() == 1


def test_spsa_comes_near_the_true_gradient_of_a_real_prompt_without_any_backward_pass() -> None:
    prior = prior_of(steps=1)
    with torch.no_grad():
        prior.pipeline.vae.decoder.conv_out.weight.mul_(0.1)
    reference, exact, _ = estimate(Exact(), prior, count=1)
    # The clamp to [0, 1], whose slope is taken for 1, would make a difference.
    assert 0 < reference.images.min() < reference.images.max() < 1
    prior.pipeline.unet.register_forward_hook(lambda _module, _inputs, output: _refuse_gradient(output))
    found, gradient, _ = estimate(SPSA(probes=60, width=0.02), prior, count=1)
    similarity = cosine(gradient, exact)
    print(f"spsa, 60 probes of {gradient.numel()} numbers: cosine to exact {similarity:.3f}")
    assert similarity > 0.6
    assert found.scores.shape == (1,)
    first, again, other = (estimate(SPSA(), prior, count=1, step=step)[1] for step in (0, 0, 1))
    assert torch.equal(again, first)
    assert not torch.equal(other, first)


def _refuse_gradient(output: Any) -> None:
    assert not output[0].requires_grad


@pytest.mark.parametrize("estimator", [Exact(), LastK(1), Leap(2), AttentionOnly(), Checkpointed()])
def test_micro_batches_add_up_to_the_whole(estimator: GradientEstimator) -> None:
    whole, gradient, _ = estimate(estimator, prior_of(), count=5)
    prior = prior_of()
    prior.with_gradient.size = 2
    parted, accumulated, _ = estimate(estimator, prior, count=5)
    torch.testing.assert_close(accumulated, gradient, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(parted.loss, whole.loss)
    torch.testing.assert_close(parted.scores, whole.scores)
    torch.testing.assert_close(parted.images, whole.images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("estimator", [Exact(), LastK(1), Leap(2), AttentionOnly(), Checkpointed()])
def test_a_gradient_in_parts_side_by_side_has_the_bits_of_one_after_the_other(
    estimator: GradientEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, threads = [], []
    for cores in (1, 3):
        monkeypatch.setattr(diffusion_memory, "usable_cores", lambda cores=cores: cores)
        prior = prior_of()
        prior.arrange(MemorySettings(micro_batch=2))
        seen: set[int] = set()
        prior.network.register_forward_pre_hook(lambda *_, seen=seen: seen.add(threading.get_ident()))
        estimated, gradient, _ = estimate(estimator, prior, count=5)
        found.append((gradient, *estimated))
        threads.append(len(seen))
    assert threads[0] == 1 < threads[1]
    assert all(torch.equal(alone, together) for alone, together in zip(*found, strict=True))


@pytest.mark.parametrize("wrong", [lambda: LastK(0), lambda: Leap(0), lambda: SPSA(0), lambda: SPSA(1, 0.0)])
def test_what_cannot_be_is_the_users_error(wrong: Callable[[], object]) -> None:
    with pytest.raises(UserError, match="gradient"):
        wrong()
