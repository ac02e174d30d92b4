"""What README and docs show can be typed: Python is run, commands come to the beginning of what they do.

A run in a block of Python is made of parts that pretend, after what is typed was composed. A page marks what needs
weights (``<!-- needs weights -->`` above the block), and nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.docs.pages import NOTEBOOK, ROOT, Block, blocks, cells, pretended
from tests.report import samples

from diffexplain import app, cli
from diffexplain.cli.commands import COMMANDS
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.config import configuration, fetch_command
from diffexplain.config.overrides import check_given_once
from diffexplain.errors import UserError
from diffexplain.runs.launch import is_of_launcher

NEEDS_WEIGHTS, TAKES_MINUTES = "needs weights", "takes minutes"
TRIED_ELSEWHERE = "docs/classifiers.md"
"""Its commands are tried on small networks by ``test_classifiers.py``."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
PLACES = {
    "<this repository>": "repository",
    "outputs/<classifier>/<target>/<run>": "finished",
    "<run>": "finished",
    "<folder>": "photographs",
    "<owner>/<name>": "owner/name",
}
"""What a reader fills in, and what is there in the folder of `follower`."""
RECORDER = """
set -eu
record() { (IFS=$'\\x1f'; printf '%s\\n' "$*" >> recorded); }
for name in python diffexplain make git pip cd; do eval "$name() { record $name \\"\\$@\\"; }"; done
"""
PYTHON = blocks("python")


@pytest.fixture(autouse=True)
def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody who follows a page, with what the pages suppose to be there."""
    monkeypatch.chdir(tmp_path)
    for name in ("tests", "run.py", "experiments"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "photographs").mkdir()
    for number in range(2):
        Image.new("RGB", (64, 64), (80 * number, 90, 100)).save(tmp_path / "photographs" / f"{number}.png")
    (tmp_path / "mine.yaml").write_text("concepts: [{name: companion, kind: object, children: [a flower, a tree]}]")
    (tmp_path / "classes.txt").write_text("bee\nflagpole\n")
    for name in ("my_package", "my_network"):
        (tmp_path / f"{name}.py").write_text("def build(): ...\n")
    for name in ("best.ckpt", "epoch_01.ckpt", "epoch_10.ckpt"):
        (tmp_path / name).write_bytes(b"weights")
    run = samples.run_in(tmp_path / "finished")
    run.write_text("summary.json", samples.summary_of(run, samples.evaluation()).to_json())
    run.write_text("concepts.yaml", (tmp_path / "mine.yaml").read_text())
    return tmp_path


def typed(block: Block) -> list[list[str]]:
    """The commands of a block as bash reads them, each as its words."""
    text = block.text
    for said, place in PLACES.items():
        text = text.replace(said, place)
    shell = subprocess.run(["bash", "-c", RECORDER + text], capture_output=True, text=True, check=False)
    assert shell.returncode == 0, shell.stderr
    return [line.split("\x1f") for line in Path("recorded").read_text().splitlines()]


def needs_weights(words: list[str]) -> bool:
    """Whether a command needs weights from elsewhere, after all that can be said of it without them."""
    match words:
        case ["python", "run.py", *rest] | ["diffexplain", "run", *rest]:
            if {"--help", "--cfg", "--info"} & set(rest):
                assert cli.run(rest) == 0
                return False
            return sum(lacks_weights(config) for config in runs(rest)) > 0  # All of them are tried.
        case ["diffexplain", "list", *rest]:
            assert cli.main(["list", *rest]) == 0
        case ["diffexplain", "fetch", *rest]:
            return lacks_weights(configuration.compose(rest))
        case ["diffexplain", command, *_]:
            assert command in COMMANDS
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case ["make", target]:
            assert target in TARGETS
        case ["pip", "install", package]:
            assert set(re.findall(r"\[(\w+)\]", package)) <= EXTRAS.keys()
        case ["git", "clone", _] | ["cd", _]:
            pass
        case _:
            pytest.fail(f"nobody knows what this does: {words}")
    return False


def runs(rest: list[str]) -> Iterator[Mapping[str, Any]]:
    """The configuration of a command's run, or of the first and the last run of its sweep."""
    check_given_once([text for text in rest if text != "-m"])
    if rest[:1] != ["-m"]:
        yield configuration.compose(rest)
        return
    jobs = app.plan_sweep([text for text in rest[1:] if not is_of_launcher(text)])
    yield from (jobs[0].config, jobs[-1].config)


