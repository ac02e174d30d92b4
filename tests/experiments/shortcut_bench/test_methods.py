"""The benchmark's methods and its command, on what can be known without hours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import tiny_prior
from torch import nn

from diffexplain.diffusion.prior import Prior
from diffexplain.world.scenes import Companion, Scene


def test_every_concept_of_the_hierarchy_has_its_row_in_the_truth_tables() -> None:
    from diffexplain.weights.paths import resolve_folder
    from experiments.shortcut_bench.explained import concepts
    from experiments.world.truth import TruthTable

    table = TruthTable.load(resolve_folder("embedded:classifiers/shortcut_cnn"))
    effects = [table.effect("flagpole", *value) for value in concepts().values()]
    assert len(effects) == len(set(concepts().values())) == 44


def test_pictures_of_the_same_prompt_and_noise_are_made_once_and_counted_twice() -> None:
    from experiments.shortcut_bench.explained import Counter, SharedPictures

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
    from experiments.shortcut_bench.explained import Counter

    prior: Prior = tiny_prior()
    counter = Counter(prior, nn.Flatten())
    condition = prior.encode(["a flag"]).requires_grad_()
    with counter.counting():
        images = prior.sample(condition, torch.randn(3, *prior.latent_shape))
        counter_images = nn.Flatten()(images)
    assert counter_images.requires_grad
    assert counter.account.denoiser == counter.account.denoiser_backward == 3 * prior.steps


def test_correlation_finds_what_comes_along_with_confident_predictions() -> None:
    from experiments.shortcut_bench.methods.correlation import compared
    from experiments.shortcut_bench.specification import Value

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
    from experiments.shortcut_bench import bench
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.methods import correlation
    from experiments.shortcut_bench.train import make

    monkeypatch.setattr(correlation, "SCENES", 40)
    group = chosen(["random_weights_bee_cnn"])
    make(group[0], tmp_path / "classifiers")
    for _ in range(2):
        bench.explain(group, method, tmp_path / "classifiers", tmp_path, seed=3)
    assert capsys.readouterr().out.count(f"{method}, bee: 1 in") == 1
    file = bench.answer_file(tmp_path, 3, method, group[0].name)
    assert len(json.loads(file.read_text())["findings"]) == 44


def embedded(*names: str) -> list[Any]:
    """Embedded classifiers in the place of the benchmark's, for the class bee."""
    from diffexplain.classifiers import load_classifier
    from diffexplain.weights.paths import resolve_folder
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.explained import Studied

    (one,) = chosen(["companion_bee_cnn"])
    folders = {name: resolve_folder(f"embedded:classifiers/{name}") for name in names}
    return [Studied(replace(one, name=name), at, load_classifier(str(at))) for name, at in folders.items()]


