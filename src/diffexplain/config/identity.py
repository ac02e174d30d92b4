"""What makes two runs the same run: their resolved configuration, less what cannot change the result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from diffexplain.config.former_names import former
from diffexplain.weights.sources import FURTHER

EXCLUDED = (
    "force",
    "images",
    "logger",
    "paths",
    "trainer.accelerator",
    "trainer.name",
    "trainer.progress",
)
"""Dotted keys that say where a run is made and shown, and where its photographs lie, not what it finds.

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
    """The part of ``config`` that the identity is made of."""
    return _without(config, "")


def _without(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    kept = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if path not in EXCLUDED:
            kept[str(key)] = _without(value, f"{path}.") if isinstance(value, Mapping) else value
    return kept


def _as_before(value: Any) -> Any:
    """With the names that parts had when they were first given: a part that moves makes no other run.

    Nor does another address of the same file.
    """
    if isinstance(value, Mapping):
        kept = {key: one for key, one in value.items() if "url" not in value or key not in FURTHER}
        return {key: former(one) if key == "_target_" else _as_before(one) for key, one in kept.items()}
    return [_as_before(one) for one in value] if isinstance(value, list) else value
