"""A classifier's class names, wherever they are written down; read without torch.

The key ``labels`` of a classifier's configuration is one of

- a file in one of the ``FORMS``: what it holds counts, not what it is called, but for CSV;
- ``weights:config.json``, such a file among the first of the classifier's ``weights``;
- a list of names.

A class is written as its name, as names with commas between them ("tench, Tinca tinca": the others are synonyms), as a
WordNet id, or as both. Of a WordNet id alone, ImageNet's own names tell the name. Prompts say the name alone.
"""

from __future__ import annotations

import ast
import csv
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from diffexplain.errors import UserError
from diffexplain.target import WNID, Label, Labels
from diffexplain.weights.documents import from_json, from_yaml, read_json
from diffexplain.weights.paths import EMBEDDED_PREFIX, resolve_file
from diffexplain.weights.store import Node, source_path

IMAGENET = "embedded:imagenet_labels.json"
IN_WEIGHTS = "weights:"
FORMS = (
    "one class a line",
    "n03355925 flagpole, flagstaff",
    "0 bee",
    "CSV with index, name, wnid or synonyms",
    'JSON or YAML: ["bee", ...]',
    '{"0": "bee", ...}',
    '{"0": ["n02206856", "bee"], ...}',
    '{"bee": 0, ...}',
    '{"id2label": {"0": "bee", ...}}',
    '{"classes": [{"index": 0, "name": "bee", "wnid": "n02206856", "synonyms": []}, ...]}',
)
"""How class names may be written; for messages."""
_LARGEST = 1 << 26
"""Bytes of a file of class names."""
_MOST = 1_000_000
"""Classes that are named by their number alone, at most."""
_ALIKE = 0.9
"""Share of first names that must agree for a list of 1000 names to be ImageNet's, which several people have respelt."""
_WITH_WNID = re.compile(r"(n\d{8})[\s,:;]+(\S.*)")
_WITH_INDEX = (
    re.compile(r"(?P<index>\d+)[\s,:;]+(?P<class>\S.*)"),
    re.compile(r"(?P<class>n\d{8})\s+(?P<index>\d+)"),
    re.compile(r"n\d{8}\s+(?P<index>\d+)\s+(?P<class>\S.*)"),
)
_INDEX_BEHIND = re.compile(r"(?P<class>\S.*?)[\s,:;]+(?P<index>\d{1,9})")
_COLUMNS = {
    "index": ("index", "idx", "class index", "class idx", "label index", "number"),
    "name": ("name", "class name", "label name", "names", "description"),
    "wnid": ("wnid", "synset", "wordnet id", "synset id"),
    "synonyms": ("synonyms", "synonym"),
    "any": ("class", "label", "id", "class id", "label id", "target", ""),
}
"""What the header of a CSV file may call its columns; what stands in one of the last kind tells what it is."""


@dataclass(frozen=True)
class _Entry:
    """One class as a file describes it: a WordNet id, or names of which the first counts, or both."""

    names: tuple[str, ...] = ()
    wnid: str | None = None


class _Unreadable(Exception):
    """Class names are in no form that is known, or leave something open; the message says what came."""


def classifier_labels(classifier: Mapping[str, Any]) -> Labels:
    """The class names of a classifier's configuration, under the name of its choice.

    Raises:
        UserError: they are missing or cannot be read.
    """
    name = str(classifier["name"])
    model = f" classifier.model={classifier['model']}" if "model" in classifier else ""
    command = f"diffexplain fetch classifier={name}{model}"
    given = classifier["labels"]
    labels = find_labels(given, classifier.get("weights") or (), command=command)
    # Messages name the command that lists the classes, which takes the choice's name and what else says where they are.
    own = isinstance(given, str) and not given.startswith((IN_WEIGHTS, EMBEDDED_PREFIX))
    more = model if isinstance(given, str) and given.startswith(IN_WEIGHTS) else ""
    more = f" {shlex.quote(f'classifier.labels={given}')}" if own else more
    return replace(labels, name=name, listed_by=f"classifier={name}{more}")


