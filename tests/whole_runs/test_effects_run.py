"""A run that ranks effects, from configuration to report, made of parts that pretend."""

import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger
from tests.overriding import changed
from tests.pretend import ACCIDENT, explain_until_killed
from tests.whole_runs.test_app import artefacts

import diffexplain
from diffexplain import app, cli
from diffexplain.concepts.file import shipped
from diffexplain.config import configuration
from diffexplain.config.fetch_command import fetch_command
from diffexplain.config.identity import identity
from diffexplain.report import Summary, load_run, wandb_mirror
from diffexplain.report.page import render
from diffexplain.weights.sources import sources

ROOT = Path(__file__).parents[2]
FLAG = ("companion", "flag")


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    monkeypatch.delenv(ACCIDENT, raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    shared = ["paths.configs=[tests/conf]", "plugins=[tests]"]
    return [*shared, "experiment=pretend_effects", f"paths.outputs={tmp_path}/outputs"]


class Tags(HTMLParser):
    """Checks that tags are closed in order, and counts them."""

    VOID = ("meta", "img", "link", "br", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_run_ranks_the_flag_first_and_writes_its_files(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(settings) == 0
    directory = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    summary = Summary.load(directory)
    effects = summary.effects
    assert effects is not None
    first = effects.rankings[0].ranked[0]
    assert (first.path, first.over_all.significant) == (FLAG, True)
    assert first.over_all.score.value > 0.9
    assert first.took is not None and first.took.value == 1
    best = effects.rankings[0].best
    assert best is not None and best.paths == (FLAG,)
    assert effects.budget.evaluations == effects.budget.images + effects.budget.search_images
    assert (summary.activation, summary.object_absence, summary.words) == ((), None, None)
    assert summary.settings.keys() & {"prompt", "gradient", "evaluation"} == set()
    assert Summary.from_json(summary.to_json()) == summary

    loaded = load_run(directory)
    assert loaded.effects[0].path == FLAG
    assert loaded.effects[0].score_present > loaded.effects[0].score_without + 0.9
    assert loaded.effects[0].present.shape == (32, 32, 3)
    page = loaded.report.read_text(encoding="utf-8")
    assert page == render(load_run(directory))
    tags = Tags(page)
    assert tags.count["img"] == 2 * (len(loaded.effects) + 2)  # the first screen shows a pair of two concepts
    assert tags.count["details"] >= 4
    assert "A flag</span>" in page and "raises the probability of" in page
    for heading in ("Not known", "What moves it", "Without it and with it", "Together", "What it cost"):
        assert f"<h2>{heading}</h2>" in page

    assert cli.run(settings) == 0
    assert "Already finished" in capsys.readouterr().out
    words = shlex.split(summary.command)
    again = configuration.compose([*words[2:], settings[-1]])
    assert app.make({**again, "target": "class:pole"}).made is False

    copy = Copy()
    wandb_mirror.show_findings(WandbLogger(experiment=copy), directory)  # type: ignore[arg-type]
    assert copy.summary["effects/top"] == "a flag"
    assert copy.logged["concepts"].data[0][:2] == ["pretend", "companion > flag"]
    assert copy.logged["combinations"].data[0][:2] == ["pretend", "companion > flag"]
    assert len(copy.logged["edits"]) == len(loaded.effects) and "differences" not in copy.logged


def test_classifiers_are_compared_on_the_same_edits(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*settings, "compare=[pretend_other]"]) == 0
    directory = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    summary = Summary.load(directory)
    assert summary.effects is not None
    assert [ranking.classifier for ranking in summary.effects.rankings] == ["pretend", "pretend_other"]
    assert summary.effects.rankings[1].ranked[0].path == ("companion", "tree")
    flag = next(difference for difference in summary.effects.differences if difference.path == FLAG)
    assert (flag.first, flag.second) == ("pretend", "pretend_other")
    assert flag.effect.significant and flag.effect.score.value > 0.9

    page = (directory / "report.html").read_text(encoding="utf-8")
    Tags(page)
    for text in (
        "<h2>What moves pretend</h2>",
        '<button type="button">pretend_other</button>',
        '<h3 class="after">pretend minus pretend_',
    ):
        assert text in page
    assert "pretend and pretend_other differ on 3 of 8 concepts, the most on tree, whose effect is 1.00 lower" in page
    copy = Copy()
    wandb_mirror.show_findings(WandbLogger(experiment=copy), directory)  # type: ignore[arg-type]
    assert {row[0] for row in copy.logged["concepts"].data} == {"pretend", "pretend_other"}
    assert copy.logged["differences"].data[0][:2] == ["pretend", "pretend_other"]

    words = shlex.split(summary.command)
    assert "compare=[pretend_other]" in words
    assert app.make(configuration.compose([*words[2:], settings[-1]])).made is False
    alone, other = (configuration.compose([*settings, f"compare={names}"]) for names in ("[]", "[pretend_other]"))
    changed = {**other, "compared": {"pretend_other": {**other["compared"]["pretend_other"], "seed": 1}}}
    assert len({identity(config) for config in (alone, other, changed)}) == 3


class Copy:
    """A W&B run that keeps what it is told."""

    offline = True
    id = "the-id"

    def __init__(self) -> None:
        self.logged: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}

    def log(self, values: dict[str, Any]) -> None:
        self.logged |= values

    def log_artifact(self, artifact: Any) -> None:
        pass

    def define_metric(self, *_names: Any, **_more: Any) -> None:
        pass


def test_killed_and_started_again_gives_the_bytes_of_an_uninterrupted_run(settings: list[str], tmp_path: Path) -> None:
    diffexplain.explain(*settings)
    expected = artefacts(tmp_path / "outputs")
    elsewhere = [*settings[:-1], f"paths.outputs={tmp_path}/killed"]
    explain_until_killed(elsewhere)
    assert not list((tmp_path / "killed").rglob("summary.json"))
    assert list((tmp_path / "killed").rglob("edits-*.json"))
    diffexplain.explain(*elsewhere)
    made = artefacts(tmp_path / "killed")
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name] and not name.endswith("manifest.json")] == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("concepts.hierarchy=wrld", "nearest:  world"),
        ("effects.policy=halve", "halving"),
        ("trainer.precision=bf16-mixed", "32-true"),
        ("prompt=free", "reads no prompt"),
        ("compare=[pretend_othr]", "nearest:  pretend_other"),
        ("compare=[pretend]", "once"),
        ("compare=[pretend_alien]", "pretend_alien has no such class"),
        ("compare=pretend_other", "must be a list"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_loaded(
    override: str, told: str, settings: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pretend.load_classifier", lambda: pytest.fail("weights were loaded"))
    assert cli.run(changed(settings, override)) == 2
    assert told in capsys.readouterr().err


def test_a_unit_is_not_compared(settings: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*settings, "compare=[pretend_other]", "target=unit:layer:1@pole"]) == 2
    assert "only classes can be compared" in capsys.readouterr().err


def test_what_is_compared_is_fetched_too() -> None:
    config = configuration.compose(["explainer=diffex", "classifier=resnet50", "compare=[alexnet]"])
    alone = configuration.compose(["explainer=diffex", "classifier=resnet50"])
    (more,) = [source for source in sources(config) if source not in sources(alone)]
    assert "alexnet" in str(more)
    assert "compare=[alexnet]" in shlex.split(fetch_command(config))


def test_each_classifier_brings_the_concepts_that_fit_it() -> None:
    found = {
        name: configuration.compose(["explainer=diffex", f"classifier={name}"])["concepts"]["hierarchy"]
        for name in configuration.available()["classifier"]
    }
    assert {name for name, hierarchy in found.items() if hierarchy == "world"} == {
        name for name in found if name.startswith("world")
    }
    assert set(found.values()) <= set(shipped())


def test_a_sweep_over_both_kinds_of_method_shows_what_each_found(settings: list[str], tmp_path: Path) -> None:
    shared = [text for text in settings if not text.startswith("experiment=")]
    sweep = [*shared, "-m", "experiment=pretend,pretend_effects"]
    assert cli.run(sweep) == 0
    (page,) = tmp_path.glob("outputs/sweeps/*/report.html")
    text = page.read_text(encoding="utf-8")
    assert text.count('<span class="badge spurious">a flag</span>') == 2
    assert text.count("a flag<small>+0.98, interval") == 2
