"""The optimisation moves the prompt, keeps the best, and touches nothing else."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.explainers.support import GREEN, explain, explainer
from tests.tiny import WORDS, TinyClassifier, tiny_prior
from torch import Tensor

from diffexplain.diffusion.gradients import SPSA, Checkpointed, GradientEstimator
from diffexplain.errors import UserError
from diffexplain.explainers import Diverged, TrainerSettings
from diffexplain.explainers.callbacks import SmoothedBest
from diffexplain.explainers.diffexplainer import PromptOptimisation
from diffexplain.prompts import ConstrainedPrompt, FreePrompt, SoftPrompt
from diffexplain.runs.draws import Draws


def test_the_record_of_a_run(tmp_path: Path) -> None:
    classifier = TinyClassifier()
    found = explain(tmp_path, classifier=classifier)
    assert [row["step"] for row in found.curve] == list(range(6))
    assert found.images == ("images/step-00000.png", "images/step-00003.png", "images/step-00005.png")
    with Image.open(tmp_path / found.images[0]) as picture:
        assert picture.size == (32 + 2 + 32, 32)
    first = found.curve[0]
    assert set(first) == {"step", "loss", "score", "smoothed", "gradient_norm", "words", "image"}
    assert len(first["words"]) == 2
    assert found.curve == tuple(map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()))
    assert found.embeddings.shape == (2, 16)
    assert found.condition.shape == (1, 16, 16)
    assert len(found.words) == 2
    assert not found.stopped_early
    assert not found.condition.requires_grad


@pytest.mark.parametrize("gradient", [None, SPSA(probes=2)])
@pytest.mark.parametrize("strategy", [FreePrompt, ConstrainedPrompt])
def test_the_score_is_that_of_the_images_generated_and_the_best_prompt_is_reproduced(
    strategy: type[SoftPrompt], gradient: GradientEstimator | None, tmp_path: Path
) -> None:
    method = explainer(strategy, window=1, fresh_latents=False)
    prior = tiny_prior(steps=2)
    found = explain(tmp_path, method, prior=prior, gradient=gradient)
    best = max(found.curve, key=lambda row: row["score"])
    assert (found.best_step, found.best_score) == (best["step"], best["score"])
    latents = Draws(0, "class:bee").normals("optimise", 0, 2, prior.latent_shape)
    score = TinyClassifier()(prior.generate(found.condition, latents)).softmax(dim=1)[:, 1].mean()
    assert score.item() == pytest.approx(best["score"], abs=1e-5)
    assert [token[0].text for token in found.words] == best["words"]
    assert best["score"] > found.curve[0]["score"]
    if strategy is FreePrompt and gradient is None:  # Words are tried, and a probed gradient is noisy.
        assert found.curve[-1]["score"] > found.curve[0]["score"]


def test_the_best_is_chosen_by_the_mean_over_the_window(tmp_path: Path) -> None:
    found = explain(tmp_path, explainer(FreePrompt, window=3))
    scores = [row["score"] for row in found.curve]
    means = {step: np.mean(scores[step - 2 : step + 1]) for step in range(2, 6)}
    assert found.best_step == max(means, key=lambda step: means[step])
    assert found.best_score == pytest.approx(means[found.best_step])


def told(scores: list[float], words: list[str]) -> SmoothedBest:
    """What is chosen of steps with these scores, whose prompts say these words."""
    best = SmoothedBest(window=3, stop_at=None)
    for step, (score, word) in enumerate(zip(scores, words, strict=True)):
        prompt = SimpleNamespace(said=lambda word=word: (WORDS.index(word),))
        state = {"step": torch.tensor(step)}
        module: Any = SimpleNamespace(prompt=prompt, state_dict=lambda state=state: state)
        trainer: Any = SimpleNamespace(global_step=step + 1)
        best.on_train_batch_start(trainer, module, None, step)
        best.on_train_batch_end(trainer, module, {"score": score}, None, step)
    return best


def test_good_words_that_are_soon_gone_are_kept_and_a_lucky_batch_is_not() -> None:
    soon_gone = told([0.9, 0.95, 0.3, 0.4, 0.35, 0.3], ["flag", "flag", *["dog"] * 4])
    assert (soon_gone.best_step, soon_gone.best_score) == (1, pytest.approx(0.925))
    assert int(soon_gone.best_prompt["step"]) == 1
    lucky = told([0.95, 0.7, 0.8, 0.75, 0.2], ["flag", "dog", "dog", "dog", "bee"])
    assert (lucky.best_step, lucky.best_score) == (3, pytest.approx(0.75))
    after = told([0.3, 0.95, 0.2, 0.5, 0.4, 0.6], ["dog", "flag", "bee", "bee", "bee", "bee"])
    assert after.best_step == 5


def test_the_single_best_of_an_earlier_versions_checkpoint_is_kept() -> None:
    best = SmoothedBest(window=3, stop_at=None)
    best.load_state_dict({
        "recent": [0.4, 0.5, 0.6], "seen": 9, "best_step": 4, "best_score": 0.7,
        "best_prompt": {"step": torch.tensor(4)}, "stopped_early": False,
    })  # fmt: skip
    assert (best.best_step, best.best_score, int(best.best_prompt["step"])) == (4, 0.7, 4)


def test_a_window_holds_steps_of_the_same_words_alone(tmp_path: Path) -> None:
    found = explain(tmp_path, explainer(window=3, steps=24))
    windows: list[list[dict[str, Any]]] = []
    for row in found.curve:
        same = windows and windows[-1][-1]["words"] == row["words"]
        windows.append([*windows[-1], row][-3:] if same else [row])
    means = [np.mean([row["score"] for row in window]) for window in windows]
    assert [row["smoothed"] for row in found.curve] == pytest.approx(means)
    assert len({tuple(row["words"]) for row in found.curve}) > 1
    lowest = min(row["score"] for row in found.curve)
    counts = [len(window) for window in windows]
    padded = [count * mean + (3 - count) * lowest for count, mean in zip(counts, means, strict=True)]
    best = max(range(24), key=lambda step: (padded[step], counts[step]))
    assert (found.best_step, found.best_score) == (best, pytest.approx(means[best]))
    assert [token[0].text for token in found.words] == found.curve[best]["words"]


def test_latents_are_fresh_each_step_or_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    latents = PromptOptimisation.latents

    def spy(module: PromptOptimisation, attempt: int) -> Tensor:
        seen.append(latents(module, attempt))
        return seen[-1]

    monkeypatch.setattr(PromptOptimisation, "latents", spy)
    explain(tmp_path / "fresh", explainer(steps=2))
    explain(tmp_path / "fixed", explainer(steps=2, fresh_latents=False))
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert torch.equal(seen[2], seen[0])


def test_a_unit_and_a_free_prompt(tmp_path: Path) -> None:
    found = explain(tmp_path, explainer(FreePrompt, stop_at=0.0), target=GREEN, prior=tiny_prior(steps=2))
    assert all(row["loss"] == pytest.approx(-row["score"]) for row in found.curve)
    assert len(found.curve) == 6  # An activation has no threshold to stop at.
    assert found.curve[-1]["score"] > found.curve[0]["score"]


def test_early_stop(tmp_path: Path) -> None:
    found = explain(tmp_path, explainer(FreePrompt, steps=30, stop_at=0.01, window=3))
    assert found.stopped_early
    assert found.steps == len(found.curve) == 3
    assert found.images[-1] == "images/step-00002.png"
    assert explain(tmp_path, explainer(FreePrompt, steps=30, stop_at=0.01, window=3)).steps == 3


def test_the_same_gradient_with_the_memory_of_one_step(tmp_path: Path) -> None:
    plain = explain(tmp_path / "plain")
    saving = explain(tmp_path / "saving", gradient=Checkpointed())
    assert torch.equal(plain.embeddings, saving.embeddings)


def test_the_module_owns_the_prompt_alone(tmp_path: Path) -> None:
    explain(tmp_path)
    content = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    assert len(content) < 40_000
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert list(state["state_dict"]) == ["prompt.logits"]


class FailsAt(TinyClassifier):
    """Logits, or only their gradients, that are not numbers from the given forward pass on."""

    def __init__(self, call: int, *, gradient: bool = False) -> None:
        super().__init__()
        self.calls = 0
        self.call = call
        self.gradient = gradient

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits = super().forward(images)
        if self.calls <= self.call:
            return logits
        if self.gradient:
            logits.register_hook(lambda gradient: gradient * float("nan"))
            return logits
        return logits * float("nan")


@pytest.mark.parametrize(("gradient", "cause"), [(False, "loss"), (True, "gradient")])
def test_what_is_not_finite_stops_the_run_and_keeps_what_was_good(gradient: bool, cause: str, tmp_path: Path) -> None:
    # Without the penalty, which depends on the share of the run that is done.
    prompt = partial(ConstrainedPrompt, entropy_weight=0.0)
    with pytest.raises(Diverged, match=f"step 3: the {cause}") as caught:
        explain(tmp_path / "failed", explainer(prompt), classifier=FailsAt(3, gradient=gradient))
    kept = caught.value.explanation
    assert caught.value.step == 3
    assert kept is not None
    assert kept.steps == 3
    reference = explain(tmp_path / "reference", explainer(prompt, steps=3))
    assert torch.equal(kept.embeddings, reference.embeddings)
    assert (tmp_path / "failed" / "prompt.safetensors").is_file()
    # The same command fails alike, and still keeps it.
    with pytest.raises(Diverged, match=f"step 3: the {cause}"):
        explain(tmp_path / "failed", explainer(prompt), classifier=FailsAt(1, gradient=gradient))


def test_failing_at_once_leaves_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(Diverged) as caught:
        explain(tmp_path, classifier=FailsAt(0))
    assert caught.value.explanation is None


@pytest.mark.parametrize("progress", ["lines", "bar"])
def test_progress_is_shown(
    progress: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffexplain.progress.EVERY", 0.0)
    explain(tmp_path, trainer=TrainerSettings(accelerator="cpu", progress=progress))
    output = "".join(capfd.readouterr())
    assert "optimise" in output
    assert ("6/6" if progress == "bar" else "5 of 6") in output
    assert "GPU available" not in output


def test_a_batch_that_cannot_be_shared_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="evenly"):
        explain(tmp_path, explainer(batch=3), trainer=TrainerSettings(accelerator="cpu", devices=2))


class FailsBetween(FailsAt):
    """Answers again after so many failures."""

    def __init__(self, call: int, times: int, *, gradient: bool = False) -> None:
        super().__init__(call, gradient=gradient)
        self.until = call + times

    def forward(self, images: Tensor) -> Tensor:
        if self.calls < self.until:
            return super().forward(images)
        return TinyClassifier.forward(self, images)


@pytest.mark.parametrize("gradient", [False, True])
def test_a_step_that_is_not_finite_is_made_anew_and_is_never_the_best(gradient: bool, tmp_path: Path) -> None:
    found = explain(tmp_path / "failing", classifier=FailsBetween(3, 2, gradient=gradient))
    rows = [json.loads(line) for line in (tmp_path / "failing" / "metrics.jsonl").read_text().splitlines()]
    assert [len(row.get("made_anew", ())) for row in rows] == [0, 0, 0, 2, 0, 0]
    assert found.steps == 6
    reference = explain(tmp_path / "reference")
    assert found.curve[:3] == reference.curve[:3]
    assert found.curve[3]["score"] != reference.curve[3]["score"], "another attempt has other noise"
    assert all(torch.isfinite(value) for value in found.embeddings.flatten())
    state = torch.load(tmp_path / "failing" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5 / 4