def find_labels(given: str | Sequence[str], weights: Sequence[Node] = (), *, command: str) -> Labels:
    """The class names that ``given``, as the key ``labels``, stands for; ``command`` brings the weights, for messages.

    Raises:
        UserError: they are missing or cannot be read.
    """
    if not isinstance(given, str):
        try:
            return _from_entries("classes", [_literal(described, index) for index, described in enumerate(given)])
        except _Unreadable as error:
            raise UserError(f"The list of class names cannot be used: {error}.", accepted=("[bee, kite]",)) from None
    if not given.startswith(IN_WEIGHTS):
        return read_labels(resolve_file(given))
    if not weights:
        raise UserError("This classifier has no weights beside which its class names could be.", given=given)
    return read_labels(source_path(weights[0], command=command) / given.removeprefix(IN_WEIGHTS))


def read_labels(path: Path) -> Labels:
    """The class names in a file of one of the ``FORMS``.

    Raises:
        UserError: missing, or of another form; the message says what came.
    """
    try:
        return _read(path)
    except _Unreadable as error:
        raise UserError(f"The class names in {path} cannot be read: {error}.", accepted=[" | ".join(FORMS)]) from None


def _read(path: Path) -> Labels:
    text = _text(path)
    if text.lstrip().startswith(("{", "[")) or path.suffix.lower() in (".json", ".yaml", ".yml"):
        content = _structure(text, path.suffix.lower())
        name = path.parent.name if isinstance(content, dict) and path.name == "config.json" else path.stem
        return _structured(name, content)
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    # A line that begins so is a comment; elsewhere the sign belongs to a name, as in C#.
    numbered = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith("#")]
    while numbered and not numbered[-1][1]:
        numbered.pop()
    while numbered and not numbered[0][1]:
        numbered.pop(0)
    if not numbered:
        raise _Unreadable("it holds none")
    blank = next((number for number, line in numbered if not line), None)
    if blank is not None:
        raise _Unreadable(
            f"line {blank} is blank: name the class there, or delete the line if none is meant, since all classes "
            "after it would move"
        )
    rows = [line for _, line in numbered]
    header = _header(rows[0].split(","))
    if path.suffix.lower() in (".csv", ".tsv") or (len(header) > 1 and all(header)):
        return _table(path.stem, _cells(rows))
    return _by_index(path.stem, _numbered(rows)) if _numbered(rows) else _listed(path.stem, rows)


