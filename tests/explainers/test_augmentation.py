"""Cut-outs: what they show, which score they leave alone, and that every process and every resumption sees the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from tests.explainers.support import BEE, QUIET, artefacts, explain, explainer, run_in
from tests.tiny import WORDS, TinyClassifier, tiny_images, tiny_prior
from torch import Tensor

from diffexplain.diffusion import MemorySettings
from diffexplain.diffusion.gradients import SPSA
from diffexplain.errors import UserError
from diffexplain.explainers import Cutouts
from diffexplain.explainers.objective import Outcome
from diffexplain.runs.draws import Draws

DRAWS = Draws(0, "class:bee")
SIDE = 32
FEW = Cutouts(views=3, noise=0.01)


class Recorded:
    """An objective that keeps what it is shown; its score is an image's mean."""

    def __call__(self, images: Tensor) -> Outcome:
        self.images = images
        scores = images.mean(dim=(1, 2, 3))
        return Outcome(scores.mean(), scores.detach())


def shown(augmentation: Cutouts, images: Tensor, step: int = 0) -> tuple[Tensor, Outcome]:
    """What the classifier is shown, (V, B, 3, H, W), and what comes of it."""
    objective = Recorded()
    outcome = augmentation.through(objective, DRAWS, step)(images)
    return objective.images.unflatten(0, (augmentation.views, len(images))), outcome


def ramps() -> Tensor:
    """Red grows from left to right, green from top to bottom: a pixel's colour is its place in 0 to 1, (1, 3, H, W)."""
    places = (torch.arange(SIDE) + 0.5) / SIDE
    red, green = places.expand(SIDE, SIDE), places[:, None].expand(SIDE, SIDE)
    return torch.stack([red, green, torch.zeros(SIDE, SIDE)])[None]


