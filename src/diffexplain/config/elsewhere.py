"""What configurations from elsewhere may say: those in a folder of the user's, and the command of another run.

They may choose, and decide neither which code is called, nor where files go, nor which key is sent to an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from diffexplain.config.keys import find, leaves
from diffexplain.errors import UserError
from diffexplain.weights.documents import MOST_OF_YAML, check_yaml, from_yaml, read_text

OWN_FOLDERS = "paths.configs"
"""Key of the user's own configuration folders, in which choices are found beside those in ``conf/``."""
PLUGINS = "plugins"
"""Key of the packages whose code a run may call: said on the command line, in a Python call, or in ``conf/``."""
OUTPUTS = "paths.outputs"
"""Key of the folder of all runs."""
BANK = "paths.bank"
"""Key of the folder of pictures that runs share."""
_KEY = "key_variable"
"""Key beside a ``base_url``: the environment variable whose content is sent there."""
_REPLIES = "memory"
"""Key beside a ``base_url``: the folder of what it replies."""


def own_folders(parsed: Sequence[Override]) -> list[str]:
    """The user's own configuration folders that are named.

    Raises:
        UserError: one of them is no folder.
    """
    folders: list[str] = []
    for override in parsed:
        if override.key_or_group == OWN_FOLDERS:
            value = override.value()
            folders = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    for folder in folders:
        if not Path(folder).is_dir():
            raise UserError(f"{OWN_FOLDERS} is a list of folders; this is none.", given=folder)
    return folders


@contextmanager
def no_environment() -> Iterator[None]:
    """Refuse the environment's variables to configurations from elsewhere: they hold keys, and runs are shown."""

    def refuse(name: str, *_default: Any) -> None:
        message = f"What a folder of {OWN_FOLDERS} or another run says cannot read the environment; set the key here."
        raise UserError(message, given=f"${{oc.env:{name}}}")

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def check_nothing_is_decided(
    config: Mapping[str, Any], published: Mapping[str, Any], typed: set[str], folder: Path
) -> None:
    """Refuse what only a file in a folder of the user's can have said and only the command line may.

    That is which code is called, where runs go, and which key is sent to an address.

    Args:
        config: as composed.
        published: what ``conf/`` says by itself.
        typed: keys on the command line.
        folder: ``conf/``.

    Raises:
        UserError: it is not as in ``conf/``, or in an experiment in it.
    """
    if PLUGINS not in typed and config[PLUGINS] != published[PLUGINS]:
        raise UserError(
            f"A file in a folder of {OWN_FOLDERS} names packages whose code it would have called; only the command "
            f"line can: {PLUGINS}=[<package>].",
            given=config[PLUGINS],
        )
    for key in (OUTPUTS, BANK):
        if key not in typed and find(config, key) != find(published, key):
            raise _says_where(key, str((find(config, key) or (None,))[0]))
    for key, said in leaves(config):
        part, _, last = key.rpartition(".")
        address = find(config, f"{part}.base_url")
        if said is None or address is None or key in typed:
            continue
        if last == _REPLIES:
            raise _says_where(key, said)
        if last == _KEY and (address[0], said) not in _published_keys(folder):
            raise UserError(
                f"A file in a folder of {OWN_FOLDERS} would have sent a key of yours to {address[0]}; only the command "
                f"line can say which: {key}=<variable>, or null for none.",
                given=said,
            )


def check_bounded(folder: Path) -> None:
    """Refuse files that would unfold without end when Hydra reads them.

    Raises:
        UserError: there is one, whether it is chosen or not.
    """
    for file in sorted(folder.rglob("*.yaml")):
        try:
            status = file.stat()
            _check_file(file, status.st_mtime_ns, status.st_size)
        except (OSError, ValueError) as error:
            raise UserError(f"The configuration {file} cannot be read: {error}") from error


def _says_where(key: str, given: str) -> UserError:
    message = f"A file in a folder of {OWN_FOLDERS} says where files go; only the command line can: {key}=<folder>."
    return UserError(message, given=given)


@lru_cache(maxsize=1)
def _published_keys(folder: Path) -> frozenset[tuple[str, str]]:
    """The addresses in ``conf/`` with the variables whose keys they are sent."""
    found = set()
    for file in folder.glob("*/*.yaml"):
        for node in _mappings(from_yaml(read_text(file))):
            if "base_url" in node and isinstance(node.get(_KEY), str):
                found.add((node["base_url"], node[_KEY]))
    return frozenset(found)


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _mappings(value)


@lru_cache(maxsize=4096)
def _check_file(file: Path, _changed: int, _size: int) -> None:
    check_yaml(read_text(file, MOST_OF_YAML))
