"""Bringing one file over https: resumed where it broke off, checked before it takes its place."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import get_session
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]
from tqdm.auto import tqdm

from diffexplain.errors import RetryableError
from diffexplain.weights.files import refusal
from diffexplain.weights.store import Recorded

GIT = "git blob"
"""How the hub identifies small files: SHA-1 of git's header and the content."""

_BLOCK = 1 << 20
_ATTEMPTS = 3
"""Connections in a row that may bring nothing before giving up."""
_PAUSE = 1.0  # seconds between two attempts
_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is brought.

    Attributes:
        algorithm: of ``digest``: ``sha256``, ``sha1`` or ``GIT``.
        digest: hexadecimal, or ``None`` if nothing is known.
        bytes: its size, or ``None``.
    """

    algorithm: str = "sha256"
    digest: str | None = None
    bytes: int | None = None


def bring(url: str, path: Path, expected: Expected, headers: Mapping[str, str], label: str) -> Recorded:
    """Put the file at ``url`` at ``path``, unless it is there already.

    Args:
        url: of the file.
        path: takes its place only when whole and checked; until then the bytes are in ``.<name>.part``.
        expected: checked before.
        headers: of the request, such as an authorisation.
        label: what progress and messages call it.

    Raises:
        UserError: its checksum is not the expected one.
        RetryableError: the connection broke; what came is kept.
        httpx2.HTTPError: the server refused, or was not reached at all.
    """
    if path.is_file() and _agrees(path, expected):
        return recorded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    _transfer(url, part, expected, headers, label)
    if not _agrees(part, expected):
        found = f"{part.stat().st_size} bytes, {expected.algorithm} {digest(part, expected.algorithm)}"
        part.unlink()
        raise refusal(path, f"{expected.algorithm} {expected.digest}", f"{found}; nothing was kept of it")
    result = recorded(part)
    part.replace(path)
    return result


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file."""
    value = hashlib.sha256() if algorithm == "sha256" else hashlib.sha1()
    if algorithm == GIT:
        value.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value.update(block)
    return value.hexdigest()


def recorded(path: Path) -> Recorded:
    """A file as it is now."""
    return Recorded(digest(path, "sha256"), path.stat().st_size)


def _agrees(path: Path, expected: Expected) -> bool:
    if expected.bytes not in (None, path.stat().st_size):
        return False
    return expected.digest is None or digest(path, expected.algorithm) == expected.digest


def _transfer(url: str, part: Path, expected: Expected, headers: Mapping[str, str], label: str) -> None:
    """Append to ``part`` until the server has no more."""
    attempts = 0
    while expected.bytes is None or _size(part) < expected.bytes:
        before = _size(part)
        try:
            _stream(url, part, expected, headers, label)
            if expected.bytes is None or _size(part) >= expected.bytes:
                return
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            attempts = 1 if _size(part) > before else attempts + 1
            if attempts >= _ATTEMPTS:
                if not _size(part):
                    raise
                raise RetryableError(
                    f"The connection to {httpx2.URL(url).host} broke ({error}). {_size(part)} bytes of {label} came "
                    "and are kept; give the same command again."
                ) from error
            time.sleep(_PAUSE)


def _stream(url: str, part: Path, expected: Expected, headers: Mapping[str, str], label: str) -> None:
    """One request, from where ``part`` ends."""
    validator = part.with_suffix(".validator")
    start = _size(part)
    request = {**headers, "Accept-Encoding": "identity"}
    if start and expected.digest is None and not validator.is_file():
        start = 0  # Nothing would tell that the file had changed in between.
    if start:
        request["Range"] = f"bytes={start}-"
        if expected.digest is None:
            request["If-Range"] = validator.read_text(encoding="utf-8")
    with get_session().stream("GET", url, headers=request, timeout=_TIMEOUT) as response:
        if response.status_code == httpx2.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise httpx2.RemoteProtocolError("the file there is shorter than what came of it before")
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:
            start = 0
            _remember(validator, response)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else expected.bytes
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=label, disable=None, leave=False) as bar,
        ):
            for chunk in response.iter_bytes():
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    validator.unlink(missing_ok=True)


def _remember(validator: Path, response: httpx2.Response) -> None:
    """Keep what identifies the file that the server has now, for a later request of the rest."""
    value = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if value and not value.startswith("W/"):
        validator.write_text(value, encoding="utf-8")
    else:
        validator.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
