"""The store of fetched files and its lock file: what was brought, from which commit, with which checksum.

``${DIFFEXPLAIN_CACHE:-~/.cache/diffexplain}`` holds ``repositories/<owner>--<name>/<revision>/...``,
``files/<name>`` and ``lock.json``. Nothing here touches the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from diffexplain.errors import UserError
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import refusal
from diffexplain.weights.paths import is_folder, resolve_folder
from diffexplain.weights.sources import (
    LENGTHS,
    Address,
    Repository,
    Source,
    is_hexadecimal,
    is_revision,
    name_in,
    parse,
)

VARIABLE = "DIFFEXPLAIN_CACHE"
LOCK_FILE = "lock.json"
COMMAND = "diffexplain fetch classifier=<classifier> diffusion=<diffusion>"
ALL = "*"
"""Stands in the lock file for the patterns of a source that names none."""
Node = Mapping[str, Any]
"""One of a configuration's ``weights``, as it is written there."""
_UNFIT = re.compile(r"[\\:\x00-\x1f\x7f]")
"""In a file's name: what some system takes for a separator or drive, and what would rewrite the terminal."""


def store_folder() -> Path:
    """Where fetched files are, whether or not anything is there yet."""
    return _folder(os.environ.get(VARIABLE) or "~/.cache/diffexplain", os.environ.get("HOME"), Path.cwd())


@lru_cache(maxsize=4)
def _folder(text: str, _home: str | None, _here: Path) -> Path:
    """Kept, since it is asked for each file of a plugin."""
    return Path(text).expanduser().absolute()


@dataclass(frozen=True)
class Recorded:
    """A file as it was when it was brought."""

    sha256: str
    bytes: int


