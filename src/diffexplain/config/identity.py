"""What makes two runs the same run: their resolved configuration, less what cannot change the result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from diffexplain.config.former_names import former
from diffexplain.weights.sources import FURTHER

EXCLUDED = (
    "bank",
    "callbacks",
    "fail_if",
    "force",
    "images",
    "logger",
    "paths",
    "trainer.accelerator",
    "trainer.name",
    "trainer.progress",
)
"""Dotted keys that say where a run is made and shown, what is made of its findings, and where its photographs lie, not
what it finds.

What the photographs hold is under `diffexplain.config.digests.CONTENTS`.

Batch size, number of devices, precision and thread count change the bits of the result, so they are
not here; kind of device and library versions are in the manifest, where a change warns.
"""

_FORMAT = "diffexplain run 1"


def identity(config: Mapping[str, Any]) -> str:
    """SHA-256 (64 hexadecimal digits) of the resolved ``config`` minus the ``EXCLUDED`` keys.

    Raises:
        ValueError: a value that is not JSON, NaN and infinities included.
    """
    content = {"format": _FORMAT, "config": _as_before(identifying(config))}
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def identifying(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``config`` that the identity is made of.

    A package whose code loggers and callbacks alone call only watches the run.
    """
    kept = _without(config, "")
    watching = _named(config.get("callbacks"), config.get("logger"))
    if not watching or not isinstance(kept.get("plugins"), list):
        return kept
    used = _named({key: value for key, value in kept.items() if key not in ("contents", "plugins")})
    only = [name for name in kept["plugins"] if _within(name, watching) and not _within(name, used)]
    contents = {key: value for key, value in kept.get("contents", {}).items() if key not in _digests(only)}
    kept["plugins"] = [name for name in kept["plugins"] if name not in only]
    return {**kept, "contents": contents} if contents else {key: kept[key] for key in kept if key != "contents"}


def _without(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    kept = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if path not in EXCLUDED:
            kept[str(key)] = _without(value, f"{path}.") if isinstance(value, Mapping) else value
    return kept


def _named(*nodes: Any) -> set[str]:
    """Every text in a configuration."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Mapping):
            found |= _named(*node.values())
        elif isinstance(node, list):
            found |= _named(*node)
        elif isinstance(node, str):
            found.add(node)
    return found


def _within(package: str, texts: set[str]) -> bool:
    return any(f"{text}.".startswith(f"{package}.") for text in texts)


def _digests(packages: list[str]) -> set[str]:
    return {f"plugins.{name}" for name in packages}


def _as_before(value: Any) -> Any:
    """With the names that parts had when they were first given: a part that moves makes no other run.

    Nor does another address of the same file.
    """
    if isinstance(value, Mapping):
        kept = {key: one for key, one in value.items() if "url" not in value or key not in FURTHER}
        return {key: former(one) if key == "_target_" else _as_before(one) for key, one in kept.items()}
    return [_as_before(one) for one in value] if isinstance(value, list) else value
