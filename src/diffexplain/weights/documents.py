"""JSON and YAML that others wrote, read as plain data: bounded in size and depth, with one error for all that is wrong.

Every such text comes through here: files of users', hubs' and endpoints' answers, headers of weights. What a few lines
unfold to without end, or a bracket too many, ends nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

MOST = 1 << 28
"""Bytes of a JSON document; the largest that are read are headers of weights."""
MOST_OF_YAML = 1 << 23
"""Bytes of a YAML document, which takes a second a mebibyte to read."""
DEEPEST = 64
"""Levels of mappings and lists in one another."""
_VALUES = 1_000_000
"""Values in YAML, once every alias is written out."""
_READER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, which reads ten times as fast, where it is installed."""

Pairs = Callable[[Sequence[tuple[str, Any]]], Any]
"""What is made of the keys and values of an object."""


class Unreadable(ValueError):
    """A text is no such document, or one that is not read; the message says why."""


def read_json(path: Path, pairs: Pairs | None = None) -> Any:
    """What the JSON file at ``path`` holds.

    Raises:
        OSError: it cannot be read.
        ValueError: as `from_json`, or it is no text.
    """
    return from_json(read_text(path), pairs)


def read_text(path: Path, most: int = MOST) -> str:
    """The text of a file in UTF-8.

    Raises:
        OSError: it cannot be read.
        ValueError: it is longer than ``most`` bytes, or no text.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"it has more than {most >> 20} MiB")
    return data.decode("utf-8")


def from_json(text: str | bytes, pairs: Pairs | None = None) -> Any:
    """What a JSON text holds; every number in it is finite.

    Raises:
        ValueError: it is not JSON, too long, too deep, or a number is beyond all bounds.
    """
    if len(text) > MOST:
        raise Unreadable(f"it has more than {MOST >> 20} MiB")
    try:
        content = json.loads(
            text, object_pairs_hook=pairs, parse_float=_finite, parse_constant=_finite, parse_int=_whole
        )
    except RecursionError:
        raise _too_deep() from None
    _check_depth(content)
    return content


def from_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        ValueError: it is not YAML, too long, too deep, or unfolds to too much.
    """
    node = yaml_nodes(text)
    if node is None:
        return None
    _unfolded(node, {}, 0)
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:  # a mapping as a key, a date that is none
        raise Unreadable(str(error)) from error
    finally:
        loader.dispose()


def yaml_nodes(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, which know their lines; aliases are not followed.

    Raises:
        ValueError: it is not YAML, too long or too deep.
    """
    if len(text) > MOST_OF_YAML:
        raise Unreadable(f"it has more than {MOST_OF_YAML >> 20} MiB")
    depth = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=_READER):  # Nodes too deep in one another would end the process.
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _too_deep()
        return yaml.compose(text, Loader=_READER)
    try:  # What is wrong is said with the line itself by the slower one.
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise Unreadable(str(error)) from error
    except RecursionError:
        raise _too_deep() from None


def check_yaml(text: str) -> None:
    """See that a YAML text which somebody else reads is bounded; whether it is YAML is for them to say.

    Raises:
        ValueError: it is too long, too deep, or unfolds to too much; or is one value alone.
    """
    try:
        node = yaml_nodes(text)
    except Unreadable as error:
        if isinstance(error.__cause__, yaml.YAMLError):
            return
        raise
    if isinstance(node, yaml.ScalarNode):
        raise Unreadable("it is one value, without a name")
    if node is not None:
        _unfolded(node, {}, 0)


def _unfolded(node: yaml.Node, known: dict[int, int | None], depth: int) -> int:
    """How many values ``node`` stands for when its aliases are written out; ``known`` are those of others."""
    if depth > DEEPEST:
        raise _too_deep()
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        count = known[id(node)]
        if count is None:
            raise Unreadable("it holds itself by an alias")
        return count
    known[id(node)] = None
    count = 1
    for entry in node.value:
        for value in entry if isinstance(entry, tuple) else (entry,):
            count += _unfolded(value, known, depth + 1)
    if count > _VALUES:
        raise Unreadable(f"its aliases unfold to more than {_VALUES} values")
    known[id(node)] = count
    return count


def _check_depth(content: Any) -> None:
    level = [content]
    for _ in range(DEEPEST + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        level = [value for one in level for value in (one.values() if isinstance(one, dict) else one)]
    if any(isinstance(one, dict | list) for one in level):
        raise _too_deep()


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Unreadable(f"{text[:20]} is beyond all bounds")
    return value


def _too_deep() -> Unreadable:
    return Unreadable(f"it is more than {DEEPEST} levels deep")
