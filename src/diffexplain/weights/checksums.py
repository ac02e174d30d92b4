"""SHA-256 of files, kept by what tells a file apart, so that a weights file is read once and not at every start.

A digest is kept in the store's ``digests.json`` under device, inode, size and both times of the file. Writing to a file
changes its times, and what is younger than two seconds is not kept, since a file system's clock may not tell two writes
in a row apart. Imports neither torch nor anything that reaches the network.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

from diffexplain.errors import RetryableError
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json

FILE = "digests.json"
SETTLED = 2_000_000_000
"""Nanoseconds after which a file that was written is known by its times."""
WORTH = 1 << 20
"""Bytes from which on reading a file again costs more than keeping its digest beyond this process."""
_MOST = 10_000
"""Digests kept; the oldest are forgotten."""

Kept = dict[str, tuple[str, str]]
"""SHA-256 and path of files, by what tells each apart."""


def file_sha256(path: Path) -> str:
    """SHA-256 of the whole content of a file, in hexadecimal; read only if it is not known.

    Raises:
        OSError: it cannot be read.
    """
    before = path.stat()
    key, memory = _key(before), _memory()
    known = _known(memory)
    if key in known:
        return known[key][0]
    digest = read_sha256(path)
    after = path.stat()
    if _key(after) == key and time.time_ns() - max(after.st_mtime_ns, after.st_ctime_ns) > SETTLED:
        known[key] = (digest, str(path))
        if after.st_size >= WORTH:
            _write(memory, {**_read(memory), key: known[key]})
    return digest


def read_sha256(path: Path) -> str:
    """SHA-256 of a file, read anew.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def kept() -> dict[Path, str]:
    """The digests that are kept of files which are, by their size and times, still as they were."""
    found = {}
    for key, (digest, text) in _read(_memory()).items():
        with suppress(OSError):
            if _key(Path(text).stat()) == key:
                found[Path(text)] = digest
    return found


def forget(path: Path) -> None:
    """Take the digests of a file out of what is kept."""
    memory = _memory()
    for known in (_known(memory), rest := _read(memory)):
        for key in [key for key, (_, text) in known.items() if text == str(path)]:
            del known[key]
    _write(memory, rest)


def _memory() -> Path:
    from diffexplain.weights.store import store_folder

    return store_folder() / FILE


@lru_cache(maxsize=4)
def _known(memory: Path) -> Kept:
    """What is kept in ``memory``; this process adds to it."""
    return _read(memory)


def _read(memory: Path) -> Kept:
    try:
        content = read_json(memory)
        return {str(key): (str(digest), str(path)) for key, (digest, path) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # Not there, or damaged: files are read again.
        return {}


def _write(memory: Path, content: Kept) -> None:
    """Replace the file as a whole: where two processes do so at once, a digest is lost and read again."""
    newest = dict(list(content.items())[-_MOST:])
    with suppress(OSError, RetryableError):  # A store that cannot be written to costs time and nothing else.
        atomic.write_bytes(memory, json.dumps(newest, indent=0).encode())


def _key(status: os.stat_result) -> str:
    values = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return "-".join(map(str, values))
