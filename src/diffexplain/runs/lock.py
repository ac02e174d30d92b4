"""One process per run: a lock that the kernel takes back when its owner dies."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from diffexplain.errors import OwnedElsewhere
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json

_LOOK = 0.2
"""Seconds for which somebody who only looks whether the lock is free may have it, and never does."""


class RunLock:
    """A lock file beside a run's directory, and next to it a note that says who holds it.

    The note may outlive its writer and is read only while the lock is held.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_suffix(".owner")
        self._lock = FileLock(path)

    def acquire(self) -> None:
        """Take the lock, or raise at once.

        Raises:
            OwnedElsewhere: another process has it; the message names that process.
            RetryableError: the folder cannot be written to.
        """
        with atomic.storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._take(_LOOK)
            for stray in self.path.parent.glob(f".{self._note.name}.*.tmp"):
                stray.unlink(missing_ok=True)  # Of an owner that was killed while it wrote the note.
            atomic.write_json(self._note, {"host": socket.gethostname(), "process": os.getpid()})

    def check_free(self) -> None:
        """Look whether another process has it, and write nothing: where there is no file, nobody has.

        Raises:
            OwnedElsewhere: as `acquire`.
        """
        if self.path.exists():
            with atomic.storage_errors(self.path):
                self._take()
                self._lock.release()

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        self._lock.release()

    def _take(self, seconds: float = 0) -> None:
        try:
            self._lock.acquire(timeout=seconds, poll_interval=0.02)
        except Timeout:
            raise OwnedElsewhere(f"This run is already being made by {self._owner()}; nothing to do here.") from None

    def _owner(self) -> str:
        try:
            note = read_json(self._note)
            return f"process {note['process']} on {note['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
