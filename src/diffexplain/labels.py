"""A classifier's class names, wherever they are written down; read without torch.

The key ``labels`` of a classifier's configuration is one of

- a file: the package's ``labels.json``; a text file with one name a line; or a model's own ``config.json`` as
  transformers (``id2label``) or timm (``label_names``) writes it;
- ``weights:config.json``, such a file among the first of the classifier's ``weights``;
- a list of names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from diffexplain.errors import UserError
from diffexplain.paths import is_folder, resolve_file, resolve_folder
from diffexplain.target import Label, Labels

IMAGENET = "embedded:imagenet_labels.json"
IN_WEIGHTS = "weights:"
_ALIKE = 0.9
"""Share of first names that must agree for a list of 1000 names to be ImageNet's, which several people have respelt."""

Source = Mapping[str, Any]
"""Where weights come from: one entry of the configuration's ``weights``."""


def classifier_labels(classifier: Mapping[str, Any]) -> Labels:
    """The class names of a classifier's configuration, under the name of its choice.

    Raises:
        UserError: they are missing or cannot be read.
    """
    name = str(classifier["name"])
    model = f" classifier.model={classifier['model']}" if "model" in classifier else ""
    command = f"diffexplain fetch classifier={name}{model}"
    labels = find_labels(classifier["labels"], classifier.get("weights") or (), command=command)
    # Messages name the command that lists the classes, which takes the choice's name.
    return replace(labels, name=name)


def find_labels(given: str | Sequence[str], weights: Sequence[Source] = (), *, command: str) -> Labels:
    """The class names that ``given`` stands for, as the key ``labels`` does.

    Args:
        weights: the classifier's.
        command: brings the weights, for messages.

    Raises:
        UserError: they are missing or cannot be read.
    """
    if not isinstance(given, str):
        return _named("classes", [str(name) for name in given])
    if not given.startswith(IN_WEIGHTS):
        return read_labels(resolve_file(given))
    if not weights:
        raise UserError("This classifier has no weights beside which its class names could be.", given=given)
    return read_labels(source_path(weights[0], command=command) / given.removeprefix(IN_WEIGHTS))


def source_path(source: Source, *, command: str) -> Path:
    """Where the files of one of a configuration's ``weights`` are; a ``repository`` may be a folder of the user's.

    Raises:
        UserError: they are not on this machine; the message holds ``command``, which brings them.
    """
    repository = str(source.get("repository") or "")
    if repository and is_folder(repository):
        return resolve_folder(repository)
    from diffexplain.fetching import local

    return local(source, command=command)


def read_labels(path: Path) -> Labels:
    """The class names in a file of one of the forms above.

    Raises:
        UserError: missing, or of another form.
    """
    if path.suffix != ".json":
        return _named(path.stem, _lines(path))
    content = _json(path)
    if "id2label" in content:
        return _imagenet_or(_described(path.parent.name, _in_order(content["id2label"], path)))
    if "architecture" in content and "num_classes" in content:
        return _timm(content, path)
    return Labels.load(path)


def _timm(content: Mapping[str, Any], path: Path) -> Labels:
    count = int(content["num_classes"])
    names = content.get("label_names") or (content.get("pretrained_cfg") or {}).get("label_names")
    if isinstance(names, list) and len(names) == count:
        described = content.get("label_descriptions") or {}
        return _imagenet_or(_described(path.parent.name, [str(described.get(name, name)) for name in names]))
    if count == len(_imagenet()):
        return _imagenet()  # timm leaves out the names of its usual classes.
    return _named(path.parent.name, [f"class {index}" for index in range(count)])


def _described(name: str, descriptions: Sequence[str]) -> Labels:
    """Labels from descriptions such as "tench, Tinca tinca": a name and its synonyms, if the names are unmistakable."""
    parts = [[part.strip() for part in description.split(",") if part.strip()] for description in descriptions]
    first = Counter(part[0].casefold() for part in parts if part)
    classes = [
        Label(index, part[0], synonyms=(*part[1:], description))
        if len(part) > 1 and first[part[0].casefold()] == 1
        else Label(index, description.strip(), synonyms=tuple(part) if len(part) > 1 else ())
        for index, (part, description) in enumerate(zip(parts, descriptions, strict=True))
    ]
    return Labels(name, tuple(classes))


def _imagenet_or(labels: Labels) -> Labels:
    """ImageNet's own labels, with WordNet ids, where ``labels`` are the same classes; else ``labels``."""
    if len(labels) != len(_imagenet()):
        return labels
    known = [{name.casefold() for name in (label.name, *label.synonyms)} for label in _imagenet().classes]
    alike = sum(
        label.name.split(",")[0].casefold() in names for label, names in zip(labels.classes, known, strict=True)
    )
    return _imagenet() if alike >= _ALIKE * len(labels) else labels


@lru_cache(maxsize=1)
def _imagenet() -> Labels:
    return Labels.load(resolve_file(IMAGENET))


def _in_order(names: Any, path: Path) -> list[str]:
    try:
        by_index = {int(index): str(name) for index, name in names.items()}
        return [by_index[index] for index in range(len(by_index))]
    except (AttributeError, ValueError, KeyError) as error:
        raise UserError(f"The `id2label` in {path} does not name classes 0, 1, 2, ... in turn.") from error


def _named(name: str, names: Sequence[str]) -> Labels:
    if not names or any(not word.strip() for word in names):
        raise UserError(f"The class names of {name} are empty, or one of them is.")
    return Labels(name, tuple(Label(index, word.strip()) for index, word in enumerate(names)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").strip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The class names in {path} cannot be read: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"The class names in {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"The class names in {path} cannot be read: it holds no mapping.")
    return content
