"""What a hub says about a repository, through ``huggingface_hub``; ``HF_ENDPOINT`` and ``HF_TOKEN`` are its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from diffexplain.errors import RetryableError, UserError
from diffexplain.weights import transfer
from diffexplain.weights.documents import from_json
from diffexplain.weights.files import describe_start
from diffexplain.weights.sources import LENGTHS, REVISION, Repository, is_hexadecimal, is_revision
from diffexplain.weights.store import inside
from diffexplain.weights.transfer import GIT, Expected

_LISTING = 1 << 26
"""Bytes of what a hub says about a repository, at most."""


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit, by path."""

    revision: str
    files: dict[str, Expected]


def listing(source: Repository, revision: str | None) -> Listing:
    """The files that ``source`` asks for, at ``revision`` or, if ``None``, at the newest commit.

    What the hub answers decides neither where files go nor what is called a checksum.

    Raises:
        UserError: no such repository, commit or file, no access, or an answer that is none.
        RetryableError: the hub cannot be reached.
    """
    with explained(source.name):
        try:
            described = _described(source, revision)
        except RevisionNotFoundError as error:
            raise _moved(source, str(revision), _revision(source, _described(source, None).get("sha"))) from error
    found = _revision(source, described.get("sha"))
    if revision is not None and found != revision:
        raise _moved(source, revision, found)
    known: dict[str, Expected] = {}
    siblings = described.get("siblings")
    for sibling in siblings if isinstance(siblings, list) else [None]:
        if not isinstance(sibling, dict) or not isinstance(sibling.get("rfilename"), str):
            raise _strange(source, "a list of files, each with its name", siblings)
        large = sibling.get("lfs")
        if isinstance(large, dict):
            digest, size = ("sha256", large.get("sha256")), large.get("size")
        else:
            digest, size = (GIT, sibling.get("blobId")), sibling.get("size")
        known[sibling["rfilename"]] = Expected(*digest, size, announced=source.megabytes * 1e6)
    return Listing(found, _asked_for(source, known, found))


def _described(source: Repository, revision: str | None) -> dict[str, Any]:
    """What the hub says about a repository.

    Raises:
        RetryableError: it is not a hub that answers.
        httpx2.HTTPError: it refused, or was not reached.
    """
    url = f"{constants.ENDPOINT}/api/models/{source.name}{f'/revision/{revision}' if revision else ''}"
    with transfer.answer(url, build_hf_headers(), blobs="true") as response:
        data = transfer.content(response, _LISTING)
    if data is None:
        raise _strange(source, f"a listing of at most {_LISTING >> 20} MiB", "more")
    try:
        found: Any = from_json(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RetryableError(
            f"{constants.ENDPOINT} does not answer as a hub does about {source.name}, but with "
            f"{describe_start(data.lstrip()[:64])}: does this network ask to sign in first?"
        )
    return found


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what a server, or its absence, does into one clear line on the repository or address ``name``.

    Raises:
        UserError, RetryableError: in place of the library's errors.
    """
    try:
        yield
    except GatedRepoError as error:
        raise UserError(
            f"{name} is gated: ask for access at {constants.ENDPOINT}/{name}, set HF_TOKEN to a token of "
            "your account, and give the same command again."
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{constants.ENDPOINT} has no repository {name}, or shows it only to those who asked for access: "
            "then set HF_TOKEN to a token of your account."
        ) from error
    except OfflineModeIsEnabled as error:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be fetched; unset it for this command.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise UserError(f"The server refuses {name} (status {status}); is HF_TOKEN right?") from error
        if status == 404:
            raise UserError(f"The server has no {name} (status 404).") from error
        raise RetryableError(f"The server failed on {name} (status {status}); try again later.") from error
    except httpx2.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise RetryableError(f"No connection for {name} ({reason}); give the same command again later.") from error


def _asked_for(source: Repository, known: dict[str, Expected], revision: str) -> dict[str, Expected]:
    for pattern in source.patterns:
        only = replace(source, patterns=(pattern,))
        if not any(only.wants(path) for path in known):
            message = f"{source.name} at revision {revision[:12]} has no such file."
            raise UserError(message, given=pattern, accepted=sorted(filter(str.isprintable, known)))
    wanted = {path: expected for path, expected in known.items() if source.wants(path)}
    for path, expected in wanted.items():
        inside(Path(source.name), path)
        _check(source, path, expected)
    return wanted


def _revision(source: Repository, answer: object) -> str:
    if not is_revision(answer):
        raise _strange(source, f"{REVISION} hexadecimal digits for the revision", answer)
    return str(answer)


def _check(source: Repository, path: str, expected: Expected) -> None:
    """Refuse what is no checksum or no size; that they are right is seen when the file is there."""
    digits = LENGTHS["sha256" if expected.algorithm == "sha256" else "sha1"]
    if expected.digest is not None and not is_hexadecimal(expected.digest, digits):
        raise _strange(source, f"{digits} hexadecimal digits for the checksum of {path}", expected.digest)
    if expected.bytes is not None and (type(expected.bytes) is not int or expected.bytes < 0):
        raise _strange(source, f"a number of bytes for the size of {path}", expected.bytes)


def _strange(source: Repository, expected: str, found: object) -> UserError:
    # What the hub says is printed so that it cannot rewrite the terminal.
    return UserError(
        f"{constants.ENDPOINT} does not answer as a hub does about {source.name}; nothing was brought.\n"
        f"  expected: {expected}\n  found:    {ascii(found)[:200]}"
    )


def _moved(source: Repository, wanted: str, found: str) -> UserError:
    origin = "the configuration" if source.revision else "the lock file"
    return UserError(f"{source.name} has no revision {wanted} any more, which {origin} names; it has {found} now.")