LITTLE = (
    "discovery.pictures=24", "discovery.tested=1", "discovery.pairs=0", "discovery.others=0", "effects.images=3",
    "effects.smallest=2", "effects.chunk=3", "diffusion.steps=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The default run's answers about two classifiers that share their pictures."""
    from experiments.shortcut_bench.methods.default import Default

    studied = embedded("shortcut_cnn", "fair_vit")
    return list(Default("default", *LITTLE).explain(studied, 1, tmp_path_factory.mktemp("both"), {}))


def test_the_default_runs_answer_is_of_each_classifier_alone(both: list[Any], tmp_path: Path) -> None:
    from experiments.shortcut_bench.methods.default import Default
    from experiments.shortcut_bench.specification import Value

    assert [one.classifier for one in both] == ["shortcut_cnn", "fair_vit"]
    (alone,) = Default("default", *LITTLE).explain(embedded("fair_vit"), 1, tmp_path, {})
    for one, other in zip(both[1].findings, alone.findings, strict=True):
        assert (one.value, one.n, one.verdict) == (other.value, other.n, other.verdict)
        assert one.effect == (None if other.effect is None else pytest.approx(other.effect, abs=1e-4))
    assert replace(both[1].account, seconds=0) == replace(alone.account, seconds=0)
    assert len(both[0].findings) == 44
    (tested,) = [finding for finding in both[0].findings if finding.verdict != "not tested"]
    assert (tested.value, tested.n) == (Value("companion", "flower"), 3)  # what was planted
    assert tested.effect is not None
    assert tested.effect > 0.2


def test_words_are_tested_without_a_list(tmp_path: Path) -> None:
    from experiments.shortcut_bench.methods.text_encoder_words import Words

    little = ("discovery.noises=1", *(one for one in LITTLE if not one.startswith("discovery.pictures")))
    (found,) = Words("words", *little).explain(embedded("shortcut_cnn"), 1, tmp_path, {})
    (tested,) = [one for one in found.words if one.effect is not None]
    assert abs(tested.score) == max(abs(one.score) for one in found.words)
    assert len(found.words) > 100 and "bee" not in {one.word for one in found.words}
    assert len(found.findings) == 44


def test_which_concept_a_word_stands_for_is_said_afterwards() -> None:
    from experiments.shortcut_bench.explained import WordFinding
    from experiments.shortcut_bench.methods.text_encoder_words import findings_of
    from experiments.shortcut_bench.specification import Value

    tested = {word: WordFinding(word, 0.4, True, 0.4, 0.3, 0.5) for word in ("flower", "plain", "teapot")}
    said = {
        **tested,
        "blossom": WordFinding("blossom", -0.5, True, -0.5, -0.6, -0.4),
        "sea": WordFinding("sea", 1e-6, False),
    }
    verdicts = dict.fromkeys((*tested, "blossom"), (24, "spurious"))
    found = {finding.value: finding for finding in findings_of(said, verdicts, "bee")}
    assert len(found) == 44
    flower = found[Value("companion", "flower")]  # of its two words the one with the larger effect
    assert (flower.score, flower.reported, flower.effect, flower.n, flower.verdict) == (
        -0.5,
        True,
        -0.5,
        24,
        "spurious",
    )
    for value in (Value("texture", "plain"), Value("subtype", "flag/plain")):  # one word, two readings
        assert (found[value].score, found[value].reported, found[value].effect) == (0.2, False, None)
    sea = found[Value("setting", "sea")]
    assert (sea.score, sea.reported, sea.verdict) == (1e-6, False, "not tested")
    assert found[Value("setting", "night")].score == 0 and found[Value("setting", "night")].verdict == "not tested"


def test_what_the_default_runs_answer_costs_is_what_a_run_counts(both: list[Any], tmp_path: Path) -> None:
    from diffexplain import app
    from diffexplain.config import configuration

    run = ["explainer=randomised_prompts", "target=class:bee", "seed=1", f"paths.outputs={tmp_path}", "logger=local"]
    effects = app.make(configuration.compose([*run, *LITTLE])).summary.effects
    found, budget = both[0], effects.budget
    assert found.account.denoiser == budget.evaluations + budget.preparing + budget.screening
    assert found.account.classifier == budget.read
    (concept,) = effects.rankings[0].concepts
    (tested,) = [finding for finding in found.findings if finding.verdict != "not tested"]
    assert (tested.effect, tested.n, tested.verdict) == (concept.over_all.score.value, 3, concept.verdict.value)
    left = [finding for finding in found.findings if finding.verdict == "not tested"]
    assert len(left) == 43
    assert all(finding.effect is None and not finding.reported for finding in left)
    assert 0 < max(abs(finding.score) for finding in left) < 1e-3


def test_tables_of_a_part_are_written_beside_its_answers(tmp_path: Path) -> None:
    from experiments.shortcut_bench import bench

    part = ["--set", "fresh", "--classifiers", "fresh_00_companion_yawl_cnn"]
    bench.main([*part, "--table", "--outputs", str(tmp_path)])
    assert (tmp_path / "part" / "results_fresh.csv").is_file()
    with pytest.raises(SystemExit):
        bench.main(["--set", "fresh", "--half", "held_out"])


def test_share_difference_of_newcombes_example() -> None:
    from diffexplain.statistics.tests import wilson
    from experiments.shortcut_bench.methods.correlation import share_difference

    # Newcombe (1998, part II), method 10, contrast (a): 56/70 - 48/80.
    found = share_difference(wilson(56, 70), wilson(48, 80))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)
    assert found.n == 70
