"""Keys stay in the environment and a run in its own folder: no file of a run, and nothing that it says, holds a key.

Nor is anything written into the user's home: only into the run's folder and the store of fetched files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("WANDB_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "ANTHROPIC_API_KEY")
SENTINELS = {name: f"{index}e5c2e7{'0123456789abcdef' * 2}{index}" for index, name in enumerate(NAMES)}
"""Forty hexadecimal digits, as W&B's keys have."""
PROGRAM = "import sys; from diffexplain import cli; sys.exit(cli.main(sys.argv[1:]))"


def call(arguments: list[str], folder: Path, keys: dict[str, str] = SENTINELS) -> str:
    """Call the program with ``keys`` set, and with its home and its store in ``folder``; all that it said."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "XDG_", "MPL", "ORT_"))}
    places = {"HOME": str(folder / "home"), "DIFFEXPLAIN_CACHE": str(folder / "store")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = kept | keys | places | {"WANDB_MODE": "offline"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return f"{done.returncode}\n{done.stdout}\n{done.stderr}"


def holders(folder: Path) -> list[str]:
    """Every file under ``folder`` in which a key can be read, whole or its secret half."""
    secrets = [part.encode() for value in SENTINELS.values() for part in (value, value[:20])]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where a run was made, with libraries that draw, and its mirror sent; and what was said."""
    folder = tmp_path_factory.mktemp("finished")
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "logger=[wandb,csv]"]
    settings.append("classifier._target_=tests.safety.libraries.load_classifier")
    said = call(["run", *settings, f"paths.outputs={folder}/outputs"], folder)
    assert said.startswith("0\n"), said
    assert "W&B cannot" not in said  # With a key, and WANDB_MODE=offline: nothing is asked for.
    (summary,) = folder.rglob("summary.json")
    synced = call(["sync", str(summary.parent)], folder, keys={})  # With a key it would leave this machine.
    assert synced.startswith("0\n"), synced
    return folder, said


def test_a_run_writes_no_key_anywhere_nor_does_its_mirror(finished: tuple[Path, str]) -> None:
    folder, said = finished
    assert list((folder / "outputs").rglob("*.wandb")) and list((folder / "outputs").rglob("metrics.csv"))
    assert holders(folder) == []
    assert not any(value in said for value in SENTINELS.values())


def test_nothing_is_written_into_the_users_home(finished: tuple[Path, str]) -> None:
    assert [str(path) for path in (finished[0] / "home").rglob("*") if path.is_file()] == []


def test_a_failing_run_and_the_shown_configuration_name_no_key(tmp_path: Path) -> None:
    said = call(["run", "--cfg"], tmp_path)
    said += call(["run", "target=class:nothing", f"paths.outputs={tmp_path}"], tmp_path)
    said += call(["run", "classifier=caffenet", f"paths.outputs={tmp_path}"], tmp_path)
    assert not any(value in said for value in SENTINELS.values())


def test_this_test_would_find_a_key(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin").write_bytes(b"\x00" + SENTINELS["HF_TOKEN"].encode() + b"\x00")
    assert holders(tmp_path) == [str(tmp_path / "deep" / "file.bin")]
