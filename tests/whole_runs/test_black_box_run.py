"""Whole runs on classifiers through which no gradient passes, and what is refused before one begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.classifiers import onnx_graphs

from diffexplain import cli
from diffexplain.config import configuration
from diffexplain.report import Summary, load_run

ROOT = Path(__file__).parents[2]
FUNCTION = (
    *("paths.configs=[tests/conf]", "classifier=function", "plugins=[tests]", "logger=local", "trainer=cpu"),
    *("classifier.labels=tests/conf/labels.json", "classifier.vocabulary=tests/conf/vocabulary.yaml"),
)
SHORT = (
    *("explainer.steps=1", "explainer.batch=2", "explainer.screening_images=1", "gradient.probes=1"),
    *("evaluation=quick", "evaluation.images=4", "evaluation.random_images=2", "evaluation.looked_images=2"),
    *("concepts.hierarchy=tests/conf/tiny_hierarchy.yaml", "effects.opening=a", "discovery.objects=1"),
)
"""Too short to find anything."""


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def made(capsys: pytest.CaptureFixture[str], *overrides: str) -> Summary:
    assert cli.run(list(overrides)) == 0
    return load_run(Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent).summary


def test_spsa_goes_through_an_onnx_graph_to_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx", (1, 3, 32, 32))
    summary = made(
        capsys,
        *("paths.configs=[tests/conf]", "classifier=onnx", f"classifier.checkpoint={path}", "plugins=[tests]"),
        *("classifier.labels=tests/conf/labels.json", "classifier.vocabulary=tests/conf/vocabulary.yaml"),
        *("diffusion=tiny", "gradient=spsa", "target=class:pole", "logger=local", "trainer=cpu", *SHORT),
        f"paths.outputs={tmp_path}/outputs",
    )
    assert summary.optimisation is not None and summary.optimisation.steps == 1
    assert summary.activation[0].share.n == 4
    assert len(summary.concepts) == 2 and all(concept.over_all.n == 6 for concept in summary.concepts)


def test_effects_on_a_function_are_those_on_the_network_that_it_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("experiment=pretend_effects", f"paths.outputs={tmp_path}/outputs")
    known = made(capsys, *common, "paths.configs=[tests/conf]", "plugins=[tests]")
    asked = made(capsys, *common, *FUNCTION, "classifier.function=tests.own_black_boxes.pretended", "diffusion=pretend")
    assert known.effects is not None and asked.effects is not None
    assert asked.effects.rankings[0].concepts == known.effects.rankings[0].concepts


@pytest.mark.parametrize(
    ("asked", "remedies"),
    [
        ((), ("gradient=spsa", "explainer=diffex")),
        (("gradient=leap",), ("gradient=spsa", "explainer=diffex")),
        (("explainer=maco",), ("explainer=diffexplainer gradient=spsa", "explainer=diffex")),
        (("evaluation.control=random_weights", "gradient=spsa"), ("evaluation.control=null",)),
    ],
)
def test_what_a_black_box_does_not_have_is_said_before_the_run_begins(
    asked: tuple[str, ...], remedies: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*FUNCTION, "classifier.function=tests.own_black_boxes.colours", "diffusion=tiny", *asked]
    assert cli.run([*given, "target=class:pole", f"paths.outputs={tmp_path}/outputs"]) == 2
    error = capsys.readouterr().err
    assert all(remedy in error for remedy in remedies), error
    assert not (tmp_path / "outputs").exists()


def test_a_hidden_unit_of_a_black_box_is_refused_before_the_run_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*FUNCTION, "classifier.function=tests.own_black_boxes.colours", "diffusion=tiny", "gradient=spsa"]
    assert cli.run([*given, "target=unit:layer4:3@pole", f"paths.outputs={tmp_path}/outputs"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_help_beside_a_choice_explains_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["classifier=checkpoint", "gradient=spsa", "target=class:bee", "--help"]) == 0
    page = capsys.readouterr().out
    for key in configuration.compose(["classifier=checkpoint"])["classifier"]["preprocessing"]:
        assert f"\n  {key}: " in page
    assert "probes: 4 # directions averaged" in page
    assert cli.run(["paths.configs=[tests/conf]", "classifier=pretend", "--help"]) == 0
    assert "tests.pretend.load_classifier" in capsys.readouterr().out
    assert cli.run(["classifier=checkpont", "--help"]) == 2
    assert "nearest:  checkpoint" in capsys.readouterr().err