def test_the_image_itself_is_a_view_and_its_score_the_recorded_one() -> None:
    images = tiny_images(2, SIDE)
    views, outcome = shown(Cutouts(views=5), images)
    assert torch.equal(views[0], images)
    assert torch.equal(outcome.scores, images.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(outcome.loss, views.mean())
    alone, outcome = shown(Cutouts(views=1), images)
    assert torch.equal(alone[0], images)
    assert torch.equal(outcome.loss, images.mean(dim=(1, 2, 3)).mean())


def test_a_part_is_a_square_window_inside_the_image_enlarged_and_perhaps_mirrored() -> None:
    views, _ = shown(Cutouts(views=40, smallest=0.5, jitter=0, noise=0), ramps())
    sides, mirrored = [], []
    for part in views[1:, 0]:
        red, green = part[0, SIDE // 2], part[1, :, SIDE // 2]
        step = red.diff()[2:-2].mean() * SIDE
        sides.append(abs(step.item()))
        mirrored.append(step.item() < 0)
        torch.testing.assert_close(green.diff()[2:-2].mean() * SIDE, step.abs(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(red.diff()[2:-2], (step / SIDE).expand(SIDE - 5), rtol=1e-2, atol=1e-4)
        # Nothing from beyond the rim: the outermost pixels are half a pixel inside the window.
        assert part[:2].min() >= 0.5 / SIDE - 1e-4
        assert part[:2].max() <= 1 - 0.5 / SIDE + 1e-4
    assert 0.5 <= min(sides) < 0.6 < 0.9 < max(sides) <= 1
    assert 10 < sum(mirrored) < 29
    centres = views[1:, 0, :2].mean(dim=(2, 3))
    assert (centres.amax(0) - centres.amin(0) > 0.25).all()


def test_the_whole_image_unmoved_is_itself_or_its_mirror_image() -> None:
    images = tiny_images(2, SIDE)
    views, _ = shown(Cutouts(views=12, smallest=1, jitter=0, noise=0), images)
    itself = [torch.allclose(view, images, atol=1e-5) for view in views]
    mirror = [torch.allclose(view, images.flip(3), atol=1e-5) for view in views]
    assert all(a != b for a, b in zip(itself, mirror, strict=True))
    assert any(itself[1:])
    assert any(mirror)


def test_beyond_the_rim_the_image_is_mirrored_and_noise_leaves_the_range_alone() -> None:
    views, _ = shown(Cutouts(views=20, smallest=1, jitter=0.2, noise=0), ramps())
    moved = views[1:, 0, 1, :, 0]
    assert max(abs(column.mean().item() - 0.5) for column in moved) > 0.05
    noisy, _ = shown(Cutouts(views=9, smallest=1, jitter=0, noise=0.3), torch.full((1, 3, SIDE, SIDE), 0.9))
    assert noisy.min() >= 0
    assert noisy[1:].max() == 1
    gray, _ = shown(Cutouts(views=9, smallest=1, jitter=0, noise=0.05), torch.full((1, 3, SIDE, SIDE), 0.5))
    assert gray[1:].std().item() == pytest.approx(0.05, rel=0.03)


def test_windows_change_with_the_step_and_are_the_same_for_all_images_of_it() -> None:
    images = tiny_images(3, SIDE)
    first, _ = shown(FEW, images)
    assert torch.equal(first, shown(FEW, images)[0])
    assert not torch.allclose(first[1:], shown(FEW, images, step=1)[0][1:], atol=0.01)
    torch.testing.assert_close(shown(FEW, images[1:])[0], first[:, 1:])


def test_a_pattern_that_means_something_at_one_place_alone_loses_its_pull() -> None:
    pattern = torch.ones(SIDE, SIDE)
    pattern[::2, ::2] = pattern[1::2, 1::2] = -1
    images = tiny_images(2, SIDE)

    def pull(augmentation: Cutouts, direction: Tensor) -> float:
        leaf = images.clone().requires_grad_()
        objective = augmentation.through(lambda seen: Outcome((seen * direction).mean(), seen[:, 0, 0, 0]), DRAWS, 0)
        objective(leaf).loss.backward()
        assert leaf.grad is not None
        return float((leaf.grad * direction).sum() / direction.square().sum())

    plain = Cutouts(views=1)
    assert pull(Cutouts(), pattern) < 0.15 * pull(plain, pattern)
    everywhere = torch.ones(SIDE, SIDE)
    assert pull(Cutouts(), everywhere) == pytest.approx(pull(plain, everywhere), rel=0.02)


def test_micro_batches_and_gradient_free_probes_see_the_same(tmp_path: Path) -> None:
    def found(name: str, micro_batch: int | None, gradient: SPSA | None = None) -> list[float]:
        explanation = explainer(steps=2).explain(
            BEE,
            TinyClassifier(),
            tiny_prior(steps=1),
            run_in(tmp_path / name),
            vocabulary=WORDS,
            augmentation=FEW,
            gradient=gradient,
            memory=MemorySettings(micro_batch=micro_batch),
            trainer=QUIET,
        )
        return [row["loss"] for row in explanation.curve]

    assert found("parted", 1) == pytest.approx(found("whole", None), rel=1e-4)
    assert found("probed", None, SPSA(probes=1)) == pytest.approx(found("again", None, SPSA(probes=1)), rel=0)


class Killed(TinyClassifier):
    """Ends this process in the forward pass of one step."""

    remaining = 3

    def forward(self, images: Tensor) -> Tensor:
        if self.remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.remaining -= 1
        return super().forward(images)


def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    explain(tmp_path / "whole", augmentation=FEW)
    child = os.fork()
    if child == 0:
        try:
            explain(tmp_path / "killed", classifier=Killed(), augmentation=FEW)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    explain(tmp_path / "killed", augmentation=FEW)
    assert artefacts(tmp_path / "killed") == artefacts(tmp_path / "whole")
    explain(tmp_path / "plain")
    assert artefacts(tmp_path / "plain")["metrics.jsonl"] != artefacts(tmp_path / "whole")["metrics.jsonl"]


def test_the_score_of_a_run_is_that_of_the_images_themselves(tmp_path: Path) -> None:
    plain = explain(tmp_path / "plain", explainer(steps=1, window=1))
    cut = explain(tmp_path / "cut", explainer(steps=1, window=1), augmentation=FEW)
    assert cut.curve[0]["score"] == pytest.approx(plain.curve[0]["score"], rel=1e-5)
    assert cut.curve[0]["loss"] != pytest.approx(plain.curve[0]["loss"], rel=1e-3)


@pytest.mark.parametrize(
    "settings", [{"views": 0}, {"smallest": 0.0}, {"smallest": 1.1}, {"jitter": 0.6}, {"noise": -0.1}]
)
def test_what_cannot_be_is_said(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.{next(iter(settings))}="):
        Cutouts(**settings)
