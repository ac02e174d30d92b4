"""A signal ends a command in one line, wherever it comes; and nothing of the handlers is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffexplain.errors import Interrupted, RetryableError
from diffexplain.runs import signals

ROOT = Path(__file__).parents[2]
STATUS = {signal.SIGTERM: 75, signal.SIGINT: 130}
SWALLOWING = """
import os, signal, sys
from diffexplain.runs import signals

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
with signals.command(), signals.loading():
    try:  # as libraries do around what they import, and C code around what it calls back
        os.kill(os.getpid(), int(sys.argv[1]))
    except BaseException:
        pass
    print("went on")
"""


def ended(program: subprocess.Popen[str], number: signal.Signals) -> None:
    output, errors = program.communicate(timeout=300)
    assert program.returncode == STATUS[number], errors
    assert output == ""
    assert errors == f"diffexplain: Stopped by {number.name}; the same command continues from here.\n"


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def send(number: signal.Signals) -> None:
    """To this process, which has a moment to meet it."""
    os.kill(os.getpid(), number)
    time.sleep(1)


@pytest.mark.parametrize("number", STATUS)
def test_what_swallows_everything_does_not_swallow_a_signal(number: signal.Signals) -> None:
    ended(started("-c", SWALLOWING, str(int(number))), number)


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("module", ["hydra", "torch"])
def test_a_signal_while_a_library_loads(module: str, number: signal.Signals, tmp_path: Path) -> None:
    """Sent by the library's own first line, before torch for the commands, and after it for a run."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.abc, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Sending(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Sending())\n"
    )
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend"]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"}
    command = [sys.executable, "run.py", *settings, f"paths.outputs={tmp_path}/outputs"]
    program = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ended(program, number)
    assert not (tmp_path / "outputs").exists()


def test_signals_raise_in_a_command_and_are_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.signal(number, signal.default_int_handler) for number in STATUS]
    try:
        with signals.command():
            with pytest.raises(Interrupted):
                send(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
        assert [signal.getsignal(number) for number in STATUS] == [signal.default_int_handler] * 2
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with signals.command(), signals.loading():  # A shell's background job stays deaf to the keyboard.
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        for number, handler in zip(STATUS, before, strict=True):
            signal.signal(number, handler)


def test_in_somebody_elses_program_nothing_ends_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals.loading():
        assert signal.getsignal(signal.SIGTERM) is before
    with signals.stopping(), pytest.raises(Interrupted):
        send(signal.SIGTERM)


def test_what_catches_every_exception_does_not_catch_an_interruption() -> None:
    assert not issubclass(Interrupted, (Exception, RetryableError))
