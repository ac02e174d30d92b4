"""The papers' tables: what is run, what is shared, what is said where weights are missing, and known answers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from diffexplain.effects.results import Combination, ConceptEffect, Effect, Ranking
from diffexplain.evaluation.results import Activation
from diffexplain.statistics.estimates import Estimate
from experiments.hidden_units.salient_imagenet import FeatureLabel, agreement

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
SWEEPS = (
    "dexter_table3", "dexter_table6", "diffexplainer_figure3", "diffexplainer_figure4",
    "diffex_table1", "diffex_table2", "diffex_table3", "diffex_figures4_7",
)  # fmt: skip
FOLDERS = (*SWEEPS, "diffexplainer_figure5")
REFUSED = """
import runpy, sys
for folder in sys.argv[1:]:
    sys.argv = [folder, "--profile", "paper", "--print"]
    try:
        runpy.run_module(f"experiments.{folder}.make", run_name="__main__")
    except SystemExit as end:
        print(folder, end.code, "torch" in sys.modules)
"""


def aggregator(folder: str) -> Any:
    """The `make.py` of a folder."""
    return importlib.import_module(f"experiments.{folder}.make")


def shared() -> ModuleType:
    from experiments.papers import paper_tables

    return paper_tables


def test_without_weights_every_folder_ends_before_torch_with_the_command_that_brings_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, *FOLDERS],
        cwd=ROOT,
        env=os.environ | {"DIFFEXPLAIN_CACHE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [f"{folder} 2 False" for folder in FOLDERS], done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(FOLDERS)
    assert all("diffexplain fetch classifier=" in line and "diffusion=sd14_lcm" in line for line in lines)


@pytest.mark.parametrize("folder", SWEEPS)
@pytest.mark.parametrize("profile", ["world", "paper"])
def test_every_run_composes_and_what_is_not_run_is_said(folder: str, profile: str, tmp_path: Path) -> None:
    tables = shared()
    todo = tables.cells(EXPERIMENTS / folder, profile, tmp_path)
    assert len({cell.directory for cell in todo}) == len(todo) > 0
    for cell in todo:
        assert cell.config["classifier"]["name"].startswith("world_") == (profile == "world")
    published = tables.published(EXPERIMENTS / folder)
    assert "arXiv" in published["source"]
    text = aggregator(folder).table(tables.Sweep(profile, tuple(todo), (), published))
    assert {"world": "ot run", "paper": "ot run: needs the weights"}[profile] in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_page_has_a_part_for_each_profile(folder: str) -> None:
    page = (EXPERIMENTS / folder / "RESULTS.md").read_text(encoding="utf-8")
    for profile in ("world", "paper"):
        begin, end = (page.index(f"<!-- {profile}: {mark} -->") for mark in ("begin", "end"))
        assert page[begin:end].count("\n") > 1
    assert "needs the weights" in page


def test_tables_share_their_runs(tmp_path: Path) -> None:
    tables = shared()

    def directories(folder: str, *methods: str) -> set[Path]:
        todo = tables.cells(EXPERIMENTS / folder, "world", tmp_path)
        return {cell.directory for cell in todo if cell.method in methods}

    both = ("DiffExplainer", "DEXTER")
    assert directories("diffexplainer_figure3", *both) == directories("dexter_table3", "DiffExplainer")
    assert directories("dexter_table6", *both) == directories("dexter_table3", *both)
    assert directories("diffex_table2", "DiffEx") == directories("diffex_table1", "DiffEx")


def test_a_run_is_made_once_and_stands_beside_those_that_are_not(tmp_path: Path) -> None:
    tables = shared()
    little = ["explainer.steps=1", "explainer.screening_images=0", "trainer=cpu", "evaluation.images=4"]
    little += ["diffusion.steps=1", "discovery.pictures=4", "effects.images=2", "effects.smallest=2"]
    little += ["evaluation.random_images=2", "evaluation.candidates=0", "evaluation.looked_images=2"]
    todo = tables.cells(EXPERIMENTS / "diffexplainer_figure4", "world", tmp_path, [*little, "trainer.progress=none"])
    (first,) = tables.make(todo[:1])
    assert tables.finished(todo) == [first]
    assert first.cell.method == "a texture of"
    assert first.summary.settings["prompt"]["prefix"] == "a striped"
    figure4 = aggregator("diffexplainer_figure4")
    sweep = tables.Sweep("world", tuple(todo), (first,), tables.published(EXPERIMENTS / "diffexplainer_figure4"))
    picture = figure4.figure(sweep)
    assert picture.size == (8 * figure4.SIDE, 3 * figure4.SIDE)
    assert picture.getpixel((picture.width - 1, picture.height - 1)) == (128, 128, 128)
    assert "1 of 6 runs; seed 1" in sweep.made_with()
    moved = aggregator("diffex_table3").strayed(first)
    assert moved.n == 2
    assert 0 < moved.value < 0.2


def estimate(value: float, n: int = 100) -> Estimate:
    return Estimate(value, value, value, n)


def scored(method: str, group: str, **shares: float) -> Any:
    activation = [Activation(name.replace("_", " "), None, estimate(v), estimate(v)) for name, v in shares.items()]
    summary = SimpleNamespace(activation=tuple(activation))
    return shared().Made(shared().Cell(group, method, (method, group, str(shares))), Path(), summary)


def test_activation_scores_are_means_over_classes_of_each_group() -> None:
    tables = shared()
    made = (
        scored("DiffExplainer", "spurious", class_name=0.5, captions=0.25),
        scored("DiffExplainer", "spurious", class_name=1.0),
        scored("DiffExplainer", "core", class_name=1.0, captions=0.75),
    )
    published = tables.published(EXPERIMENTS / "dexter_table3")
    sweep = tables.Sweep("world", tuple(one.cell for one in made), made, published)
    lines = aggregator("dexter_table3").text_rows(sweep)
    (named,) = [line for line in lines if line.startswith("| class name")]
    assert "| 43.06 ± 38.86 | 75.00 ± 25.00 | 86.40 ± 23.83 | 100.00 ± 0.00 | 64.73 | 87.50 [" in named
    assert named.endswith("3 classes, 300 images |")
    (captions,) = [line for line in lines if line.startswith("| DiffExplainer captions")]
    assert "25.00 ± 0.00" in captions and "50.00 [25.00, 75.00], 2 classes, 200 images" in captions
    assert any(line.startswith("| DEXTER |") and line.endswith("| not run |") for line in lines)


def test_published_numbers_agree_with_each_other() -> None:
    table3, table2 = (shared().published(EXPERIMENTS / name) for name in ("dexter_table3", "diffex_table2"))
    named, cued = np.mean(list(table3["classes"].values()), axis=0)
    assert (named, cued) == (pytest.approx(64.73, abs=0.01), pytest.approx(81.07, abs=0.01))
    assert np.mean(list(table2["attributes"].values()), axis=0) == pytest.approx(table2["mean"], abs=0.05)


def concept(attribute: str, value: str, true: float) -> Any:
    return SimpleNamespace(classifier="shortcut_cnn", class_name="bee", attribute=attribute, value=value, true=true)


def test_questions_are_asked_of_values_of_one_kind_that_lie_apart() -> None:
    table2 = aggregator("diffex_table2")
    rows = [concept("companion", "flag", 0.5), concept("companion", "dog", 0.0), concept("companion", "tree", 0.05)]
    rows += [
        concept("setting", "snow", 0.9),
        concept("subtype", "flag/plain", 0.3),
        concept("subtype", "dog/white", 0.0),
    ]
    scores = {("shortcut_cnn", "bee", one.attribute, one.value): one.true for one in rows}
    assert table2.questions(rows, scores) == {("shortcut_cnn", "bee"): [True, True]}
    scores["shortcut_cnn", "bee", "companion", "tree"] = 1.0
    assert table2.questions(rows, scores) == {("shortcut_cnn", "bee"): [True, False]}
    del scores["shortcut_cnn", "bee", "companion", "flag"]
    assert table2.questions(rows, scores) == {}


def test_a_clustered_share_is_over_answers_and_its_interval_over_clusters() -> None:
    from experiments.papers.true_effects import clustered_share

    share = clustered_share({"a": [True, True, True], "b": [False]})
    assert (share.value, share.low, share.high, share.n) == (0.75, 0.0, 1.0, 4)
    assert clustered_share({}) is None


def ranked(path: tuple[str, ...], value: float, significant: bool = True) -> ConceptEffect:
    effect = Effect(estimate(value, 48), None, estimate(value, 48), 0.0, 0.0, significant)
    return ConceptEffect(path, path[-1], "object", effect, None, None, None)


def test_a_tree_nests_what_is_found_below_its_parent_and_leaves_out_the_rest() -> None:
    flag = ("companion", "flag")
    concepts = (
        ranked((*flag, "striped flag"), 0.1), ranked(flag, 0.4), ranked(("companion", "dog"), -0.2),
        ranked(("setting", "snow"), 0.01, significant=False),
    )  # fmt: skip
    joint = Combination((flag, ("setting", "sea")), estimate(0.5, 24), estimate(0.1, 24), None)
    tree = aggregator("diffex_figures4_7").tree
    lines = tree(Ranking("world_shortcut_cnn", "class:flagpole", concepts, estimate(0.5), None, (joint,)))
    assert "3 of 4 concepts" in lines[0]
    assert [line.split(" [")[0] for line in lines[2:]] == [
        "- companion", "  - flag +0.40", "    - striped flag +0.10", "  - dog -0.20", "- together: flag + sea +0.50",
    ]  # fmt: skip


def test_agreement_with_the_truth_goes_through_the_code_for_peoples_answers() -> None:
    figure5 = aggregator("diffexplainer_figure5")
    row = importlib.import_module("experiments.hidden_units.verdict_tables").Row
    rows = [
        row(class_name, "shortcut_cnn", "held_out", truth, {"map": [share, share]})
        for class_name in ("bee", "flagpole")
        for truth, share in (("core", 0.8), ("spurious", 0.1), ("core", 0.7))
    ]
    labels, scores = figure5.world_labels(rows)
    found = agreement(labels, scores, np.random.default_rng(0))
    assert found.auroc == Estimate(1.0, 1.0, 1.0, 6)
    assert (found.classes, found.unscored, found.spurious) == (2, 0, pytest.approx(1 / 3))


def test_labelled_units_of_a_real_network_are_scored_by_where_they_look(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffexplain.classifiers.classifier import load_classifier
    from diffexplain.segmentation import Segmenter
    from diffexplain.world.held_out import renderings, scenes_and_seeds
    from diffexplain.world.sampler import World
    from experiments.diffexplainer_figure5.unit_scores import unit_scores

    classifier = load_classifier("embedded:classifiers/fair_cnn")
    names = {index: classifier.labels.classes[index].name for index in (1, 3)}
    pictures: dict[int, torch.Tensor] = {
        index: renderings(*scenes_and_seeds(6, 5000 + index, World(subjects=(name,))))[0]
        for index, name in names.items()
    }
    labels = [FeatureLabel(index, feature, "n0", 1, 5, 0, 0) for index in (1, 3, 5) for feature in (0, 7)]
    scores = unit_scores(classifier, Segmenter.load("embedded:clipseg"), pictures, labels, shown=3)
    assert {key[0] for key in scores} <= {1, 3}
    assert scores
    assert all(-1 <= value <= 0 for value in scores.values())
