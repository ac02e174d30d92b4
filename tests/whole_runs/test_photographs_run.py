"""Photographs edited and ranked in the embedded world, by the real command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.editing.test_load_instruct import saved
from tests.overriding import changed
from tests.whole_runs.test_app import artefacts

from diffexplain import cli
from diffexplain.pipelines import photographs
from diffexplain.pipelines.testing import PHOTOGRAPHS
from diffexplain.report import Summary, load_run
from diffexplain.runs.run import FINISHED
from diffexplain.world.render import render_images
from diffexplain.world.scenes import Scene

ROOT = Path(__file__).parents[2]
HIERARCHY = """
domain: ''
concepts:
  - {name: companion, kind: object, children: [a flag, a ball]}
"""
NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three scenes, two files that are none, and a run that edits them in two steps."""
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "photographs"
    folder.mkdir()
    scenes = [Scene("flagpole", colour=colour, setting="snow") for colour in ("red", "blue", "yellow")]
    for name, scene in zip(NAMES, render_images(scenes, range(3)), strict=True):
        Image.fromarray(scene).resize((160, 100)).save(folder / name)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    (tmp_path / "concepts.yaml").write_text(HIERARCHY)
    return [
        *("explainer=diffex", "logger=local", "trainer=cpu", f"images={folder}"),
        f"concepts.hierarchy={tmp_path}/concepts.yaml",
        *("effects.policy=uniform", "effects.smallest=2", "effects.resamples=100", "effects.chunk=2"),
        "explainer.beam=0",
        f"paths.outputs={tmp_path}/outputs",
    ]


def test_photographs_are_edited_and_ranked_and_those_skipped_are_named(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*settings, "editor.steps=2"]
    with pytest.warns(UserWarning, match=r"empty.jpg was skipped: empty, 0 bytes"):
        assert cli.run(asked) == 0
    directory = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    loaded = load_run(directory)
    effects = loaded.summary.effects
    assert effects is not None
    (ranking,) = effects.rankings
    assert {concept.path for concept in ranking.concepts} == {("companion", "flag"), ("companion", "ball")}
    assert all(concept.over_all.n == 3 for concept in ranking.concepts)
    assert ranking.null_shift is not None and ranking.null_shift.n == 3
    assert loaded.effects[0].present.shape == (64, 64, 3)
    assert loaded.summary.settings["editor"]["name"] == "leditspp"
    assert [note.split(" was skipped")[0] for note in loaded.summary.notes[:2]] == ["empty.jpg", "text.png"]
    assert "empty.jpg was skipped" in loaded.report.read_text(encoding="utf-8")
    assert f'"name": "{NAMES[2]}"' in (directory / PHOTOGRAPHS).read_text()

    # Stopped before the last edits were known, it goes on to the same bytes.
    whole = artefacts(tmp_path / "outputs")
    for path in (directory / FINISHED, directory / "summary.json", max(directory.glob("effects/edits-*.json"))):
        path.unlink()
    with pytest.warns(UserWarning, match="was skipped"):
        assert cli.run(asked) == 0
    assert artefacts(tmp_path / "outputs") == whole


@pytest.mark.filterwarnings("ignore:.*was skipped")
@pytest.mark.parametrize(
    ("name", "calls", "more"),
    [
        ("instruct", 3, []),
        ("flux2_klein", 1, ["editor.options={max_sequence_length:32,text_encoder_out_layers:[0,1,2]}"]),
    ],
)
def test_an_editor_that_follows_instructions_is_chosen_on_the_command_line(
    name: str, calls: int, more: list[str], settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(name, tmp_path / "model")
    assert cli.run([*settings, f"editor={name}", f"editor.model={model}", "editor.steps=2", *more]) == 0
    summary = Summary.load(Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent)
    assert summary.effects is not None
    # Calls of its own network in each of two steps, for three null edits and two edits of each.
    prepared = 3 * 2 * calls
    assert (summary.effects.budget.preparing, summary.effects.budget.evaluations) == (prepared, 2 * prepared)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["editor=paired"], "accepted: editor=leditspp, editor=leditspp_world, editor=instruct"),
        (["editor=leditspp", "images=null"], "images=<folder>"),
        (["editor=instruct", "images=null", "editor.model=no/such"], "diffexplain fetch"),
    ],
)
def test_an_editor_that_does_not_go_with_the_images_is_refused_before_anything_is_loaded(
    overrides: list[str],
    told: str,
    settings: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load_prior(**_: object) -> None:
        pytest.fail("weights were loaded")

    load_prior.__module__ = "diffexplain.diffusion"  # Where it is from decides whether it may be called.
    monkeypatch.setattr("diffexplain.diffusion.load_prior", load_prior)
    monkeypatch.setattr(photographs, "find", lambda *_: pytest.fail("photographs were read"))
    assert cli.run(changed(settings, *overrides)) == 2
    assert told in capsys.readouterr().err
