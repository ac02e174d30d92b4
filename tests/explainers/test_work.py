"""A step does what it needs and no more, in as large pieces as the memory allows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import torch
from tests.explainers.support import BEE, QUIET, explainer, run_in
from tests.tiny import WORDS, TinyClassifier, tiny_prior
from torch import Tensor

from diffexplain.diffusion import MemorySettings, Prior
from diffexplain.diffusion.gradients import SPSA, AttentionOnly, Checkpointed, Exact, GradientEstimator, LastK, Leap
from diffexplain.errors import RetryableError
from diffexplain.explainers import Explanation

STEPS, SAMPLER_STEPS, BATCH = 3, 4, 2


def explain(directory: Path, prior: Prior, gradient: GradientEstimator, **options: Any) -> Explanation:
    memory = options.pop("memory", None)
    return explainer(steps=STEPS, batch=BATCH, window=1, **options).explain(
        BEE,
        TinyClassifier(),
        prior,
        run_in(directory),
        vocabulary=WORDS,
        gradient=gradient,
        memory=memory,
        trainer=QUIET,
    )


def work_of_a_step(
    directory: Path, gradient: GradientEstimator, monkeypatch: pytest.MonkeyPatch, guidance: float = 1.0, **options: Any
) -> dict[str, float]:
    """Calls, and images passed, of each network in one optimisation step: the mean over all steps."""
    prior = tiny_prior(steps=SAMPLER_STEPS, guidance=guidance)
    counts: Counter[str] = Counter()
    lock = Lock()  # A CPU's batches are made side by side.

    def count(name: str, images: int) -> None:
        with lock:
            counts[f"{name} calls"] += 1
            counts[f"{name} images"] += images

    pipeline = prior.pipeline
    pipeline.unet.register_forward_pre_hook(lambda _module, inputs: count("denoiser", len(inputs[0])))
    pipeline.vae.decoder.register_forward_pre_hook(lambda _module, inputs: count("decoder", len(inputs[0])))
    # Only what carries a gradient: the vocabulary and the explanation's own text are encoded once a run.
    pipeline.text_encoder.register_forward_hook(
        lambda _module, _inputs, output: count("text", len(output[0])) if output[0].requires_grad else None
    )
    forward = TinyClassifier.forward

    def counted(classifier: TinyClassifier, images: Tensor) -> Tensor:
        count("classifier", len(images))
        return forward(classifier, images)

    monkeypatch.setattr(TinyClassifier, "forward", counted)
    explain(directory, prior, gradient, image_every=1, **options)
    return {name: value / STEPS for name, value in counts.items()}


EXACT = {
    "text calls": 1, "text images": 1,
    "denoiser calls": SAMPLER_STEPS, "denoiser images": SAMPLER_STEPS * BATCH,
    "decoder calls": 1, "decoder images": BATCH,
    "classifier calls": 1, "classifier images": BATCH,
}  # fmt: skip


@pytest.mark.parametrize(
    ("gradient", "more"),
    [
        (Exact(), {}),
        (LastK(1), {}),
        (AttentionOnly(), {}),
        # One more forward pass of each step.
        (Checkpointed(), {"denoiser calls": 2 * SAMPLER_STEPS, "denoiser images": 2 * SAMPLER_STEPS * BATCH}),
        # One more forward pass of each leap.
        (Leap(2), {"denoiser calls": SAMPLER_STEPS + 2, "denoiser images": (SAMPLER_STEPS + 2) * BATCH}),
    ],
)
def test_a_step_with_pictures_does_no_work_twice(
    gradient: GradientEstimator, more: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work_of_a_step(tmp_path, gradient, monkeypatch) == EXACT | more


def test_guidance_alone_pays_for_the_unconditional_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_of_a_step(tmp_path, Exact(), monkeypatch, guidance=2.0)
    assert work == EXACT | {"denoiser images": 2 * SAMPLER_STEPS * BATCH}


def test_spsa_makes_forward_passes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_of_a_step(tmp_path, SPSA(probes=2), monkeypatch)
    without_text = {name: 5 * value for name, value in EXACT.items() if not name.startswith("text")}
    assert work == without_text


def test_the_text_is_encoded_once_for_all_micro_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_of_a_step(tmp_path, Exact(), monkeypatch, memory=MemorySettings(micro_batch=1))
    calls = {name: BATCH * EXACT[name] for name in ("denoiser calls", "decoder calls", "classifier calls")}
    assert work == EXACT | calls


def test_too_little_memory_halves_the_micro_batch_and_the_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = explain(tmp_path / "whole", tiny_prior(steps=1), Exact())
    assert not (tmp_path / "whole" / "timings.json").exists()
    forward = TinyClassifier.forward

    def small(classifier: TinyClassifier, images: Tensor) -> Tensor:
        if len(images) > 1:
            raise torch.OutOfMemoryError("injected")
        return forward(classifier, images)

    monkeypatch.setattr(TinyClassifier, "forward", small)
    parted = explain(tmp_path / "parted", tiny_prior(steps=1), Exact())
    assert "1 from here on (memory.micro_batch=1 says so" in capsys.readouterr().err
    assert json.loads((tmp_path / "parted" / "timings.json").read_text()) == {"micro_batches_halved_from": [2]}
    torch.testing.assert_close(parted.embeddings, whole.embeddings, rtol=1e-3, atol=1e-5)
    assert [row["loss"] for row in parted.curve] == pytest.approx([row["loss"] for row in whole.curve], rel=1e-4)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("injected"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_not_even_one_image_fits(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(classifier: TinyClassifier, images: Tensor) -> Tensor:
        raise error

    monkeypatch.setattr(TinyClassifier, "forward", never)
    with pytest.raises(RetryableError, match="low_vram"):
        explain(tmp_path, tiny_prior(steps=1), Exact())
