"""What a hub says about a repository, through ``huggingface_hub``; ``HF_ENDPOINT`` and ``HF_TOKEN`` are its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from diffexplain.errors import RetryableError, UserError
from diffexplain.fetching.sources import Repository
from diffexplain.fetching.transfer import GIT, Expected


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit, by path."""

    revision: str
    files: dict[str, Expected]


def listing(source: Repository, revision: str | None) -> Listing:
    """The files that ``source`` asks for, at ``revision`` or, if ``None``, at the newest commit.

    Raises:
        UserError: no such repository, commit or file, or no access.
        RetryableError: the hub cannot be reached.
    """
    with explained(source.name):
        try:
            info = HfApi().model_info(source.name, revision=revision, files_metadata=True, timeout=30)
        except RevisionNotFoundError as error:
            now = HfApi().model_info(source.name, timeout=30).sha
            raise _moved(source, str(revision), str(now)) from error
    if revision is not None and info.sha != revision:
        raise _moved(source, revision, str(info.sha))
    known: dict[str, Expected] = {}
    for sibling in info.siblings or ():
        if sibling.lfs is not None:
            known[sibling.rfilename] = Expected("sha256", sibling.lfs.sha256, sibling.lfs.size)
        else:
            known[sibling.rfilename] = Expected(GIT, sibling.blob_id, sibling.size)
    return Listing(str(info.sha), _asked_for(source, known, str(info.sha)))


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what a server, or its absence, does into one clear line.

    Args:
        name: of the repository, or of the address.

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
        if not any(Repository.wants(_only(source, pattern), path) for path in known):
            message = f"{source.name} at revision {revision[:12]} has no such file."
            raise UserError(message, given=pattern, accepted=sorted(known))
    wanted = {path: expected for path, expected in known.items() if source.wants(path)}
    for path in wanted:
        if path.startswith("/") or ".." in path.split("/") or "\\" in path:
            raise UserError(f"{source.name} has a file whose path leaves its folder.", given=path)
    return wanted


def _only(source: Repository, pattern: str) -> Repository:
    return Repository(source.name, source.revision, (pattern,), source.licence, source.megabytes)


def _moved(source: Repository, wanted: str, found: str) -> UserError:
    origin = "the configuration" if source.revision else "the lock file"
    return UserError(f"{source.name} has no revision {wanted} any more, which {origin} names; it has {found} now.")
