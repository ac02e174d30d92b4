"""Whether the files that a run needs are there and whole, and the command that brings them; it reaches no network."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from diffexplain.config.elsewhere import OWN_FOLDERS
from diffexplain.config.overrides import assignment
from diffexplain.errors import UserError
from diffexplain.weights import shipped
from diffexplain.weights.checksums import file_sha256
from diffexplain.weights.files import refusal
from diffexplain.weights.sources import Source, sources
from diffexplain.weights.store import Lock, locate, places, store_folder


def require(config: Mapping[str, Any]) -> None:
    """See that every file of the package's and from elsewhere is there and whole, before anything is loaded.

    Raises:
        UserError: something is missing, in one line that names it and the command that brings it; or damaged, or not
            to be read.
    """
    shipped.check(_texts(config))
    wanted = sources(config)
    if not wanted:
        return
    lock = Lock(store_folder())
    if left := missing(config):
        command = fetch_command(config)  # Composing this takes a moment.
        for source in left:
            locate(source, lock, command)
    for path, recorded in ((path, one) for source in wanted for path, one in places(source, lock).items()):
        try:
            found = file_sha256(path)
        except OSError as error:
            raise UserError(f"The weights cannot be read from {path}: {error.strerror}.") from error
        if found != recorded.sha256:
            told = f"sha256 {found}: the file is damaged; {fetch_command(config)} brings it again"
            raise refusal(path, f"sha256 {recorded.sha256}", told)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a configuration."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


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

    folders = config["paths"]["configs"]
    chosen = [assignment(OWN_FOLDERS, folders)] if folders else []
    chosen += [f"{group}={config[group]['name']}" for group in ("classifier", "diffusion")]
    with suppress(UserError):  # of a choice that is not there any more: then its name is all that is known
        if sources(configuration.compose(chosen)) != sources(config):
            own = ("explainer=", "concepts", "editor", "compare") if "concepts" in config else ()
            keys = ("classifier.", "diffusion.", "segmenter", *own)
            changes = [text for text in reproduce.overrides(config) if text.removeprefix("+").startswith(keys)]
            # Weights may follow from another key; then that one is enough.
            fewer = [text for text in changes if ".weights=" not in text]
            enough = sources(configuration.compose([*chosen, *fewer])) == sources(config)
            chosen += fewer if enough else changes
    return shlex.join(["diffexplain", "fetch", *chosen])
