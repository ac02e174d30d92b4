"""Keys stay in the environment: no file of a run, and nothing that it says, holds one."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = ("WANDB_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "ANTHROPIC_API_KEY")
SENTINELS = {name: f"{index}e5c2e7{'0123456789abcdef' * 2}{index}" for index, name in enumerate(NAMES)}
"""Forty hexadecimal digits, as W&B's keys have."""


def with_keys(*arguments: str, home: Path) -> str:
    """Run the program with every key set, in a home of its own; all that it said."""
    environment = os.environ | SENTINELS | {"HOME": str(home), "WANDB_MODE": "offline", "WANDB_DIR": str(home)}
    command = [sys.executable, "run.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return f"{done.returncode}\n{done.stdout}\n{done.stderr}"


def holders(folder: Path) -> list[str]:
    """Every file under ``folder`` in which a key can be read, whole or its secret half."""
    secrets = [part.encode() for value in SENTINELS.values() for part in (value, value[:20])]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]


def test_a_run_writes_no_key_anywhere_nor_does_its_mirror(tmp_path: Path) -> None:
    settings = [
        "paths.configs=[tests/conf]",
        "plugins=[tests]",
        "experiment=pretend",
        "logger=wandb",
        f"paths.outputs={tmp_path}/outputs",
    ]
    said = with_keys(*settings, home=tmp_path)
    assert said.startswith("0\n"), said
    assert list((tmp_path / "outputs").rglob("summary.json"))
    assert list(tmp_path.rglob("*.wandb"))
    assert holders(tmp_path) == []
    assert not any(value in said for value in SENTINELS.values())


def test_a_failing_run_and_the_shown_configuration_name_no_key(tmp_path: Path) -> None:
    said = with_keys("--cfg", home=tmp_path)
    said += with_keys("target=class:nothing", f"paths.outputs={tmp_path}", home=tmp_path)
    said += with_keys("classifier=caffenet", f"paths.outputs={tmp_path}", home=tmp_path)
    assert not any(value in said for value in SENTINELS.values())


def test_this_test_would_find_a_key(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin").write_bytes(b"\x00" + SENTINELS["HF_TOKEN"].encode() + b"\x00")
    assert holders(tmp_path) == [str(tmp_path / "deep" / "file.bin")]
