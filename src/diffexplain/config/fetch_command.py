"""Whether what a run needs from elsewhere is there, and the command that brings it; no network is reached here."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from diffexplain.errors import UserError
from diffexplain.weights.sources import Source, sources
from diffexplain.weights.store import Lock, locate, store_folder


def require(config: Mapping[str, Any]) -> None:
    """See that every file that a run needs from elsewhere is there and whole, before anything is loaded.

    Raises:
        UserError: something is missing; one line names it and the command that brings it.
    """
    left = missing(config)
    if left:
        command, lock = fetch_command(config), Lock(store_folder())  # Composing this takes a moment.
        for source in left:
            locate(source, lock, command)


def missing(config: Mapping[str, Any]) -> list[Source]:
    """What ``config`` needs from elsewhere and is not here, or not whole."""
    wanted, found = sources(config), list[Source]()
    if not wanted:
        return found
    lock = Lock(store_folder())
    for source in wanted:
        try:
            locate(source, lock)
        except UserError:
            found.append(source)
    return found


def fetch_command(config: Mapping[str, Any]) -> str:
    """The command that brings what ``config`` needs: its choices, and single keys only where they matter."""
    from diffexplain.config import configuration, reproduce

    chosen = [f"{group}={config[group]['name']}" for group in ("classifier", "diffusion")]
    with suppress(UserError):  # of a choice that is not in conf/: then its name is all that is known
        if sources(configuration.compose(chosen)) != sources(config):
            own = ("explainer=", "concepts", "editor", "compare") if "concepts" in config else ()
            keys = ("classifier.", "diffusion.", "segmenter", configuration.OWN_FOLDERS, *own)
            changes = [text for text in reproduce.overrides(config) if text.removeprefix("+").startswith(keys)]
            # Weights may follow from another key; then that one is enough.
            fewer = [text for text in changes if ".weights=" not in text]
            enough = sources(configuration.compose([*chosen, *fewer])) == sources(config)
            chosen += fewer if enough else changes
    return shlex.join(["diffexplain", "fetch", *chosen])
