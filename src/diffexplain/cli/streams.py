"""Standard output and error, which may be closed or full while a command goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import IO, Any


class Stream:
    """A stream that ends nothing when it fails: what a run finds is in its files, whoever reads what it says.

    Attributes:
        failure: why nothing more is written; None as long as all was.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error
            with suppress(OSError):  # From here on nowhere: Python would try to write what is left when it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextmanager
def lasting() -> Iterator[Stream]:
    """Standard output and error as `Stream`; gives the former, flushed when the block has ended."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # Where one was closed, Python has none.
        output, errors = Stream(sys.stdout or nowhere), Stream(sys.stderr or nowhere)
        with redirect_stdout(output), redirect_stderr(errors):
            yield output
            output.flush()
            errors.flush()
