"""What the files hold that a run is made of besides its configuration: they are known by that, not by where they lie.

A digest of each stands in the configuration under ``contents``, and so in the run's identity and its summary: weights
trained further under the same path, an edited list of names, other code make another run. Imports neither torch nor an
image library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

from diffexplain.config import plugins
from diffexplain.errors import UserError
from diffexplain.weights.checksums import file_sha256
from diffexplain.weights.paths import is_folder, resolve_folder, resolve_path
from diffexplain.weights.sources import DATA, PICKLES, Repository, Source, parse
from diffexplain.weights.store import Lock, recorded_files, store_folder

CONTENTS = "contents"
"""The configuration's key for the digests."""
EDITOR_OF_NONE = "paired"
"""The editor that makes images of its own and edits no photographs."""
EDITORS_OF_IMAGES = ("leditspp", "leditspp_world", "instruct", "flux2_klein")
"""Those that edit photographs and make none of their own; the first where photographs are given and no editor."""
LARGEST = 1_000_000_000
"""Bytes of a photograph above which it is not read."""
WEIGHTS = (".safetensors", ".ckpt", ".onnx", ".caffemodel", ".tar", *PICKLES)
"""Endings of files that hold weights."""
Digest = str | Mapping[str, str]
"""SHA-256 of a file, or of each file of a folder by its path inside."""

_FOLDERS = ("captions", "clip", "folder")
"""Keys, beside those that end in ``_folder``, whose value may be the folder of a model."""
_OF_A_MODEL = (*WEIGHTS, *DATA, ".yaml")
"""Endings of the files of a model's folder that a library reads."""
_ELSEWHERE = (
    "_target_",
    "callbacks",
    "contents",
    "force",
    "images",
    "logger",
    "memory",
    "name",
    "network",
    "paths",
    "reference",
)
"""Keys that name no file of the run's making, or one that is digested in a way of its own."""
_LONGEST = 4096
"""Characters of a path."""


class Unfit(Exception):
    """A file cannot be used; the message says why, in a few words."""


def digests(config: Mapping[str, Any]) -> dict[str, Digest]:
    """SHA-256 of what the files hold that ``config`` names, by dotted key; a folder of a model has one for each file.

    Of a folder of photographs, to edit or to compare with, it is one of the names and bytes of all; of a run whose
    findings are used, that of its summary; of a plugin, one of the source files of its package and of what these import
    from beside it. What was fetched is known by the checksums of the lock file. Whoever reads a file says what is wrong
    if it is not there.

    Raises:
        UserError: there is no such folder of photographs, or nothing in it; or the store's lock file is damaged.
    """
    found: dict[str, Digest] = {}
    if config.get("images") is not None:
        found["images"] = digest([(name, mark(path)) for name, path in listing(str(config["images"])).items()])
    reference = (config.get("evaluation") or {}).get("reference")
    if isinstance(reference, str):
        found["evaluation.reference"] = digest([(name, mark(path)) for name, path in listing(reference).items()])
    found |= _of_parts(config)
    for name in config.get("plugins") or ():
        files = {} if name in plugins.WATCHING else plugins.source_files(str(name))
        if files:
            found[f"plugins.{name}"] = digest([(inside, mark(path)) for inside, path in sorted(files.items())])
    return found


