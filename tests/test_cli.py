"""The command line itself: help, lists, and what must happen before torch is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diffexplain import cli
from diffexplain.configuration import available, defaults

ROOT = Path(__file__).parents[1]
WITHOUT_TORCH = """
import sys
from diffexplain import cli
status = cli.run(sys.argv[1:])
assert "torch" not in sys.modules, "torch was imported"
assert "diffusers" not in sys.modules
sys.exit(status)
"""


def without_torch(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done


def test_help_has_six_examples_and_every_choice_and_is_no_dump() -> None:
    text = without_torch("--help").stdout
    assert sum(line.startswith("  python run.py") for line in text.splitlines()) == 6
    for group, choices in available().items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {group} ")]
        for choice in choices:
            assert f"{choice}{'*' if choice == defaults()[group] else ''}" in line
    assert "_target_" not in text
    assert len(text.splitlines()) < 40


def test_run_py_is_the_same_and_needs_no_arguments_for_help() -> None:
    done = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == cli.help_page()


def test_a_wrong_class_ends_before_torch_is_imported(tmp_path: Path) -> None:
    error = without_torch("target=class:flagpoel", f"paths.outputs={tmp_path}", status=2).stderr
    assert "flagpoel" in error
    assert "nearest:  flagpole" in error
    assert "diffexplain list classes classifier=world_shortcut_cnn" in error
    assert not list(tmp_path.iterdir())


def test_an_unknown_key_ends_with_its_nearest(tmp_path: Path) -> None:
    error = without_torch("evaluation.imges=3", status=2).stderr
    assert "nearest:  evaluation.images" in error


def test_a_finished_run_is_found_without_torch(tmp_path: Path) -> None:
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", f"paths.outputs={tmp_path}"]
    assert subprocess.run([sys.executable, "run.py", *settings], cwd=ROOT, check=False).returncode == 0
    done = without_torch(*settings)
    assert "Already finished" in done.stdout
    assert str(tmp_path) in done.stdout
    sweep = without_torch("-m", *settings, "target=class:pole,class:mast")
    assert sweep.stdout.count("a flag") == 2


def test_classes_and_choices_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "classes", "classifier=world_shortcut_cnn"]) == 0
    lines = capsys.readouterr().out.splitlines()
    labels = ROOT / "src/diffexplain/world/weights/classifiers/shortcut_cnn/labels.json"
    assert len(lines) == 1 + len(json.loads(labels.read_text())["classes"])
    assert any("flagpole" in line for line in lines)
    assert cli.main(["list", "choices"]) == 0
    assert "classifier=world_shortcut_cnn *" in capsys.readouterr().out


def test_units_can_be_listed_and_a_wrong_one_is_refused_before_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["list", "units", "classifier=world_shortcut_cnn"]) == 0
    module, channels = capsys.readouterr().out.splitlines()[-2].split()[:2]

    def no_weights(*arguments: object, **options: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("diffexplain.classifiers.classifier.load_state", no_weights)
    outputs = f"paths.outputs={tmp_path}"
    assert cli.run([f"target=unit:{module}x:0", outputs]) == 2
    error = capsys.readouterr().err
    assert f"nearest:  {module}" in error
    assert "diffexplain list units classifier=world_shortcut_cnn" in error
    assert cli.run([f"target=unit:{module}:{channels}", outputs]) == 2
    assert f"channels 0 to {int(channels) - 1}" in capsys.readouterr().err


def test_commands_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lst"]) == 2
    assert "nearest:  list" in capsys.readouterr().err
    assert cli.main(["list", "clases"]) == 2
    assert "nearest:  classes" in capsys.readouterr().err
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert "diffexplain sync" in capsys.readouterr().out
    assert cli.main(["sync"]) == 2
    assert cli.main(["sync", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
