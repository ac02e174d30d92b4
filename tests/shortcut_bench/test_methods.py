"""The benchmark's methods and its command, on what can be known without hours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.tiny import tiny_prior
from torch import nn

from diffexplain.diffusion.prior import Prior
from diffexplain.world.scenes import Companion, Scene


def test_every_concept_of_the_hierarchy_has_its_row_in_the_truth_tables() -> None:
    from explained import concepts

    from diffexplain.paths import resolve_folder
    from diffexplain.world.truth_table import TruthTable

    table = TruthTable.load(resolve_folder("embedded:classifiers/shortcut_cnn"))
    effects = [table.effect("flagpole", *value) for value in concepts().values()]
    assert len(effects) == len(set(concepts().values())) == 44


def test_pictures_of_the_same_prompt_and_noise_are_made_once_and_counted_twice() -> None:
    from explained import Counter, SharedPictures

    prior: Prior = tiny_prior()
    classifier = nn.Flatten()
    noise = torch.randn(2, *prior.latent_shape)
    with SharedPictures(prior).sharing() as shared:
        counters = [Counter(prior, classifier) for _ in range(2)]
        made = []
        for counter in counters:
            shared.counter = counter
            with counter.counting():
                made.append(prior.generate(["a flag"], noise))
                classifier(made[-1])
    assert torch.equal(*made)
    assert [counter.account.denoiser for counter in counters] == [2 * prior.steps] * 2
    assert [counter.account.classifier for counter in counters] == [2, 2]
    assert torch.equal(prior.generate(["a flag"], noise), made[0])


def test_what_a_gradient_goes_back_through_is_counted() -> None:
    from explained import Counter

    prior: Prior = tiny_prior()
    counter = Counter(prior, nn.Flatten())
    condition = prior.encode(["a flag"]).requires_grad_()
    with counter.counting():
        images = prior.sample(condition, torch.randn(3, *prior.latent_shape))
        counter_images = nn.Flatten()(images)
    assert counter_images.requires_grad
    assert counter.account.denoiser == counter.account.denoiser_backward == 3 * prior.steps


def test_correlation_finds_what_comes_along_with_confident_predictions() -> None:
    from methods.correlation import compared
    from specification import Value

    plain = Scene("bee")
    with_flower = Scene("bee", companions=(Companion("flower", "red", 0),))
    scenes = [with_flower] * 20 + [plain] * 20
    found = {finding.value: finding for finding in compared(scenes, [True] * 20 + [False] * 20)}
    assert found[Value("companion", "flower")].score == 1.0
    assert found[Value("subtype", "flower/red")].reported
    assert not found[Value("setting", "grass")].reported  # in all of them
    assert not any(finding.reported for finding in compared(scenes, [False] * 40))


@pytest.mark.parametrize("method", ["chance", "correlation"])
def test_an_answer_is_kept_and_not_made_again(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import bench
    import methods.correlation
    from catalogue import chosen
    from train import make

    monkeypatch.setattr(methods.correlation, "SCENES", 40)
    group = chosen(["random_weights_bee_cnn"])
    make(group[0], tmp_path / "classifiers")
    for _ in range(2):
        bench.explain(group, method, tmp_path / "classifiers", tmp_path, seed=3)
    assert capsys.readouterr().out.count(f"{method}, bee: 1 in") == 1
    file = bench.answer_file(tmp_path, 3, method, group[0].name)
    assert len(json.loads(file.read_text())["findings"]) == 44


def test_a_method_waits_for_the_answers_that_it_reads(tmp_path: Path) -> None:
    import bench
    from catalogue import chosen

    bench.explain(chosen(["random_weights_bee_cnn"]), "diffex_seeded", tmp_path, tmp_path, seed=3)
    assert not (tmp_path / "answers").exists()