def known(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the digests of its files as they are now under ``contents``; without, if it names none.

    Raises:
        UserError: as `digests`.
    """
    found = digests(config)
    plain = {key: value for key, value in config.items() if key != CONTENTS}
    return {**plain, CONTENTS: found} if found else plain


def weights(contents: Mapping[str, Digest], part: str = "") -> dict[str, str]:
    """Of ``contents``, the files that hold weights: SHA-256 by key and name: ``classifier.checkpoint/best.pth``.

    Args:
        part: such as ``classifier``; those of this part alone.
    """
    return {
        f"{key}/{name}": digest
        for key, files in contents.items()
        if isinstance(files, Mapping) and f"{key}.".startswith(f"{part}." if part else "")
        for name, digest in files.items()
        if name.partition("?")[0].endswith(WEIGHTS)
    }


def _of_parts(config: Mapping[str, Any]) -> dict[str, Digest]:
    """Digests of the files that the parts name, by dotted key and name; of a folder, by the path inside."""
    found: dict[str, Digest] = {}
    for key, value in _values(config):
        last = key.rpartition(".")[2]
        if last == "weights" and isinstance(value, list):
            found[key] = _of_weights(value)
        elif (path := _path(value)) is not None:
            if last == "from_run":
                path = path / "summary.json"
            if path.is_file():
                beside = {name: mark_whole(path.parent / name) for name in external_data(path)}
                found[key] = {path.name: mark_whole(path), **beside}
            elif path.is_dir() and (last in _FOLDERS or last.endswith("_folder")):
                found[key] = _of_folder(path)
    return {key: files for key, files in found.items() if files}


def _of_weights(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Digests of a list under ``weights``: of the user's folders as they are, of what was fetched as recorded."""
    found: dict[str, str] = {}
    for node in nodes:
        repository = str(node.get("repository") or "")
        if repository and is_folder(repository):
            part = f"{node['part']}/" if "part" in node else ""  # Two folders may have a file of one name.
            asked = parse({**node, "repository": "own/folder"})  # A path is no repository's name.
            files = _of_folder(resolve_folder(repository), asked)
            found |= {f"{part}{inside}": digest for inside, digest in files.items()}
        else:
            found |= recorded_files(parse(node), Lock(store_folder()))
    return found


def _values(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if key in _ELSEWHERE and not (prefix.endswith("arguments.") and key != "_target_"):
            continue
        if isinstance(value, Mapping):
            yield from _values(value, f"{prefix}{key}.")
        elif isinstance(value, list) and key != "weights":
            yield from ((f"{prefix}{key}.{index}", item) for index, item in enumerate(value))
        else:
            yield f"{prefix}{key}", value


def _path(value: Any) -> Path | None:
    """What ``value`` names, if it is the name of something that there is."""
    if not isinstance(value, str) or not value or len(value) > _LONGEST or value.startswith("weights:"):
        return None
    try:
        path = resolve_path(value)
        return path if path.exists() else None
    except (UserError, OSError, ValueError, RuntimeError):  # no path: a prompt, a number
        return None


def _of_folder(folder: Path, source: Source | None = None) -> dict[str, str]:
    """Each file of a model's folder by its path inside; of a ``source``, those that it asks for."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        wanted = path.suffix in _OF_A_MODEL
        if isinstance(source, Repository):
            # Of a pickle that is asked for, what `diffexplain convert` made of it is read.
            pickles = [str(Path(inside).with_suffix(ending)) for ending in PICKLES]
            converted = path.suffix == ".safetensors" and any(pickle in source.patterns for pickle in pickles)
            wanted = source.wants(inside) or converted
        if wanted and not any(part.startswith(".") for part in Path(inside).parts) and path.is_file():
            found[inside] = mark_whole(path)
    return found


def external_data(path: Path) -> list[str]:
    """The files beside an ONNX graph that hold some of its tensors, by their paths inside its folder."""
    if path.suffix != ".onnx":
        return []
    status = path.stat()
    return _external_data(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _external_data(path: Path, _changed: int, _size: int) -> list[str]:
    from diffexplain.weights.onnx import onnx_files

    try:
        return [file.relative_to(path.parent).as_posix() for file in onnx_files(path)[1:]]
    except UserError:
        return []  # Whoever loads it says what is wrong.


def mark_whole(path: Path) -> str:
    """SHA-256 of a file, or why it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"


def listing(folder: str) -> dict[str, Path]:
    """Everything in a folder of photographs, by name; what is hidden is nobody's photograph.

    Where it holds folders alone, each is named after the class that its photographs show, as torchvision's ImageFolder
    has it: what lies in them, one of each in turn, by names such as ``flagpole/a.png``.

    Raises:
        UserError: there is no such folder, or nothing in it.
    """
    path = resolve_folder(folder)
    entries = _visible(path)
    if entries and all(entry.is_dir() for entry in entries):
        in_turn = zip_longest(*map(_visible, entries))
        found = {f"{file.parent.name}/{file.name}": file for files in in_turn for file in files if file is not None}
    else:
        found = {entry.name: entry for entry in entries}
    if not found:
        raise UserError("There is no file in this folder of photographs.", given=path)
    return found


def classes_of(folder: str) -> tuple[str, ...]:
    """The names of the folders in one of labelled photographs; none where photographs lie directly in it.

    Raises:
        UserError: as `listing`.
    """
    return tuple(sorted({name.partition("/")[0] for name in listing(folder) if "/" in name}))


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        Unfit: it has none, or cannot be read.
    """
    _check_fit(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unfit(f"cannot be opened: {error.strerror}") from None


def mark(path: Path) -> str:
    """SHA-256 of a file's bytes, or why it cannot be used."""
    try:
        _check_fit(path)
    except Unfit as reason:
        return str(reason)
    return mark_whole(path)


def digest(marks: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of files, from the name and mark of each."""
    return sha256(json.dumps(marks).encode()).hexdigest()


def _check_fit(path: Path) -> None:
    try:
        if path.is_dir():
            raise Unfit(
                "a folder; photographs lie directly in the one that is named, or all in folders named after classes"
            )
        if not path.is_file():
            raise Unfit("no regular file")
        size = path.stat().st_size
    except OSError as error:
        raise Unfit(f"cannot be opened: {error.strerror}") from None
    if size > LARGEST:
        raise Unfit(f"larger than {LARGEST // 1_000_000} MB")
    if not size:
        raise Unfit("empty, 0 bytes")
