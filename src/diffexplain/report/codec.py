"""Frozen dataclasses to plain JSON values and back, driven by their type hints.

Knows what the summary is made of: dataclasses, tuples of one type, mappings from strings, optional values,
string enumerations, literals, strings, numbers and truth values.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class Malformed(ValueError):
    """A value does not have the shape that its type asks for; the message says where."""


def to_plain(value: Any) -> Any:
    """``value`` as dicts, lists, strings, numbers, truth values and None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a summary")


def from_plain(kind: Any, value: Any, where: str = "") -> Any:
    """The value of type ``kind`` that `to_plain` turned into ``value``; ``where``: its dotted path, for the message.

    Raises:
        Malformed: a field is missing, unknown or of another type.
    """
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _optional(kind, value, where)
    if origin is Literal:
        return _checked(value in get_args(kind), value, f"one of {get_args(kind)}", where)
    if origin is tuple:
        _checked(isinstance(value, list), value, "a list", where)
        item_kind = get_args(kind)[0]
        return tuple(from_plain(item_kind, item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        _checked(isinstance(value, dict), value, "an object", where)
        item_kind = get_args(kind)[1]
        return {key: from_plain(item_kind, item, _join(where, key)) for key, item in value.items()}
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        _checked(value in [member.value for member in kind], value, f"a {kind.__name__}", where)
        return kind(value)
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(_checked(number, value, "a number", where))
    if kind is int:
        integer = isinstance(value, int) and not isinstance(value, bool)
        return _checked(integer, value, "a whole number", where)
    return _checked(isinstance(value, kind), value, f"a {kind.__name__}", where)


def _optional(kind: Any, value: Any, where: str) -> Any:
    if value is None and type(None) in get_args(kind):
        return None
    (inner,) = [member for member in get_args(kind) if member is not type(None)]
    return from_plain(inner, value, where)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    _checked(isinstance(value, dict), value, "an object", where)
    hints = _hints(kind)
    names = [field.name for field in fields(kind)]
    # What has a default came later, or was not measured.
    needed = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
    missing = [_join(where, name) for name in needed if name not in value]
    unknown = [_join(where, name) for name in value if name not in names]
    if missing or unknown:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"unknown: {', '.join(unknown)}"] if unknown else []
        raise Malformed("; ".join(parts))
    given = [name for name in names if name in value]
    return kind(**{name: from_plain(hints[name], value[name], _join(where, name)) for name in given})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _checked(condition: bool, value: Any, expected: str, where: str) -> Any:
    if not condition:
        raise Malformed(f"{where or 'the whole'} should be {expected}, but is {value!r:.60}")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
