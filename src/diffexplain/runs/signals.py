"""SIGTERM and SIGINT: one line and an exit status, whatever the program is doing. Imports nothing that takes time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from diffexplain.errors import Interrupted

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_in_command = False


@contextmanager
def command() -> Iterator[None]:
    """A command of this package: SIGTERM raises `Interrupted`, SIGINT `KeyboardInterrupt`; then all is as before."""
    global _in_command
    before, _in_command = _in_command, True
    try:
        with _handled(stop, *_NUMBERS):
            yield
    finally:
        _in_command = before


@contextmanager
def loading() -> Iterator[None]:
    """While libraries or models load and nothing is written: in a command, either signal ends the process at once.

    What is raised while they load is lost: they catch whatever their imports raise, and C code that calls back prints
    it and goes on. Another program that uses this package ends as it likes.
    """
    with _handled(_end, *(_NUMBERS if _in_command else ())):
        yield


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM raises `Interrupted`, whoever uses this package."""
    with _handled(stop, signal.SIGTERM):
        yield


def stop(number: int, frame: FrameType | None) -> None:
    """A signal's handler that raises."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Interrupted(signal.Signals(number).name)


def _end(number: int, frame: FrameType | None) -> None:
    stopped = Interrupted(signal.Signals(number).name)
    os.write(2, f"diffexplain: {stopped}\n".encode())
    os._exit(stopped.exit_status)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Signals reach a process's main thread alone; one that is ignored, as a shell's background job does, stays so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in numbers}
        before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
