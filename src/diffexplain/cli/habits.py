"""What users of Hydra type by habit: ``--cfg job``, ``--info``, ``--package``, ``--config-dir``, shell completion."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from diffexplain.config import configuration
from diffexplain.config.elsewhere import OWN_FOLDERS
from diffexplain.config.overrides import HELP, assignment
from diffexplain.errors import UserError

NAMES = {
    "-m": "--multirun",
    "-h": "--help",
    "-c": "--cfg",
    "-p": "--package",
    "-i": "--info",
    "-cd": "--config-dir",
    **{name: name for name in ("--multirun", "--help", "--cfg", "--package", "--info", "--config-dir", "--resolve")},
}
"""Options, and the long name of each."""
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
COMPLETION = ("-sc", "--shell-completion")
_SHELLS = ("bash", "fish")
_NEEDS_VALUE, _TAKES_VALUE = ("--package", "--config-dir"), ("--cfg", "--info")
_SUBCOMMAND = re.compile(r"^(\s*\S+\s+)(run|plan|fetch|list\s+(?:classes|units))\s+")


def read(given: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options by their long names, with what is said of them, and the overrides; ``--config-dir`` is one of these.

    Raises:
        UserError: there is no such option, or what it is about is missing.
    """
    options: dict[str, str] = {}
    overrides: list[str] = []
    words = list(given)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        typed, said, value = word.partition("=")
        if typed not in NAMES:
            raise UserError("There is no such option.", given=word, accepted=list(NAMES), hint=HELP)
        name = NAMES[typed]
        follows = bool(words) and not words[0].startswith("-")
        if not said and follows and (name in _NEEDS_VALUE or (name in _TAKES_VALUE and "=" not in words[0])):
            value = words.pop(0)
        if name in _NEEDS_VALUE and not value:
            raise UserError(f"{name} needs a value.", given=word, accepted=[f"{name} <{name.rpartition('-')[2]}>"])
        options[name] = value
    if "--config-dir" in options:
        overrides.append(assignment(OWN_FOLDERS, [options["--config-dir"]]))
    return options, overrides


def part(config: Mapping[str, Any], options: Mapping[str, str]) -> Any:
    """The part of a configuration that ``--cfg`` and ``--package`` ask for; interpolations are resolved in any case.

    Raises:
        UserError: there is no such part.
    """
    if options["--cfg"] not in ("", "job"):
        message = "The configuration is that of a run; Hydra's own is used by launchers alone (hydra.launcher.<key>)."
        raise UserError(message, given=f"--cfg {options['--cfg']}", accepted=["--cfg job"])
    node: Any = config
    for key in filter(None, options.get("--package", "_global_").replace("_global_", "").split(".")):
        if not isinstance(node, Mapping) or key not in node:
            known = [str(name) for name in node] if isinstance(node, Mapping) else []
            raise UserError("There is no such package.", given=options["--package"], accepted=known)
        node = node[key]
    return node


def show_info(kind: str, overrides: Sequence[str]) -> None:
    """Print what Hydra knows of how a configuration is composed.

    Raises:
        UserError: nothing of the kind is known, or it cannot be composed.
    """
    if kind not in ("", *INFO):
        raise UserError("Hydra tells nothing of the kind.", given=f"--info {kind}", accepted=INFO)
    configuration.compose(overrides)  # Mistakes are answered as always.
    hydras = configuration.as_hydra_reads(overrides)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            hydra.show_info(kind or "all", "config", hydras, RunMode.RUN)
        finally:  # It prints by the log, which is this program's again.
            root.handlers[:] = handlers
            root.setLevel(level)


def complete(given: Sequence[str], words: Mapping[tuple[str, ...], Sequence[str]]) -> int:
    """``-sc install=bash`` prints what a shell is to evaluate; ``query=bash`` what may follow in ``COMP_LINE``.

    Args:
        given: behind the option.
        words: that may follow commands which take no overrides.

    Raises:
        UserError: neither is asked for, or of another shell, or not by the command that is completed.
    """
    task, _, shell = (given[0] if len(given) == 1 else "").partition("=")
    if task not in ("install", "uninstall", "query") or shell not in _SHELLS:
        accepted = [f"{task}={shell}" for task in ("install", "uninstall") for shell in _SHELLS]
        raise UserError("Say which shell is to complete.", given=" ".join(given), accepted=accepted)
    if Path(sys.argv[0]).suffix == ".py":
        message = "The command diffexplain is completed, and not python."
        raise UserError(message, given=sys.argv[0], accepted=['eval "$(diffexplain -sc install=bash)"'])
    if task == "query":
        # Behind some commands stand overrides, as behind Hydra's applications; others take words of their own.
        line, overrides_follow = _SUBCOMMAND.subn(r"\1", os.environ.get("COMP_LINE", ""))
        if not overrides_follow:
            return _words(line, words)
        os.environ["COMP_LINE"] = line
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            hydra.shell_completion("config", [f"{task}={shell}"])
        except (HydraException, OmegaConfBaseException):
            return 0  # In the middle of a word there is nothing to be said about mistakes.
    return 0


def _words(line: str, words: Mapping[tuple[str, ...], Sequence[str]]) -> int:
    typed = line.split()[1:]
    last = "" if line.endswith(" ") else (typed or [""])[-1]
    before = typed if line.endswith(" ") else typed[:-1]
    print(" ".join(word for word in words.get(tuple(before), ()) if word.startswith(last)))
    return 0