def lacks_weights(config: Mapping[str, Any]) -> bool:
    app.resolve_target(config)
    try:
        fetch_command.require(config)
    except UserError as error:
        return "diffexplain fetch" in str(error)
    return False


def run_python(text: str, names: dict[str, object]) -> None:
    """Run it; an exit with status 0 is its end."""
    status = None
    torch.manual_seed(0)  # A page's network has random weights, whose answers may look like probabilities.
    try:
        exec(compile(text, "<page>", "exec"), names)
    except SystemExit as stop:
        status = stop.code
    assert not status


@pytest.mark.parametrize("block", [one for one in blocks("") if one.page != TRIED_ELSEWHERE], ids=str)
def test_commands_come_to_the_beginning_of_what_they_do(block: Block) -> None:
    commands = typed(block)
    assert commands
    assert (sum(needs_weights(words) for words in commands) > 0) == (block.mark == NEEDS_WEIGHTS)


@pytest.mark.parametrize("block", [one for one in PYTHON if one.mark is None], ids=str)
def test_python_runs(block: Block, monkeypatch: pytest.MonkeyPatch, follower: Path) -> None:
    monkeypatch.setattr(app, "explain", pretended)
    (follower / "photographs").rename(follower / "others")
    run_python(block.text, {})


@pytest.mark.slow
@pytest.mark.parametrize("block", [one for one in PYTHON if one.mark == TAKES_MINUTES], ids=str)
def test_python_runs_that_takes_minutes(block: Block) -> None:
    run_python(block.text, {})


@pytest.mark.parametrize("block", [one for one in PYTHON if one.mark is not None], ids=str)
def test_python_that_is_not_run_imports_what_there_is(block: Block) -> None:
    assert block.mark in (NEEDS_WEIGHTS, TAKES_MINUTES)
    imports = [node for node in ast.parse(block.text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    run_python("\n".join(ast.unparse(node) for node in imports), {})


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_a_hierarchy(block: Block, tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(block.text)
    assert Hierarchy.load(tmp_path / "page.yaml").concepts()


def test_there_are_no_blocks_of_other_kinds() -> None:
    assert {block.kind for block in blocks()} <= {"", "python", "yaml", "text"}


def test_the_notebook_holds_what_its_cells_show_and_no_place_of_the_machine_that_ran_them() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(text) < 400_000 and not re.search(r"/(tmp|home|root|work|Users)/", text)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    shown = {kind for cell in code for output in cell["outputs"] for kind in output.get("data", ())}
    assert {"text/html", "image/png"} <= shown
    # Its outputs are those of its cells as they are.
    digests = [hashlib.sha256("".join(cell["source"]).encode()).hexdigest() for cell in code]
    assert [cell["metadata"]["sha256"] for cell in code] == digests, "python examples/store_outputs.py"


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "explain", pretended)
    run_python("\n".join(cells()), {})


@pytest.mark.slow
def test_the_notebook_runs_with_the_embedded_parts() -> None:
    names: dict[str, object] = {}
    for cell in cells():
        run_python(cell, names)


def test_exit_statuses_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "reference" / "exit_statuses.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert told == re.findall(r"(\d+): ", str(cli.commands.__doc__))


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", "docs/site/mkdocs.yml"]
    command += ["--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "reference" / "configuration" / "index.html").is_file()
    assert "https://fonts" not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
