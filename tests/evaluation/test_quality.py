"""Quality and diversity of images, against values known by hand and against torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation import toy
from tests.evaluation.toy import SETTINGS, answers_to_flag, run
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.multimodal.clip_iqa import _clip_iqa_compute

from diffexplain.evaluation.quality import diversity, kernel_distance, preferences
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.segmentation import Segmenter


class Clip:
    """Mean colours as features; a good photo is red. ``strange``: a word that it does not know."""

    def __init__(self, strange: str = "") -> None:
        self.strange = strange
        self.asked: list[str] = []

    def image_features(self, images: Tensor) -> Tensor:
        return functional.normalize(images.mean(dim=(-2, -1)), dim=-1)

    def text_features(self, phrases: Sequence[str]) -> Tensor:
        self.asked += phrases
        return torch.tensor([[1.0, 0.0, 0.0] if "Good" in phrase else [0.0, 1.0, 0.0] for phrase in phrases])

    def knows(self, word: str) -> bool:
        return word != self.strange


def unit(*rows: Sequence[float]) -> Tensor:
    return functional.normalize(torch.tensor(rows, dtype=torch.float64), dim=-1)


def test_preference_is_what_torchmetrics_computes() -> None:
    generator = torch.Generator().manual_seed(0)
    features = functional.normalize(torch.randn(7, 5, generator=generator, dtype=torch.float64), dim=-1)
    pair = functional.normalize(torch.randn(2, 5, generator=generator, dtype=torch.float64), dim=-1)
    assert np.allclose(preferences(features, pair), _clip_iqa_compute(features, pair, ["quality"]).numpy())


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    # Three equal images, and one at a right angle to them: of six pairs three are 0 and three are 1 apart.
    found = diversity(unit([1, 0], [1, 0], [1, 0], [0, 1]))
    assert found.value == pytest.approx(0.5)
    assert found.low < found.value < found.high
    alike = diversity(unit([1, 1], [1, 1], [1, 1]))
    assert (alike.value, alike.low, alike.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_the_interval_of_diversity_is_right_over_many_samples() -> None:
    # On a circle, all directions alike: two independent ones have a mean cosine of 0.
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        angles = generator.uniform(0, 2 * np.pi, 20) * 0.8  # not the whole circle, so that the mean is no extreme
        interval = diversity(unit(*np.column_stack([np.cos(angles), np.sin(angles)]).tolist()))
        true = 1 - np.hypot(np.sin(1.6 * np.pi), np.cos(1.6 * np.pi) - 1) ** 2 / (1.6 * np.pi) ** 2
        held += interval.low <= true <= interval.high
    assert 180 <= held <= 200


def test_the_distance_is_near_0_from_like_images_and_larger_from_others() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randn(40, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    near = kernel_distance(functional.normalize(one, dim=1), functional.normalize(two, dim=1))
    far = kernel_distance(functional.normalize(one + 2, dim=1), functional.normalize(two, dim=1))
    assert near is not None and far is not None
    assert near.low <= 0 <= near.high
    assert far.low > near.high
    assert kernel_distance(unit([1, 0], [0, 1]), unit([1, 0], [0, 1])) is None


def measured(clip: Clip, reference: Tensor | None = None, settings: EvaluationSettings = SETTINGS) -> dict[str, object]:
    settings = replace(settings, quality=True, texts=["a flag"])
    found = run(answers_to_flag, settings=settings, clip=clip, reference=reference)
    return {row.name: row for row in found.quality}


def test_every_prompt_but_random_words_is_measured() -> None:
    clip = Clip()
    rows = measured(clip, torch.rand(12, 3, toy.SIZE, toy.SIZE, generator=torch.Generator().manual_seed(0)))
    assert list(rows) == ["found prompt", "class name", "neutral", "given text"]
    assert {"Good photo.", "Bad photo.", "Good photo of a pole.", "Bad photo of a pole."} == set(clip.asked)
    neutral = rows["neutral"]  # grey pictures, all alike: as much good as bad
    assert neutral.clip_iqa.value == pytest.approx(0.5)  # type: ignore[attr-defined]
    assert neutral.diversity.value == pytest.approx(0, abs=1e-6)  # type: ignore[attr-defined]
    assert neutral.kernel_distance.n == 12  # type: ignore[attr-defined]


def test_a_clip_that_does_not_know_the_words_judges_no_quality() -> None:
    row = measured(Clip("bad"))["found prompt"]
    assert (row.clip_iqa, row.semantic_clip_iqa, row.kernel_distance) == (None, None, None)  # type: ignore[attr-defined]
    assert row.diversity is not None  # type: ignore[attr-defined]
    assert row.reason == "CLIP-IQA was not measured: this CLIP does not know bad"  # type: ignore[attr-defined]


def test_the_embedded_clip_has_never_read_of_good_and_bad() -> None:
    segmenter = Segmenter.load("embedded:clipseg")
    assert [segmenter.knows(word) for word in ("photo", "flag", "good", "bad")] == [True, True, False, False]
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = segmenter.image_features(images) @ segmenter.text_features(["a flag"]).T
    assert torch.equal(segmenter.similarity(images, ["a flag"]), expected)


def test_a_reference_without_quality_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quality"):
        EvaluationSettings(reference=str(tmp_path))
