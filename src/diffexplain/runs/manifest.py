"""What a run was made from: its configuration, the versions of the libraries, the weights."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from diffexplain import fetching, paths
from diffexplain.errors import UserError

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
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_BLOCK = 1 << 20
_BLOCKS = 64


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
    """Fingerprint of every weight file in the folders that ``config`` names.

    A folder is named by a key that is ``folder`` or ends in ``_folder``. Names are relative to it. Of fetched
    files it is the recorded SHA-256.
    """
    found = fetching.recorded_weights(config)
    for text in sorted(set(_folders(config))):
        try:
            folder = paths.resolve_folder(text)
        except UserError:
            continue  # Building the part reports this; here it would hide a finished run.
        for file in sorted(folder.rglob("*")):
            if file.suffix in WEIGHT_SUFFIXES and file.is_file():
                found[f"{text}/{file.relative_to(folder).as_posix()}"] = fingerprint(file)
    return found


def fingerprint(file: Path) -> str:
    """SHA-256 of a file's size and content; of files above 64 MiB, of 64 blocks spread over them."""
    size = file.stat().st_size
    digest = sha256(f"{size}\n".encode())
    with file.open("rb") as stream:
        if size <= _BLOCK * _BLOCKS:
            for block in iter(lambda: stream.read(_BLOCK), b""):
                digest.update(block)
        else:
            for index in range(_BLOCKS):
                stream.seek((size - _BLOCK) * index // (_BLOCKS - 1))
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


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


def _folders(config: Mapping[str, Any]) -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _folders(value)
        elif isinstance(value, str) and (key == "folder" or str(key).endswith("_folder")):
            yield value
