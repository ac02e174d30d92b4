"""Bringing one file over https: resumed where it broke off, no more than was announced, checked before it takes its
place.

Servers are not believed: what they send is counted, not unfolded, and of a refusal only the status is read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, new
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import get_session
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]
from tqdm.auto import tqdm

from diffexplain.errors import RetryableError, UserError
from diffexplain.progress import Meter
from diffexplain.weights.files import describe_start, refusal
from diffexplain.weights.store import Recorded

GIT = "git blob"
"""How the hub identifies small files: SHA-1 of git's header and the content."""

_SPARE = 2
"""Of a file whose size is not known, so many times what is announced may come."""
_IDENTIFIERS = 1000
"""Characters of what identifies a file on a server, at most."""
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
        announced: where the size is not known, about how many bytes the user was told.
    """

    algorithm: str = "sha256"
    digest: str | None = None
    bytes: int | None = None
    announced: float = 0.0

    @property
    def most(self) -> int:
        """So many bytes are taken and no more."""
        return int(_SPARE * self.announced) if self.bytes is None else self.bytes


def bring(url: str, path: Path, expected: Expected, headers: Mapping[str, str], label: str) -> Recorded:
    """Put the file at ``url`` at ``path``, unless it is there already.

    Args:
        url: of the file.
        path: takes its place only when whole and checked; until then the bytes are in ``.<name>.part``.
        expected: checked before.
        headers: of the request, such as an authorisation.
        label: what progress and messages call it.

    Raises:
        UserError: its checksum is not the expected one, or more comes than was announced.
        RetryableError: the connection broke; what came is kept.
        httpx2.HTTPError: the server refused, or was not reached at all.
    """
    if path.is_file() and _agrees(path, expected):
        return recorded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    resumed = part.is_file()
    _transfer(url, part, expected, headers, label)
    if resumed and not _agrees(part, expected):  # What was there before need not have been of this file.
        part.unlink()
        _transfer(url, part, expected, headers, label)
    if not _agrees(part, expected):
        found = f"{part.stat().st_size} bytes, {expected.algorithm} {digest(part, expected.algorithm)}"
        part.unlink()
        raise refusal(path, f"{expected.algorithm} {expected.digest}", f"{found}; nothing was kept of it")
    with part.open("rb") as file:
        start = file.read(64)
    if expected.digest is None and start.lstrip().startswith(b"<"):  # as a network's sign-in page does
        part.unlink()
        raise refusal(path, "weights", f"{describe_start(start.lstrip())}; nothing was kept of it")
    result = recorded(part)
    part.replace(path)
    return result


@contextmanager
def answer(url: str, headers: Mapping[str, str], **parameters: str) -> Iterator[httpx2.Response]:
    """A server's answer to a request, of which nothing but the headers is read.

    Raises:
        UserError: it answers in an encoding of its own.
        httpx2.HTTPError: it refused, or was not reached.
    """
    request = {**headers, "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=request, params=parameters or None, timeout=_TIMEOUT) as response:
        if response.is_error:  # What else it says may have no end.
            said = [(key, value) for key, value in response.headers.items() if key.lower().startswith("x-error-")]
            hf_raise_for_status(httpx2.Response(response.status_code, headers=said, request=response.request))
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise UserError(
                f"{httpx2.URL(url).host} sends {encoding[:40]!a} where the plain file was asked for; nothing was "
                "brought."
            )
        yield response


def content(response: httpx2.Response, most: int) -> bytes | None:
    """The body of an answer; ``None`` if it is more than ``most`` bytes."""
    found = bytearray()
    for chunk in response.iter_raw():
        found += chunk
        if len(found) > most:
            return None
    return bytes(found)


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file."""
    start = f"blob {path.stat().st_size}\0".encode() if algorithm == GIT else b""
    with path.open("rb") as file:
        return file_digest(file, lambda: new("sha256" if algorithm == "sha256" else "sha1", start)).hexdigest()


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
            raise httpx2.RemoteProtocolError("the file there is shorter than announced")
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
    """One request, from where ``part`` ends.

    Raises:
        UserError: more comes than was announced; nothing of it is kept.
    """
    validator = part.with_suffix(".validator")
    start = _size(part)
    request = dict(headers)
    if start and expected.digest is None and not validator.is_file():
        start = 0  # Nothing would tell that the file had changed in between.
    if start:
        request["Range"] = f"bytes={start}-"
        if expected.digest is None:
            request["If-Range"] = validator.read_text(encoding="utf-8")
    try:
        with answer(url, request) as response:
            if response.status_code != httpx2.codes.PARTIAL_CONTENT:
                start = 0
                _remember(validator, response)
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdecimal() and len(length) < 20 else None
            if total is not None and total > expected.most:
                raise _too_much(part, expected, label, f"{total} bytes")
            shown: dict[str, Any] = {"unit": "B", "unit_scale": True, "desc": label, "disable": None, "leave": False}
            meter = Meter(label, total or 0, before=start, unit="B")
            with part.open("ab" if start else "wb") as file, tqdm(total=total, initial=start, **shown) as bar:
                for chunk in response.iter_raw():
                    start += len(chunk)
                    if start > expected.most:
                        raise _too_much(part, expected, label, "more")
                    file.write(chunk)
                    bar.update(len(chunk))
                    meter.say(start)
                file.flush()
                os.fsync(file.fileno())
    except HfHubHTTPError as error:
        if error.response.status_code != httpx2.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink(missing_ok=True)
        raise httpx2.RemoteProtocolError("the file there is shorter than what came of it before") from error
    validator.unlink(missing_ok=True)


def _too_much(part: Path, expected: Expected, label: str, found: str) -> UserError:
    part.unlink(missing_ok=True)
    announced = f"{'at most ' if expected.bytes is None else ''}{expected.most} bytes"
    path = part.with_name(label.rpartition("/")[2])
    return refusal(path, announced, f"{found} on the server; nothing was kept of it")


def _remember(validator: Path, response: httpx2.Response) -> None:
    """Keep what identifies the file that the server has now, for a later request of the rest."""
    value = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if value and value.isascii() and len(value) < _IDENTIFIERS and not value.startswith("W/"):
        validator.write_text(value, encoding="utf-8")
    else:
        validator.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
