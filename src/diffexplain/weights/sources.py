"""What a configuration asks for under ``weights``: files of a repository, or one file at an address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from diffexplain.errors import UserError
from diffexplain.weights.paths import is_folder

DATA = (".safetensors", ".json", ".jinja", ".txt", ".model", ".onnx", ".caffemodel")
PICKLES = (".pt", ".pth", ".bin")
"""Fetched only where a pattern names them, and opened by ``diffexplain convert`` alone."""

LENGTHS = {"sha256": 64, "sha1": 40}
"""Hexadecimal digits of a checksum."""
REVISION = 40
"""Hexadecimal digits of a commit."""
_REPOSITORY = ("repository", "revision", "files")
FURTHER = ("urls", "instead")
"""Keys of a source that say where else its file is, and nothing of what it is."""
_ADDRESS = ("url", *FURTHER, "name", *LENGTHS)
_THIS_MACHINE = ("localhost", "127.0.0.1")
_BOTH = ("licence", "megabytes", "part")


@dataclass(frozen=True)
class Repository:
    """Files of a repository on a hub.

    Attributes:
        name: ``owner/name``.
        revision: commit, 40 hexadecimal digits; ``None`` for the one recorded at the first fetch.
        patterns: of the files' paths; of those that end in ``/``, what is data in the folders; empty for all that is.
        licence: as the repository names it.
        megabytes: about how much it is.
    """

    name: str
    revision: str | None
    patterns: tuple[str, ...]
    licence: str
    megabytes: float

    def wants(self, path: str) -> bool:
        """Whether the file at ``path`` is asked for; code never is."""
        suffix = PurePosixPath(path).suffix
        if suffix in DATA and any(fnmatch(path, f"{pattern}*") for pattern in self.patterns if pattern.endswith("/")):
            return True
        if not self.patterns:
            return suffix in DATA
        return suffix in (*DATA, *PICKLES) and any(fnmatch(path, pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Address:
    """One file at an address, or at several.

    Attributes:
        url: https; http on this machine, or with a checksum.
        name: of the file in the store.
        algorithm: ``sha256`` or ``sha1``.
        checksum: hexadecimal; ``None`` for the one recorded at the first fetch.
        licence: as the source names it.
        megabytes: about how much it is.
        further: where the same file is, tried in turn where ``url`` does not have it.
        instead: the choice with the same weights from elsewhere, ``classifier=caffenet_onnx``; empty: there is none.
    """

    url: str
    name: str
    algorithm: str
    checksum: str | None
    licence: str
    megabytes: float
    further: tuple[str, ...] = ()
    instead: str = ""

    def __str__(self) -> str:
        return self.url


Source = Repository | Address


def sources(config: Mapping[str, Any]) -> list[Source]:
    """Every source in a configuration, each once, in its order; without folders in place of repositories.

    Raises:
        UserError: one of them is not written as it should be.
    """
    return list(dict.fromkeys(parse(node) for node in _nodes(config) if not _is_own_folder(node)))


def parse(node: Mapping[str, Any]) -> Source:
    """One entry of a list under ``weights``.

    Raises:
        UserError: a key is unknown or missing, or a value malformed.
    """
    kinds = [key for key in ("repository", "url") if key in node]
    if len(kinds) != 1:
        raise UserError("A source under weights has either a repository or a url.", given=", ".join(node))
    known = (*(_REPOSITORY if kinds == ["repository"] else _ADDRESS), *_BOTH)
    for key in node:
        if key not in known:
            raise UserError("A source under weights has no such key.", given=key, accepted=known)
    for key in ("licence", "megabytes"):
        if key not in node:
            raise UserError(f"A source under weights lacks its {key}.", given=node[kinds[0]])
    licence, megabytes = str(node["licence"]), float(node["megabytes"])
    if kinds == ["url"]:
        return _address(node, licence, megabytes)
    name, revision = str(node["repository"]), node.get("revision")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or ".." in name:
        raise UserError("A repository is written owner/name.", given=name)
    _check_hexadecimal("revision", revision, REVISION)
    return Repository(name, revision, tuple(node.get("files") or ()), licence, megabytes)


def name_in(url: str) -> str:
    """The name of the file at an address, without a query; empty if it has none."""
    return unquote(PurePosixPath(urlsplit(url).path).name)


def is_hexadecimal(value: object, digits: int) -> bool:
    """Whether ``value`` is text of so many lower-case hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) is not None


def is_revision(value: object) -> bool:
    """Whether ``value`` names a commit, and nothing else: branches and paths move."""
    return is_hexadecimal(value, REVISION)


def _address(node: Mapping[str, Any], licence: str, megabytes: float) -> Address:
    url, further = str(node["url"]), tuple(map(str, node.get("urls") or ()))
    known = any(node.get(algorithm) for algorithm in LENGTHS)  # then it does not matter who stands in between
    if further and not known:
        raise UserError("A file with several urls under weights has a checksum, by which it is one file.", given=url)
    for address in (url, *further):
        _check_address(address, known)
    name = str(node.get("name") or name_in(url))
    if not re.fullmatch(r"\w[\w.-]*", name) or not name.endswith((*DATA, *PICKLES)):
        message = f"A file under weights has one of the endings {', '.join((*DATA, *PICKLES))}."
        raise UserError(message, given=name)
    algorithm = "sha1" if node.get("sha1") and not node.get("sha256") else "sha256"
    _check_hexadecimal(algorithm, node.get(algorithm), LENGTHS[algorithm])
    instead = str(node.get("instead") or "")
    return Address(url, name, algorithm, node.get(algorithm), licence, megabytes, further, instead)


def _check_address(url: str, known: bool) -> None:
    try:
        place = urlsplit(url)
    except ValueError:
        raise UserError("A url under weights is no address.", given=url) from None
    if place.scheme != "https" and not (place.scheme == "http" and (known or place.hostname in _THIS_MACHINE)):
        raise UserError("A url under weights begins with https://, or has a checksum.", given=url)


def _check_hexadecimal(key: str, value: object, digits: int) -> None:
    if value is not None and not is_hexadecimal(value, digits):
        raise UserError(f"{key} is {digits} hexadecimal digits, or null.", given=value)


def _is_own_folder(node: Mapping[str, Any]) -> bool:
    return bool(node.get("repository")) and is_folder(str(node["repository"]))


def _nodes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, value in config.items():
        if key == "weights" and isinstance(value, list):
            yield from value
        elif isinstance(value, Mapping):
            yield from _nodes(value)
