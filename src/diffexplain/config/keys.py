"""A configuration's values by their dotted keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in ``config`` that is not a non-empty mapping."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find(config: Mapping[str, Any], key: str) -> tuple[Any] | None:
    """The value of a key, by itself in a tuple; None where there is no such key."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return (node,)


def put(config: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a key, whose parents are there."""
    *parents, last = key.split(".")
    for part in parents:
        config = config[part]
    config[last] = value
