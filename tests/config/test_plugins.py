"""Code of the user's: found beside the working directory, part of the identity, and answerable for its own errors."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffexplain.cli import commands
from diffexplain.config import plugins
from diffexplain.config.configuration import compose
from diffexplain.config.identity import identity
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts
from experiments.reliability.runs import run

ROOT = Path(__file__).parents[2]
NETWORK = """
from torch import nn
from my_layers import head


def build(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head(width))
"""
LAYERS = "from torch import nn\n\n\ndef head(width):\n    return nn.Linear(width, 3)\n"
ASKED = [
    "plugins=[my_package]",
    "classifier=checkpoint",
    "classifier.network=my_package.build",
    "classifier.labels=[red,green,blue]",
    "classifier.preprocessing.size=16",
    "classifier.preprocessing.crop=null",
    "diffusion=world",
    "target=class:red",
]
LOAD = """
import sys
from diffexplain import app
from diffexplain.cli import commands
from diffexplain.config import configuration
from diffexplain.pipelines.parts import Parts
def load():
    config = configuration.compose(sys.argv[1:])
    app.plugins.require(config["plugins"])
    print("before torch" if "torch" not in sys.modules else "after torch")
    classifier = Parts().classifier(config["classifier"], config["plugins"])
    print(type(classifier.backbone).__name__)
    return 0
sys.exit(commands.guarded(load))
"""


FAULTS = (
    ("def build():\n    open('weights.pth')\n", 2, "FileNotFoundError: "),
    ("raise OSError(28, 'No space left', 'x')\n", 1, "OSError: [Errno 28]"),
    ("def build(:\n", 1, "SyntaxError: "),
    ("import nothing_of_that_name\n", 1, "ModuleNotFoundError: "),
    (
        "from torch import nn\nclass build(nn.Module):\n    def forward(self, x):\n        return x @ 3\n",
        4,
        "TypeError: ",
    ),
)
"""Files of a user's, with the line at fault and what is said last."""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file of the user's, which imports another."""
    (tmp_path / "my_package.py").write_text(NETWORK)
    (tmp_path / "my_layers.py").write_text(LAYERS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(folder: Path) -> subprocess.CompletedProcess[str]:
    """Load the classifier as a run does, in a process of its own that is started in ``folder``."""
    paths = os.pathsep.join([str(ROOT / "src"), os.environ["PYTHONPATH"]])
    command = [sys.executable, "-P", "-c", LOAD, *ASKED]
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def loaded(overrides: list[str]) -> tuple[int, str]:
    """The exit status with which the classifier is loaded, and what is said of it."""

    def load() -> int:
        config = compose(overrides)
        Parts().classifier(config["classifier"], config["plugins"])
        return 0

    with contextlib.redirect_stderr(io.StringIO()) as said:
        return commands.guarded(load), said.getvalue()


def test_a_file_beside_the_working_directory_is_found_with_what_it_imports(beside: Path) -> None:
    done = load(beside)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["before torch", "Sequential"]


def test_a_missing_package_is_named_with_the_places_looked_in_before_torch_is_imported(tmp_path: Path) -> None:
    done = load(tmp_path)
    assert done.returncode == 2
    assert "There is no package my_package" in done.stderr
    assert f"looked in: {tmp_path}, " in done.stderr
    assert done.stdout == ""


def test_an_error_in_the_users_code_is_theirs_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_loaded", {})  # These tests may have been a plugin of another one's.
    names = [f"my_package_{number}" for number in range(len(FAULTS))]
    for name, (body, _, _) in zip(names, FAULTS, strict=True):
        (tmp_path / f"{name}.py").write_text(body)
    asked = [[override.replace("my_package", name) for override in ASKED] for name in names]
    answers = tmp_path / "answers.json"
    # Forked, so that what they import is gone with the process.
    done = run(lambda: int(not answers.write_text(json.dumps([*map(loaded, asked)]))), tmp_path / "log")
    assert done.status == 0, done.said
    for name, (status, text), (_, line, last) in zip(names, json.loads(answers.read_text()), FAULTS, strict=True):
        said = text.splitlines()
        assert status == 1, text
        assert said[0] == f"An error in your code ({name}), not in diffexplain's:"
        assert f'  File "{tmp_path}/{name}.py", line {line}' in text
        assert said[-1].startswith(last)
        assert "src/diffexplain/" not in text.split(f"{name}.py", 1)[0]
        assert "paths.outputs" not in text


def test_the_source_of_a_package_and_of_what_it_imports_beside_it_makes_the_run(beside: Path) -> None:
    assert set(plugins.source_files("my_package")) == {"my_package.py", "my_layers.py"}
    before = identity(compose(ASKED))
    (beside / "notes.py").write_text("not imported")
    assert identity(compose(ASKED)) == before
    (beside / "my_layers.py").write_text(LAYERS.replace("Linear(width, 3)", "Linear(width, 3, bias=False)"))
    changed = identity(compose(ASKED))
    (beside / "my_package.py").write_text(NETWORK.replace("width=4", "width=5"))
    assert len({before, changed, identity(compose(ASKED))}) == 3


def test_every_source_file_of_a_folder_counts_and_nothing_that_only_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "my_folder"
    for folder in ("", "parts", ".git", "__pycache__", "venv/lib/site-packages"):
        (package / folder).mkdir(parents=True, exist_ok=True)
        (package / folder / "one.py").write_text("import torch\n")
    (package / "data.csv").write_text("1,2")
    monkeypatch.chdir(tmp_path)
    assert set(plugins.source_files("my_folder")) == {"my_folder/one.py", "my_folder/parts/one.py"}


def test_what_lies_beside_an_installed_package_is_not_its_own() -> None:
    files = plugins.source_files("packaging.version")
    assert "packaging/version.py" in files
    assert {name.partition("/")[0] for name in files} == {"packaging"}


def test_two_packages_of_one_name_are_not_taken_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packaging.py").write_text("def build(): ...\n")
    monkeypatch.chdir(tmp_path)
    import packaging  # noqa: F401

    monkeypatch.setattr(plugins, "_loaded", {})
    with pytest.raises(UserError, match="Two packages are called packaging"):
        plugins.load("packaging")
