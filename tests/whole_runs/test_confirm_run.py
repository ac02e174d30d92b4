"""What a finished run found to be spurious, put into photographs of the embedded world and taken out of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.concepts.finished import CLOUD, FLAG
from tests.concepts.finished import finished as finished_run

from diffexplain import cli
from diffexplain.config import configuration, reproduce
from diffexplain.config.identity import identity
from diffexplain.errors import UserError
from diffexplain.report import Summary, load_run
from diffexplain.report.page import render
from diffexplain.world.render import render_images
from diffexplain.world.scenes import Companion, Scene

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def finished(folder: Path, command: str = "python run.py target=class:flagpole") -> Path:
    """A finished run of DiffExplainer that found a flag to be spurious."""
    finished_run(folder, FLAG, CLOUD, command=command)
    return folder


def photographs(folder: Path) -> Path:
    """Three flagpoles with a flag, and three bees without."""
    folder.mkdir()
    colours = ("red", "blue", "yellow")
    scenes = [
        Scene("flagpole", colour=colour, setting="grass", companions=(Companion("flag", "striped"),))
        for colour in colours
    ]
    scenes += [Scene("bee", colour=colour, setting="grass") for colour in colours]
    for number, image in enumerate(render_images(scenes, range(len(scenes)))):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def test_the_flag_is_put_into_other_photographs_and_taken_out_of_the_targets_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [
        "experiment=confirm",
        f"from_run={finished(tmp_path / 'run')}",
        f"images={photographs(tmp_path / 'photographs')}",
        *("editor=leditspp_world", "editor.steps=2", "effects.resamples=100", "logger=local", "trainer=cpu"),
        f"paths.outputs={tmp_path}/outputs",
    ]
    assert cli.run(settings) == 0
    directory = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    loaded = load_run(directory)
    effects = loaded.summary.effects
    assert effects is not None and effects.confirmation is not None
    assert effects.subject == "an object"
    assert (effects.confirmation.own, effects.confirmation.others) == (3, 3)
    (flag,) = effects.confirmation.concepts
    assert flag.path[-1] == "flag"
    assert flag.added is not None and flag.added.n == 3
    assert flag.taken_out is not None and flag.taken_out.n == 3
    # The two are parts of the effect over all photographs.
    (over_all,) = (concept.over_all.score for concept in effects.rankings[0].concepts)
    assert over_all.value == pytest.approx((flag.added.score.value + flag.taken_out.score.value) / 2)
    page = loaded.report.read_text(encoding="utf-8")
    assert "Put in, and taken out" in page
    # It was asked to check this, and says what came of it beside what the earlier run stated.
    assert "confirmed on photographs" in page.split("<h1>")[1].split("</h1>")[0]
    assert "the earlier run stated +0.60 (95% interval 0.58 to 0.62)" in page
    assert render(load_run(directory)) == loaded.report.read_text(encoding="utf-8")
    assert Summary.from_json(loaded.summary.to_json()) == loaded.summary


def test_labelled_photographs_say_what_the_flag_comes_to_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unsorted, folder = photographs(tmp_path / "photographs"), tmp_path / "labelled"
    for number in range(6):
        label = "flagpole" if number < 3 else "bee"
        (folder / label).mkdir(parents=True, exist_ok=True)
        (unsorted / f"{number}.png").rename(folder / label / f"{number}.png")
    bare = render_images([Scene("flagpole", setting="forest", texture="striped")] * 2, range(90, 92))
    for number, image in enumerate(bare):
        Image.fromarray(image).save(folder / "flagpole" / f"bare{number}.png")
    settings = [
        "experiment=confirm",
        f"from_run={finished(tmp_path / 'run')}",
        *("editor=leditspp_world", "editor.steps=3", "effects.images=6", "logger=local", "trainer=cpu"),
        f"paths.outputs={tmp_path}/outputs",
    ]
    assert cli.run([*settings, f"images={folder}"]) == 0
    loaded = load_run(Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent)
    assert loaded.summary.effects is not None
    labelled = loaded.summary.effects.labelled
    assert labelled is not None and labelled.own is not None and labelled.others is not None
    # All photographs count, not only the six that are edited.
    assert (labelled.own.n, labelled.others.n) == (5, 3)
    (flag,) = labelled.concepts
    assert flag.own.shown is not None and (flag.own.shown.value, flag.own.shown.n) == (1, 3)
    assert flag.own.not_shown is not None and flag.own.not_shown.n == 2
    assert flag.others.shown is None and flag.reason is None
    missed = {f"flagpole/bare{number}.png" for number in range(2)}
    assert set(flag.failures) <= missed and len(flag.failures) == 2 * (1 - flag.own.not_shown.value)
    assert flag.sight is not None and flag.sight.seen.value > flag.sight.imagined.value
    assert "In your labelled photographs" in loaded.report.read_text(encoding="utf-8")

    (folder / "bee").rename(folder / "wasp")
    assert cli.run([*settings, f"images={folder}"]) == 2
    assert "no such class" in capsys.readouterr().err


def test_classifier_target_and_prior_are_those_of_the_finished_run(tmp_path: Path) -> None:
    command = "python run.py classifier=world_fair_vit explainer.steps=3 segmenter.pairs_at_once=7 target=class:bee"
    asked = ["experiment=confirm", f"from_run={finished(tmp_path, command)}", f"images={tmp_path}"]
    config = configuration.compose(asked)
    assert (config["classifier"]["name"], config["target"]) == ("world_fair_vit", "class:bee")
    assert config["segmenter"]["pairs_at_once"] == 7
    assert config["concepts"]["from_run"] == str(tmp_path)
    # What is chosen on the command line goes before.
    other = configuration.compose([*asked, "classifier=world_shortcut_cnn", "target=class:yawl"])
    assert (other["classifier"]["name"], other["target"]) == ("world_shortcut_cnn", "class:yawl")
    for made in (config, other):
        assert identity(configuration.compose(reproduce.overrides(made))) == identity(made)


def test_a_finished_run_from_elsewhere_names_no_code(tmp_path: Path) -> None:
    command = "python run.py plugins=[my_package] target=class:bee"
    asked = ["experiment=confirm", f"from_run={finished(tmp_path, command)}", f"images={tmp_path}"]
    with pytest.raises(UserError, match=r"plugins=\[my_package\]"):
        configuration.compose(asked)
    assert configuration.compose([*asked, "plugins=[tests]"])["plugins"] == ["tests"]


def test_a_run_that_is_not_finished_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="may not be finished"):
        configuration.compose(["experiment=confirm", f"from_run={tmp_path}"])
