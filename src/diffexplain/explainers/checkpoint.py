"""Checkpoints that survive a kill at any moment: whole, checked, and with the one before kept."""

from __future__ import annotations

import io
import pickle
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from diffexplain.weights import atomic

_DIGEST_BYTES = 32


class AtomicCheckpointIO(CheckpointIO):
    """Writes what ``torch.save`` gives, followed by its SHA-256; reads it with ``weights_only=True``.

    The checkpoint before the last is kept beside it as ``<name>.previous`` and is read when the last
    is missing or damaged.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        path = Path(path)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        payload = buffer.getvalue()
        if path.exists():
            path.replace(previous_path(path))
        atomic.write_bytes(path, payload + sha256(payload).digest())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        checkpoint = read_checkpoint(Path(path))
        if checkpoint is None:
            raise FileNotFoundError(f"There is no checkpoint that can be read at {path}")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        for file in (Path(path), previous_path(Path(path))):
            file.unlink(missing_ok=True)


def previous_path(path: Path) -> Path:
    """Where the checkpoint before the one at ``path`` is kept."""
    return path.with_name(f"{path.name}.previous")


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The checkpoint at ``path``, else the one before it, else ``None``; tensors on the CPU.

    A file that is damaged is left where it is and named in a warning.
    """
    for file in (path, previous_path(path)):
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            warnings.warn(f"The checkpoint {file} cannot be read: {error.strerror}", stacklevel=2)
            continue
        payload, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if sha256(payload).digest() != digest:
            warnings.warn(f"The checkpoint {file} is damaged and is not used.", stacklevel=2)
            continue
        try:
            return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError) as error:
            warnings.warn(f"The checkpoint {file} cannot be read: {error}", stacklevel=2)
    return None
