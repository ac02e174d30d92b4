"""Whether this person can log to Weights & Biases, and where that writes; imports neither W&B nor Lightning."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit


def has_key() -> bool:
    """Whether the environment or the user's netrc file holds a key for W&B."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def folders(directory: Path) -> dict[str, str]:
    """Environment variables that make W&B write beside a run and not into the user's home; less those that are set.

    What the user has told W&B in the home's settings still holds.
    """
    beside = str(directory / "wandb")
    names = ["WANDB_CACHE_DIR", "WANDB_DATA_DIR"]
    if not (Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "wandb").exists():
        names.append("WANDB_CONFIG_DIR")
    return {name: beside for name in names if name not in os.environ}
