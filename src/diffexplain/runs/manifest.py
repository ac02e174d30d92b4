"""What a run was made from: its configuration, the versions of the libraries, the weights."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from diffexplain.config import digests

DISTRIBUTIONS = (
    "diffexplain",
    "diffusers",
    "hydra-core",
    "lightning",
    "numpy",
    "safetensors",
    "torch",
    "torchvision",
    "transformers",
)


def versions() -> dict[str, str]:
    """Versions of everything that computes, without importing any of it."""
    found = {"python": platform.python_version(), "platform": f"{sys.platform}-{platform.machine()}"}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def weights(config: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of every file of weights that ``config`` names: as its identity has them, else as they are now."""
    return digests.weights(config.get(digests.CONTENTS) or digests.digests(config))


def made_with(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Versions and weights as they are now."""
    return {"versions": versions(), "weights": weights(config)}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What ``made_with`` says differently: lines such as ``torch 2.13.0, now 2.15.0``."""
    old_versions, old_weights = before.get("versions", {}), before.get("weights", {})
    new_versions, new_weights = now["versions"], now["weights"]
    return [
        f"{name} {old_versions.get(name, 'absent')}, now {new_versions[name]}"
        for name in sorted(new_versions)
        if old_versions.get(name, "absent") != new_versions[name]
    ] + [
        f"other weights in {name}"
        for name in sorted({*new_weights, *old_weights})
        if new_weights.get(name) != old_weights.get(name)
    ]