class Lock:
    """The lock file of the store in ``folder``: for each repository its commit, for each file its checksum.

    A repository's ``patterns`` are those that were brought in full.

    Raises:
        UserError: the lock file cannot be read, or is not as it was written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LOCK_FILE
        self._content: dict[str, Any] = {"schema_version": 1, "repositories": {}, "files": {}}
        try:
            self._content |= _checked(read_json(self.path))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"The lock file {self.path} cannot be read ({error}); mend it or move it away.") from error

    def revision(self, name: str) -> str | None:
        """The recorded commit of a repository."""
        entry = self._content["repositories"].get(name)
        return None if entry is None else str(entry["revision"])

    def patterns(self, name: str) -> list[str]:
        """The patterns of a repository that were brought in full."""
        return list(self._content["repositories"].get(name, {}).get("patterns", []))

    def files(self, name: str) -> dict[str, Recorded]:
        """The recorded files of a repository, by path."""
        entries = self._content["repositories"].get(name, {}).get("files", {})
        return {path: Recorded(**entry) for path, entry in entries.items()}

    def file(self, url: str) -> Recorded | None:
        """The recorded file of an address."""
        entry = self._content["files"].get(url)
        return None if entry is None else Recorded(**entry)

    def recorded(self) -> dict[Path, str]:
        """The recorded SHA-256 of every file that was brought, by its place.

        Of an address, the name in the store may be another than its own; then the file is not among them.
        """
        found: dict[Path, str] = {}
        for name, entry in self._content["repositories"].items():
            folder = repository_folder(self.folder, name, entry["revision"])
            found |= {inside(folder, path): file.sha256 for path, file in self.files(name).items()}
        for url, entry in self._content["files"].items():
            path = inside(self.folder / "files", name_in(url))
            found |= {path: str(entry["sha256"])} if path.is_file() else {}
        return found

    def record(self, name: str, revision: str, path: str, recorded: Recorded) -> None:
        """Write down a file of a repository, at once and atomically."""
        entry = self._content["repositories"].setdefault(name, {"revision": revision, "patterns": [], "files": {}})
        entry["files"][path] = asdict(recorded)
        self._save()

    def record_complete(self, source: Repository) -> None:
        """Write down that everything a source asks for was brought."""
        entry = self._content["repositories"][source.name]
        entry["patterns"] = sorted({*entry["patterns"], *(source.patterns or (ALL,))})
        self._save()

    def record_file(self, url: str, recorded: Recorded) -> None:
        """Write down the file of an address."""
        self._content["files"][url] = asdict(recorded)
        self._save()

    def _save(self) -> None:
        with atomic.replacing(self.path) as temporary:
            temporary.write_text(atomic.to_json(self._content), encoding="utf-8")


def measured_file() -> Path:
    """What calls of networks were found to take on this machine; there once somebody has asked for it."""
    return store_folder() / "measured.json"


def local(source: Mapping[str, Any], *, command: str = COMMAND) -> Path:
    """Where the files of a source under ``weights`` are: the folder of a repository's commit, or the file of a url.

    Raises:
        UserError: something is missing, in one line that names it and ``command``, which brings it; or cut off; or the
            configuration asks for another commit or checksum than was recorded.
    """
    return locate(parse(source), Lock(store_folder()), command)


def locate(source: Source, lock: Lock, command: str = COMMAND) -> Path:
    """As `local`, of a source that was read."""
    if isinstance(source, Address):
        path = address_file(lock.folder, source)
        recorded = agreed_file(source, lock)
        if recorded is None or not path.is_file():
            raise missing(source.name, source.url, command)
        _check_size(path, recorded)
        return path
    revision = agreed_revision(source, lock)
    complete = lock.patterns(source.name)
    for pattern in source.patterns or (ALL,):
        if revision is None or pattern not in complete:
            raise missing(pattern if pattern != ALL else "Everything", source.name, command)
    assert revision is not None  # Some pattern was asked for above.
    folder = repository_folder(lock.folder, source.name, revision)
    for path_inside, recorded in lock.files(source.name).items():
        if source.wants(path_inside):
            path = inside(folder, path_inside)
            if not path.is_file():
                raise missing(path_inside, source.name, command)
            _check_size(path, recorded)
    return folder


def repository_folder(store: Path, name: str, revision: str) -> Path:
    """The folder of a repository's files at one commit.

    Raises:
        UserError: name and commit, which come from elsewhere, lead to another place.
    """
    return inside(store / "repositories", f"{name.replace('/', '--')}/{revision}")


def address_file(store: Path, source: Address) -> Path:
    """The file of an address.

    Raises:
        UserError: its name, which comes from elsewhere, leads to another place.
    """
    return inside(store / "files", source.name)


def inside(folder: Path, name: str) -> Path:
    """What lies in ``folder``, of the store or a run, under a ``name`` from elsewhere: parts with ``/`` between them.

    A hub, a lock file, a configuration, a finished run: every path to which they contribute is made here.

    Raises:
        UserError: it leaves ``folder``, or is no path that every file system takes alike.
    """
    parts = name.split("/") if isinstance(name, str) else [""]
    if any(part in ("", ".", "..") or _UNFIT.search(part) for part in parts):
        raise UserError(f"This path, which was not made on this machine, leaves {folder}.", given=ascii(name))
    return folder.joinpath(*parts)


def agreed_revision(source: Repository, lock: Lock) -> str | None:
    """The commit that configuration and lock file agree on; ``None`` if neither says.

    Raises:
        UserError: they differ.
    """
    recorded = lock.revision(source.name)
    if source.revision and recorded and source.revision != recorded:
        raise UserError(
            f"{source.name} was fetched at revision {recorded}, and the configuration asks for {source.revision}; "
            f"to change over, take {source.name} out of {lock.path} and fetch again."
        )
    return source.revision or recorded


def agreed_file(source: Address, lock: Lock) -> Recorded | None:
    """What the lock file says of an address, which the configuration does not contradict.

    Raises:
        UserError: they differ.
    """
    recorded = lock.file(source.url)
    wanted = source.checksum if source.algorithm == "sha256" else None
    if recorded is not None and wanted not in (None, recorded.sha256):
        raise UserError(
            f"{source.url} was fetched with sha256 {recorded.sha256}, and the configuration asks for {wanted}; "
            f"to change over, take it out of {lock.path} and fetch again."
        )
    return recorded


def missing(what: str, where: str, command: str) -> UserError:
    """The one line of a file that is not there."""
    return UserError(f"{what} of {where} is missing; this brings it: {command}")


def recorded_files(source: Source, lock: Lock) -> dict[str, str]:
    """The recorded SHA-256 of every fetched file of a source, by the repository and path, or the address."""
    if isinstance(source, Address):
        recorded = lock.file(source.url)
        return {} if recorded is None else {source.url: recorded.sha256}
    files = lock.files(source.name)
    return {f"{source.name}/{path}": file.sha256 for path, file in files.items() if source.wants(path)}


def places(source: Source, lock: Lock) -> dict[Path, Recorded]:
    """Where the fetched files of a source are, and as what each was recorded."""
    if isinstance(source, Address):
        recorded = lock.file(source.url)
        return {} if recorded is None else {address_file(lock.folder, source): recorded}
    revision = lock.revision(source.name)
    if revision is None:
        return {}
    folder = repository_folder(lock.folder, source.name, revision)
    return {inside(folder, path): file for path, file in lock.files(source.name).items() if source.wants(path)}


def _checked(content: Any) -> dict[str, Any]:
    """The content of a lock file, which may have been edited.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is not as it was written.
        UserError: a path in it leaves its folder.
    """
    found: dict[str, Any] = content
    for name, entry in found.get("repositories", {}).items():
        if not is_revision(entry["revision"]) or not isinstance(entry.get("patterns", []), list):
            raise ValueError(f"{name} has no revision of 40 hexadecimal digits")
        _check_recorded(entry.get("files", {}))
        for path in entry.get("files", {}):
            inside(Path(name), path)
    _check_recorded(found.get("files", {}))
    return found


def _check_recorded(files: Mapping[str, Any]) -> None:
    for path, entry in files.items():
        recorded = Recorded(**entry)
        if not is_hexadecimal(recorded.sha256, LENGTHS["sha256"]) or type(recorded.bytes) is not int:
            raise ValueError(f"{path} has no sha256 or no size")


def _check_size(path: Path, recorded: Recorded) -> None:
    size = path.stat().st_size
    if size != recorded.bytes:
        raise refusal(path, f"{recorded.bytes} bytes", f"{size} bytes; fetch it again")


def source_path(source: Node, *, command: str) -> Path:
    """Where the files of one of a configuration's ``weights`` are; a ``repository`` may be a folder of the user's.

    Raises:
        UserError: they are not on this machine; the message holds ``command``, which brings them.
    """
    repository = str(source.get("repository") or "")
    if repository and is_folder(repository):
        return resolve_folder(repository)
    return local(source, command=command)
