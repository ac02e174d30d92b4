"""Whether this person can log to Weights & Biases; imports neither W&B nor Lightning."""

from __future__ import annotations

import netrc
import os
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