def _numbered(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Index and description of every class, if the lines hold an index each; else none."""
    for pattern in _WITH_INDEX:
        found = [match for match in map(pattern.fullmatch, lines) if match is not None]
        if len(found) == len(lines):
            return [(match["index"], match["class"]) for match in found]
    behind = [match for match in map(_INDEX_BEHIND.fullmatch, lines) if match is not None]
    # A number behind is part of the name, unless these count the classes and the names do without.
    counted = {int(match["index"]) for match in behind} == set(range(len(lines)))
    distinct = len({match["class"] for match in behind}) == len(lines) > 1
    return [(match["index"], match["class"]) for match in behind] if counted and distinct else []


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except OSError as error:
        raise _Unreadable(str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise _Unreadable("it is no text in UTF-8") from error
    if len(data) > _LARGEST:
        raise _Unreadable(f"it has more than {_LARGEST >> 20} MiB")
    if "\0" in text:
        raise _Unreadable("it is no text")
    return text


def _structure(text: str, suffix: str) -> Any:
    """JSON or YAML, or what Python writes for a dictionary."""
    try:
        return from_yaml(text) if suffix in (".yaml", ".yml") else from_json(text, _mapping)
    except ValueError as error:
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            raise _Unreadable(f"it is not valid {'YAML' if suffix in ('.yaml', '.yml') else 'JSON'}, {error}") from None


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise _Unreadable(f"{twice[0]!r} stands twice in its mapping")
    return dict(pairs)


def _structured(name: str, content: Any) -> Labels:
    if isinstance(content, list):
        return _listed(name, content)
    if not isinstance(content, dict) or not content:
        raise _Unreadable(f"it holds {_kind(content)}")
    if isinstance(content.get("id2label"), dict):
        return _by_index(name, content["id2label"].items())
    if isinstance(content.get("label2id"), dict):
        return _by_index(name, [(index, text) for text, index in content["label2id"].items()])
    if "architecture" in content and "num_classes" in content:
        return _timm(name, content)
    if isinstance(content.get("classes"), list):
        return _records(str(content.get("name", name)), content["classes"])
    if "model_type" in content or "transformers_version" in content:
        # transformers leaves out what it calls LABEL_0, LABEL_1, ... itself: two of them, unless the file says more.
        return _listed(name, [f"LABEL_{index}" for index in range(_count(content.get("num_labels", 2)))])
    if all(_is_index(key) for key in content):
        if all(type(value) is int for value in content.values()) and any(int(k) != v for k, v in content.items()):
            raise _Unreadable("both sides of its mapping are numbers, so that names cannot be told from indices")
        return _by_index(name, [(key, str(value) if type(value) is int else value) for key, value in content.items()])
    if all(_is_index(value) for value in content.values()):
        return _by_index(name, [(index, text) for text, index in content.items()])
    key, value = next((k, v) for k, v in content.items() if not _is_index(k) and not _is_index(v))
    raise _Unreadable(f"it holds a mapping from {_kind(key)} {key!r} to {_kind(value)}")


def _records(name: str, records: Sequence[Any]) -> Labels:
    """Labels of the package's own form, or names alone."""
    if not all(isinstance(record, dict) for record in records):
        return _listed(name, records)
    try:
        return _clean(Labels.from_mapping({"name": name, "classes": records}))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _Unreadable(f"{'a class lacks its ' if isinstance(error, KeyError) else ''}{error}") from error


def _timm(name: str, content: Mapping[str, Any]) -> Labels:
    count = _count(content["num_classes"])
    names = content.get("label_names") or (content.get("pretrained_cfg") or {}).get("label_names")
    if isinstance(names, list) and len(names) == count:
        described = content.get("label_descriptions") or {}
        return _listed(name, [_wnid_and(str(text), str(described.get(text, text))) for text in names])
    if count == len(_imagenet()):
        return _imagenet()  # timm leaves out the names of its usual classes.
    return _listed(name, [f"class {index}" for index in range(count)])


def _count(value: Any) -> int:
    if not _is_index(value):
        raise _Unreadable(f"it gives {_kind(value)} as the number of classes")
    if int(value) > _MOST:
        raise _Unreadable(f"it speaks of {value} classes")
    return int(value)


def _wnid_and(name: str, description: str) -> str:
    return f"{name} {description}" if WNID.fullmatch(name) and description != name else description


def _table(name: str, cells: Sequence[Sequence[str]]) -> Labels:
    """Labels from the rows of a CSV file, with or without a header."""
    header = _header(cells[0])
    named = any(header) and not any(_is_index(cell) or WNID.fullmatch(cell) for cell in cells[0])
    rows = cells[1:] if named else cells
    if not rows:
        raise _Unreadable("it holds a header and no class")
    width = len(header) if named else min(len(row) for row in rows)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    kinds = [_content([row[k] for row in rows]) for k in range(width)]
    found: dict[str, int] = {}
    for role in ("index", "wnid", "name"):
        said = [k for k in range(width) if named and header[k] == role]
        fitting = said or [k for k in range(width) if (not named or header[k] == "any") and kinds[k] == role]
        if len(said) > 1 or (len(fitting) > 1 and role != "name"):
            raise _Unreadable(f"several of its columns could be the {role}; a header of index,name,wnid tells which")
        if fitting:
            found[role] = fitting[0]
    if "name" not in found and "wnid" not in found:
        raise _Unreadable("none of its columns holds names or WordNet ids; a header of index,name,wnid tells which")
    synonyms = [k for k in range(width) if named and header[k] == "synonyms"]
    entries = []
    for row in rows:
        if named and len(row) > width and found.get("name") != width - 1:
            raise _Unreadable(f"a row has more cells than the header: {','.join(row)}")
        # Names that nobody put in quotation marks go on behind the commas.
        behind = range(found["name"] + 1, len(row)) if "name" in found and (not named or len(row) > width) else ()
        chosen = [found["name"]] if "name" in found else []
        chosen += [k for k in (*behind, *synonyms) if k not in found.values()]
        wnid = row[found["wnid"]] if "wnid" in found else ""
        if wnid and not WNID.fullmatch(wnid):
            raise _Unreadable(f"{wnid!r} is given as a WordNet id")
        entries.append(_Entry(_names_in(", ".join(row[k].replace(";", ",") for k in chosen)), wnid or None))
    if "index" not in found:
        return _from_entries(name, entries)
    return _by_index(name, [(row[found["index"]], entry) for row, entry in zip(rows, entries, strict=True)])


def _cells(rows: Sequence[str]) -> list[list[str]]:
    delimiter = next((sign for sign in "\t;" if all(sign in row for row in rows)), ",")
    try:
        read = list(csv.reader(rows, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise _Unreadable(f"it is not valid CSV, {error}") from error
    return [[cell.strip() for cell in row] for row in read]


def _header(cells: Sequence[str]) -> list[str]:
    """The role of each column of a header, "" of a column that has none."""
    words = [re.sub(r"[\s_-]+", " ", cell).casefold() for cell in cells]
    return [next((role for role, known in _COLUMNS.items() if word in known), "") for word in words]


def _content(column: Sequence[str]) -> str:
    if all(_is_index(cell) for cell in column):
        return "index"
    return "wnid" if all(WNID.fullmatch(cell) for cell in column) else "name"


def _by_index(name: str, classes: Iterable[tuple[Any, Any]]) -> Labels:
    """Labels in the order of their indices."""
    by_index: dict[int, Any] = {}
    for index, described in classes:
        if not _is_index(index):
            raise _Unreadable(f"{index!r} is given as the index of a class")
        if int(index) in by_index:
            raise _Unreadable(f"two classes have the index {int(index)}")
        by_index[int(index)] = described
    missing = next((index for index in range(len(by_index)) if index not in by_index), None)
    if missing is not None:
        begin = f"they begin at {min(by_index)}" if missing == 0 and by_index else f"{missing} is missing"
        raise _Unreadable(f"its indices must be 0, 1, 2, ... as the classifier's outputs are, and {begin}")
    return _listed(name, [by_index[index] for index in range(len(by_index))])


def _listed(name: str, classes: Sequence[Any]) -> Labels:
    """Labels of classes that are described one after another."""
    return _from_entries(name, [_entry(described, index) for index, described in enumerate(classes)])


def _entry(described: Any, index: int) -> _Entry:
    """A class described by a text, or by a list of a WordNet id, a name and synonyms."""
    if isinstance(described, _Entry):
        return described
    if type(described) is int:
        described = str(described)
    if isinstance(described, list | tuple) and described and all(isinstance(part, str) for part in described):
        first, *others = (part.strip() for part in described)
        if WNID.fullmatch(first):
            return _Entry(_names_in(", ".join(others)), first)
        return _Entry(_names_in(", ".join((first, *others))))
    if not isinstance(described, str):
        raise _Unreadable(f"class {index} is {_kind(described)}")
    text = described.strip()
    if WNID.fullmatch(text):
        return _Entry(wnid=text)
    with_wnid = _WITH_WNID.fullmatch(text)
    return _Entry(_names_in(with_wnid[2]), with_wnid[1]) if with_wnid else _Entry(_names_in(text))


def _literal(described: Any, index: int) -> _Entry:
    """As `_entry`, of a list that is typed for this run: a text with commas is one name, its parts are synonyms."""
    entry = _entry(str(described).lower() if isinstance(described, bool) else described, index)
    return replace(entry, names=(*entry.names[-1:], *entry.names[:-1])) if isinstance(described, str) else entry


def _names_in(description: str) -> tuple[str, ...]:
    """The names in a description such as "tench, Tinca tinca"; the description itself is the last of several."""
    parts = [" ".join(part.split()) for part in description.split(",")]
    names = dict.fromkeys(part for part in parts if part)
    return (*names, " ".join(description.split())) if len(names) > 1 else tuple(names)


def _from_entries(name: str, entries: Sequence[_Entry]) -> Labels:
    """Labels whose names are unmistakable where that can be: a first name that is used twice gives way to the whole."""
    if not entries:
        raise _Unreadable("it holds none")
    first = Counter(entry.names[0].casefold() for entry in entries if entry.names)
    classes = []
    for index, entry in enumerate(entries):
        if not entry.names and entry.wnid is None:
            raise _Unreadable(f"class {index} has an empty name")
        if not entry.names:
            known = _imagenet_by_wnid().get(str(entry.wnid))
            named = Label(index, str(entry.wnid), entry.wnid)
            classes.append(named if known is None else replace(known, index=index, slug=""))
        elif first[entry.names[0].casefold()] > 1 and len(entry.names) > 1 and entry.wnid is None:
            classes.append(Label(index, entry.names[-1], synonyms=entry.names[:-1]))
        else:
            classes.append(Label(index, entry.names[0], entry.wnid, entry.names[1:]))
    return _with_imagenets(_clean(Labels(name, tuple(classes))))


def _clean(labels: Labels) -> Labels:
    """The same without white space around and line breaks inside names; refused where that leaves nothing."""
    empty = next((label.index for label in labels.classes if not label.name.strip()), None)
    if empty is not None:
        raise _Unreadable(f"class {empty} has an empty name")
    return replace(labels, classes=tuple(replace(label, name=" ".join(label.name.split())) for label in labels.classes))


def _with_imagenets(labels: Labels) -> Labels:
    """``labels`` with the WordNet ids and synonyms that ImageNet's have, if they are ImageNet's classes."""
    if len(labels) != len(_imagenet()):
        return labels
    alike = [_alike(label, own) for label, own in zip(labels.classes, _imagenet().classes, strict=True)]
    if sum(label is not None for label in alike) < _ALIKE * len(labels):
        return labels
    if alike == list(_imagenet().classes):
        return _imagenet()
    # One that is not alike may be the user's own in the place of ImageNet's.
    return replace(labels, classes=tuple(new or label for new, label in zip(alike, labels.classes, strict=True)))


def _alike(label: Label, own: Label) -> Label | None:
    """ImageNet's label ``own`` under the name that the file has, or None if the file means something else."""
    name = label.name.replace("_", " ").split(",")[0].casefold()
    if label.wnid not in (None, own.wnid):
        return None
    if name == own.name.casefold():
        return own
    if label.wnid is None and name not in [synonym.casefold() for synonym in own.synonyms]:
        return None
    names = dict.fromkeys((*label.synonyms, own.name, *own.synonyms))
    return replace(own, name=label.name, synonyms=tuple(other for other in names if other != label.name))


@lru_cache(maxsize=1)
def _imagenet() -> Labels:
    return Labels.from_mapping(read_json(resolve_file(IMAGENET)))


@lru_cache(maxsize=1)
def _imagenet_by_wnid() -> dict[str, Label]:
    return {str(label.wnid): label for label in _imagenet().classes}


def _is_index(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.isdigit() and len(value) < 10
    return type(value) is int and value >= 0


def _kind(value: Any) -> str:
    if value is None or value in ({}, [], ()):
        return "nothing"
    no_text = "true or false without quotation marks"
    kinds = {dict: "a mapping", list: "a list", tuple: "a list", str: "the text", bool: no_text}
    return kinds.get(type(value), "a number")
