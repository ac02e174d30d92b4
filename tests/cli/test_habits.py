"""What users of Hydra type by habit does here what it does there, or one sentence says what does it."""

from __future__ import annotations

import logging

import pytest
import yaml

from diffexplain.cli import main, run

OWN = ("--config-dir", "tests/conf", "classifier=pretend", "plugins=[tests]", "target=class:pole")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/diffexplain"])


def test_the_configuration_and_parts_of_it_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--cfg", "job", "--package", "trainer"], ["-c", "job", "-p", "trainer", "--resolve"]):
        assert run(["trainer=cpu", *options]) == 0
        assert yaml.safe_load(capsys.readouterr().out)["accelerator"] == "cpu"
    assert run(["--cfg=job", "--package=trainer.precision"]) == 0
    assert capsys.readouterr().out == "32-true\n"
    assert run(["--cfg", *OWN]) == 0  # A folder of the user's, and no word behind the option.
    assert yaml.safe_load(capsys.readouterr().out)["classifier"]["name"] == "pretend"
    assert run(["--help", *OWN[:2]]) == 0
    assert ", pretend, " in capsys.readouterr().out
    assert main(["list", "choices", "paths.configs=[tests/conf]"]) == 0
    assert "classifier=pretend\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cfg", "hydra"], "--cfg job"),
        (["--cfg", "job", "--package", "trainr"], "nearest:  trainer"),
        (["--info", "default"], "defaults"),
        (["--config-dir"], "--config-dir <dir>"),
        (["--config-dr", "conf"], "nearest:  --config-dir"),
        (["hydra.run.dir=here", "--cfg"], "paths.outputs=<folder>"),
    ],
)
def test_what_cannot_be_shown_says_what_can(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(options) == 2
    assert said in capsys.readouterr().err


def test_hydra_tells_how_a_configuration_is_composed(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = list(logging.getLogger().handlers)
    assert run(["--info", "searchpath", *OWN]) == 0
    assert "tests/conf" in capsys.readouterr().out
    assert run(["--info", "defaults-tree", "logger=[wandb,csv]", "target=class:kit's fox"]) == 0
    assert "logger@logger.csv: csv" in capsys.readouterr().out
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize(
    ("line", "follows"),
    [
        ("diffexplain pl", {"plan"}),
        ("diffexplain list h", {"hierarchies"}),
        ("diffexplain run logger=w", {"logger=wandb"}),
        ("diffexplain plan explainer=diffex explainer.be", {"explainer.beam="}),
        ("diffexplain list classes classifier=world_fair", {"classifier=world_fair_cnn", "classifier=world_fair_vit"}),
        ("diffexplain run explainer=nothing explainer.be", set()),
    ],
)
def test_a_shell_completes_commands_choices_and_keys(
    line: str, follows: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert set(capsys.readouterr().out.split()) == follows


def test_completion_is_installed_for_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["-sc", "install=bash"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("hydra_bash_completion diffexplain")
    assert main(["-sc", "install=csh"]) == 2
    assert "install=bash" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["run.py"])
    assert run(["-sc", "install=bash"]) == 2
    assert 'eval "$(diffexplain -sc install=bash)"' in capsys.readouterr().err
