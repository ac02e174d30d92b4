"""Whoever reads what a command says may stop; where it cannot be written, that is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from diffexplain import cli; sys.exit(cli.main(sys.argv[1:]))"
PRINTING = [sys.executable, "-c", PROGRAM, "list", "choices"]
SWEEPING = """
import sys
from diffexplain import app, cli
from diffexplain.cli import commands
from diffexplain.report import sweep

def make(config, parts=None):
    print("told", flush=True)
    print("told", file=sys.stderr, flush=True)
    open(sys.argv[1], "a").write("made")
    return app.Outcome(__import__("pathlib").Path("."), None, True)

commands.app.make = make
commands.app.finish_sweep = lambda folder, jobs: ([], [])
sweep.sweep_table = lambda rows: "table"
sys.exit(cli.run(["-m", "seed=0,1,2"]))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(PRINTING, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "diffexplain: Cannot write to standard output: No space left on device.\n"
    assert done.returncode == 75


def closed() -> int:
    """The end to write to of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("errors_too", [False, True])
def test_a_sweep_goes_on_where_nobody_reads_what_it_says(errors_too: bool, tmp_path: Path) -> None:
    output = closed()
    errors = output if errors_too else subprocess.PIPE
    command = [sys.executable, "-c", SWEEPING, str(tmp_path / "made")]
    done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=errors, text=True, check=False)
    os.close(output)
    assert (tmp_path / "made").read_text() == "made" * 3
    assert done.returncode == 0
    assert errors_too or done.stderr == "told\n" * 3


def test_a_program_without_standard_output_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *PRINTING], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_circle_of_links_as_outputs_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    program = (
        "import sys; from diffexplain import cli; s = cli.run(sys.argv[1:]); print('torch' in sys.modules); sys.exit(s)"
    )
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", f"paths.outputs={tmp_path}/a"]
    done = subprocess.run(
        [sys.executable, "-c", program, *settings], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert "Cannot write" in line and f"{tmp_path}/a" in line
    assert done.returncode == 75
    assert done.stdout == "False\n"  # It is said before anything is loaded.
