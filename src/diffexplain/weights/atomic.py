"""Files that are there whole or not at all, whatever kills the program while it writes."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffexplain.errors import RetryableError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ESTALE),
)


def write_bytes(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``: temporary file beside it, flush to disk, rename, flush the folder.

    Raises:
        RetryableError: the disk is full or the folder cannot be written to.
    """
    with storage_errors(path, needed=len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well.

    For writers that want a path of their own, such as a checkpoint's; after an error, what was at
    ``path`` before is still there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` as UTF-8, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Put ``value`` at ``path`` as JSON, atomically, the same bytes for equal values.

    Raises:
        ValueError: NaN or an infinity is in it.
    """
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """``value`` as JSON with sorted keys, two spaces of indent and the shortest exact floats."""
    text = json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return text + "\n"


def remove_temporaries(directory: Path) -> list[Path]:
    """Delete what writers killed half-way left under ``directory``; return what it was."""
    strays = [path for path in directory.rglob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]
    for path in strays:
        path.unlink(missing_ok=True)
    return strays


@contextmanager
def storage_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn a full disk or an unwritable folder into one clear line on ``path``, to which ``needed`` bytes go.

    Raises:
        RetryableError: instead of the ``OSError``; other kinds of it pass.
    """
    try:
        yield
    except OSError as error:
        reason = describe_storage_error(error, path, needed)
        if reason is None:
            raise
        raise RetryableError(reason) from error


def describe_storage_error(error: OSError, path: Path | None = None, needed: int | None = None) -> str | None:
    """The clear line for ``error``, or ``None`` if storage is not what it is about."""
    done = "write to" if path else "read or write"  # Whoever names no path has not said what was tried.
    path = path or (Path(os.fsdecode(error.filename)) if error.filename else None)
    where = f" to {path}" if path else ""
    if error.errno in _OUT_OF_SPACE:
        amount = f" {_megabytes(needed)}" if needed is not None else ""
        free = "; your quota is used up" if error.errno == errno.EDQUOT else f"; {_left(path)}" if path else ""
        return (
            f"Disk full: cannot write{amount}{where}{free}. Free some space, or choose another "
            "folder with paths.outputs=<folder>, and give the same command again."
        )
    if error.errno in _UNWRITABLE:
        return (
            f"Cannot {done} {path or 'a file'}: {os.strerror(error.errno or 0)}. Choose a folder of outputs that you "
            "may write to with paths.outputs=<folder>."
        )
    return None


def require_free_space(directory: Path, needed: int) -> None:
    """Refuse to begin what could not be kept.

    Raises:
        RetryableError: fewer than ``needed`` bytes are free where ``directory`` is, or it cannot be written to.
    """
    path = directory.absolute()
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    with storage_errors(directory):
        if not stat.S_ISDIR(existing.stat().st_mode):  # Of a link to nowhere, or in a circle, it raises.
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
        if not os.access(existing, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))
    disk = shutil.disk_usage(existing)
    # A file system that counts no blocks at all says nothing of what is left: /proc, and some that lie elsewhere.
    if (disk.total and disk.free < needed) or not _has_inodes(existing):
        raise RetryableError(
            f"Disk nearly full: a run needs {_megabytes(needed)} in {directory}, "
            f"{_left(existing)}. Free some space, or choose another folder with "
            "paths.outputs=<folder>."
        )


def _left(path: Path) -> str:
    """What of a disk is left to be written to."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not _has_inodes(existing):
        return "no inodes are left, so that no file can be added, however small"
    return f"{_megabytes(shutil.disk_usage(existing).free)} are free"


def _has_inodes(existing: Path) -> bool:
    """Whether a file can be added; file systems that make them as they need them count none at all."""
    status = os.statvfs(existing)
    return status.f_favail > 0 or status.f_files == 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
