"""Whole runs with classifiers whose output is of another kind, says nothing, or stops being a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.answering import BROKEN
from tests.overriding import changed

from diffexplain import cli
from diffexplain.effects.results import Verdict
from diffexplain.report import Summary, load_run
from diffexplain.report.page import render

ROOT = Path(__file__).parents[2]
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    monkeypatch.delenv(BROKEN, raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def with_answer(answer: str, *more: str, experiment: str = "pretend") -> int:
        settings = [
            "paths.configs=[tests/conf]",
            f"experiment={experiment}",
            "classifier=checkpoint",
            "diffusion=pretend",
            "plugins=[tests]",
            "classifier.network=tests.answering.build",
            f"classifier.arguments={{answer: {answer}}}",
            "classifier.labels=[nothing, pole]",
            "classifier.vocabulary=tests/conf/vocabulary.yaml",
            "classifier.preprocessing={size: [32, 32], crop: null, mean: [0, 0, 0], std: [1, 1, 1]}",
            f"paths.outputs={tmp_path}/outputs",
        ]
        return cli.run(changed(settings, *more))

    return with_answer


def only_run(outputs: Path) -> Path:
    (summary,) = [path for path in outputs.rglob("summary.json") if "sweeps" not in path.parts]
    return summary.parent


def test_a_network_of_one_logit_is_explained(run: Run, tmp_path: Path) -> None:
    assert run("one_logit") == 0
    directory = only_run(tmp_path / "outputs")
    summary = Summary.load(directory)
    flag = summary.concepts[0]
    assert (flag.text, flag.verdict) == ("a flag", Verdict.SPURIOUS)
    assert flag.over_all.score.value > 0.5
    # A flag is a tenth of the picture: 100 of 1024 pixels, 60 times that.
    assert flag.over_all.log_odds is not None
    assert flag.over_all.log_odds.value == pytest.approx(60 * 100 / 1024, abs=0.01)
    assert summary.classifier.facts["output"] == "sigmoid"
    page = render(load_run(directory))
    assert "a probability above one half" in page and "(sigmoid)" in page


def test_probabilities_of_independent_classes_are_asked_for_and_then_explained(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("sigmoids") == 2
    told = capsys.readouterr().err
    assert "classifier.output=probabilities" in told and "classifier.output=softmax" in told
    assert not (tmp_path / "outputs").exists()
    assert run("sigmoids", "classifier.labels=[pole, nothing]", "classifier.output=probabilities") == 0
    directory = only_run(tmp_path / "outputs")
    assert Summary.load(directory).concepts[0].text == "a flag"
    assert "was taken for probabilities of classes of which each may be there or not" in render(load_run(directory))


def test_one_answer_to_everything_is_the_first_line_and_no_finding(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("constant", "-m", "seed=0") == 0
    assert "same answer to every picture" in capsys.readouterr().out
    directory = only_run(tmp_path / "outputs")
    summary = Summary.load(directory)
    assert summary.same_answer is not None
    assert summary.same_answer.score == pytest.approx(1 / (1 + 2.718281828**4), abs=1e-6)
    assert summary.statement is not None
    assert summary.statement.text.startswith("checkpoint gives all")
    assert "spurious" not in summary.statement.text
    assert not any(concept.over_all.significant for concept in summary.concepts)
    assert summary.words is not None and summary.words.best is None
    assert summary.object_absence is not None and summary.object_absence.share is None
    page = render(load_run(directory))
    headline = page.split("<h1>")[1].split("</h1>")[0]
    assert "the same answer" in headline and "nothing spurious" not in page


def test_one_answer_to_all_edits_is_no_ranking(run: Run, tmp_path: Path) -> None:
    assert run("constant", experiment="pretend_effects") == 0
    directory = only_run(tmp_path / "outputs")
    summary = Summary.load(directory)
    assert summary.same_answer is not None and summary.effects is not None
    page = render(load_run(directory))
    assert "the same answer" in page.split("<h1>")[1].split("</h1>")[0]
    assert "concepts have an effect" not in page and "no effect beyond doubt" not in page


@pytest.mark.parametrize("experiment", ["pretend", "pretend_effects"])
def test_an_answer_that_is_no_number_later_is_named_and_what_was_made_is_kept(
    experiment: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BROKEN, "a tree")  # The built-in pictures have none.
    assert run("broken", experiment=experiment) == 2
    told = capsys.readouterr().err
    assert "gave no finite answer to" in told and "NaN or infinity, for " in told
    (manifest,) = (tmp_path / "outputs").rglob("manifest.json")
    kept = {path: path.read_bytes() for path in manifest.parent.rglob("*") if path.suffix in (".json", ".jsonl")}
    assert len(kept) > 1 and not list(manifest.parent.rglob("summary.json"))
    monkeypatch.delenv(BROKEN)
    assert run("broken", experiment=experiment) == 0
    grown = {"manifest.json", "timings.json", "failed.json"}
    assert all(path.read_bytes() == before for path, before in kept.items() if path.name not in grown)
    assert load_run(manifest.parent).summary.same_answer is None
    assert json.loads((manifest.parent / "finished.json").read_text())["artefacts"]


def test_the_users_own_exception_is_shown_as_theirs_and_nothing_is_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("failing") == 1
    told = capsys.readouterr().err
    assert told.startswith("An error in your code (")
    assert told.rstrip().endswith("ZeroDivisionError: a bug of the user's")
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("experiment", ["pretend", "pretend_effects"])
def test_a_file_that_the_users_network_misses_in_the_midst_of_a_run_is_their_error(
    experiment: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BROKEN, "a tree")  # The built-in pictures have none.
    assert run("without_a_file", experiment=experiment) == 1
    told = capsys.readouterr().err
    assert told.startswith("An error in your code (") and "norms.txt" in told
    assert "paths.outputs" not in told


def test_a_loader_that_gives_no_classifier_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = "classifier._target_=tests.own_classifiers.build"
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", target]
    settings.append(f"paths.outputs={tmp_path}/outputs")
    assert cli.run(settings) == 2
    assert "which gives a Sequential" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_a_word_that_is_no_kind_of_output_is_refused_before_weights_are_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pretend.load_classifier", lambda: pytest.fail("weights were loaded"))
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend"]
    settings.append(f"paths.outputs={tmp_path}/outputs")
    assert cli.run([*settings, "classifier.output=sofmax"]) == 2
    assert "nearest:  softmax" in capsys.readouterr().err
