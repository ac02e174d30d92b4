"""What the files hold that a run is made of besides its configuration: they are known by that, not by where they lie.

A digest of each stands in the configuration under ``contents``, and so in the run's identity. Imports neither torch nor
an image library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from diffexplain.errors import UserError
from diffexplain.paths import resolve_folder, resolve_path

CONTENTS = "contents"
"""The configuration's key for the digests."""
EDITOR_OF_NONE = "paired"
"""The editor that makes images of its own and edits no photographs."""
EDITORS_OF_IMAGES = ("leditspp", "leditspp_world", "instruct")
"""Those that edit photographs and make none of their own; the first where photographs are given and no editor."""
LARGEST = 1_000_000_000
"""Bytes of a file above which it is not read."""
_HIERARCHIES = (".yaml", ".yml")


class Unfit(Exception):
    """A file cannot be used; the message says why, in a few words."""


def digests(config: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of what the files hold that ``config`` names, by key; empty where it names none.

    Of a folder of photographs, to edit or to compare with, the names and bytes of its files; of a hierarchy, class
    names and phrases of the user's, the file; of a run whose findings are used, its summary. Whoever reads one says
    what is wrong if it is not there.

    Raises:
        UserError: there is no such folder of photographs, or nothing in it.
    """
    found = {}
    if config.get("images") is not None:
        found["images"] = digest([(path.name, mark(path)) for path in listing(str(config["images"]))])
    reference = (config.get("evaluation") or {}).get("reference")
    if isinstance(reference, str):
        found["evaluation.reference"] = digest([(path.name, mark(path)) for path in listing(reference)])
    concepts = config.get("concepts") or {}
    for key in ("hierarchy", "from_run"):
        text = concepts.get(key)
        if not isinstance(text, str) or (key == "hierarchy" and Path(text).suffix not in _HIERARCHIES):
            continue
        path = resolve_path(text)
        path = path / "summary.json" if path.is_dir() else path
        if path.is_file():
            found[f"concepts.{key}"] = mark(path)
    classifier = config.get("classifier") or {}
    for key in ("labels", "more_phrases", "vocabulary"):
        text = classifier.get(key)
        # What the package holds and what comes with weights have a version of their own.
        if isinstance(text, str) and not text.startswith(("embedded:", "weights:")) and resolve_path(text).is_file():
            found[f"classifier.{key}"] = mark(resolve_path(text))
    return found


def listing(folder: str) -> list[Path]:
    """Everything in a folder of photographs, by name; what is hidden is nobody's photograph.

    Raises:
        UserError: there is no such folder, or nothing in it.
    """
    path = resolve_folder(folder)
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if not entries:
        raise UserError("There is no file in this folder of photographs.", given=path)
    return entries


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        Unfit: it has none, or cannot be read.
    """
    try:
        if path.is_dir():
            raise Unfit("a folder; the photographs lie directly in the one that is named")
        if not path.is_file():
            raise Unfit("no regular file")
        if path.stat().st_size > LARGEST:
            raise Unfit(f"larger than {LARGEST // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        raise Unfit(f"cannot be opened: {error.strerror}") from None
    if not data:
        raise Unfit("empty, 0 bytes")
    return data


def mark(path: Path) -> str:
    """SHA-256 of a file's bytes, or why it cannot be used."""
    try:
        return sha256(read(path)).hexdigest()
    except Unfit as reason:
        return str(reason)


def digest(marks: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of files, from the name and mark of each."""
    return sha256(json.dumps(marks).encode()).hexdigest()
