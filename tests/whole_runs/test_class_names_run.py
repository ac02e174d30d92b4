"""Whole runs of classes with unusual names, and of classes without any."""

import shlex
from pathlib import Path

import pytest

from diffexplain import cli
from diffexplain.report import Summary

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.


def run(tmp_path: Path, *more: str, experiment: str = "pretend") -> int:
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", f"experiment={experiment}"]
    settings.append(f"paths.outputs={tmp_path}")
    return cli.run([*settings, *more])


def found(tmp_path: Path) -> tuple[Summary, str]:
    """The one run's summary and page."""
    (report,) = tmp_path.glob("*/*/*/report.html")
    return Summary.load(report.parent), report.read_text(encoding="utf-8")


def test_a_class_with_an_apostrophe_is_explained_and_its_command_finds_the_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "target=class:carpenter's kit", "classifier.labels=[carpenter's kit,tree,crane]") == 0
    summary, _ = found(tmp_path)
    assert (summary.target.text, summary.target.class_index) == ("class:carpenter's kit", 0)
    assert "a photo of a carpenter's kit" in [baseline.text for baseline in summary.baselines]
    capsys.readouterr()
    assert cli.run([*shlex.split(summary.command)[2:], f"paths.outputs={tmp_path}"]) == 0
    assert "Already finished" in capsys.readouterr().out


def test_a_sweep_over_names_with_commas_makes_a_run_of_each(tmp_path: Path) -> None:
    names = "classifier.labels=['pole, mast',tree,crane]"
    assert run(tmp_path, "-m", names, "target=class:pole, mast,class:tree") == 0
    targets = {Summary.load(path).target.text for path in tmp_path.glob("*/*/*/summary.json")}
    assert targets == {"class:pole, mast", "class:tree"}


@pytest.mark.filterwarnings("ignore:.*is no word")
def test_of_a_class_without_a_name_only_what_needs_no_name_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "target=class:0", "classifier.labels=[LABEL_0,LABEL_1,LABEL_2]") == 0
    summary, page = found(tmp_path)
    assert (summary.target.text, summary.target.class_index, summary.target.class_name) == ("class:LABEL_0", 0, None)
    assert summary.found.share.value > 0.5
    assert "classifier.labels=<file or list> names the classes" in summary.notes[0]
    assert summary.object_absence is not None
    assert summary.object_absence.share is None
    assert not any("LABEL" in (baseline.text or "") for baseline in summary.baselines)
    assert summary.effects is None
    assert "a LABEL_0" not in page
    assert "LABEL_0" in page
    assert "nothing spurious" not in page
    assert "No class was named" not in page


@pytest.mark.filterwarnings("ignore:.*is no word")
def test_effects_on_a_class_without_a_name_need_to_be_told_what_pictures_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nameless = ("target=class:0", "classifier.labels=[LABEL_0,LABEL_1,LABEL_2]")
    assert run(tmp_path, *nameless, experiment="pretend_effects") == 2
    assert "give the hierarchy a domain" in capsys.readouterr().err
