"""What a run takes over from the finished run whose findings it checks: the classifier, its prior, and the target."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override

from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json
from diffexplain.weights.paths import resolve_folder

FROM_RUN = "from_run"
"""The configuration's key for the finished run."""
_TAKEN = ("classifier", "diffusion", "paths.configs", "segmenter", "target")
_PLUGINS = "plugins"
SUMMARY = "summary.json"


def taken_over(given: Sequence[Override]) -> list[str]:
    """Overrides that choose what the run that ``given`` names was made with, but for what ``given`` chooses itself.

    Raises:
        UserError: there is no such run, or it is not finished; or it called code of packages that ``given`` does not
            name. A run's directory may come from elsewhere, and no file decides what code runs.
    """
    chosen = {str(override.key_or_group): override.value() for override in given}
    directory = chosen.get(FROM_RUN)
    if not isinstance(directory, str):
        return []
    command = shlex.split(_command(resolve_folder(directory)))[2:]  # diffexplain run ..., or python run.py ...
    found = []
    for override in command:
        key = override.partition("=")[0].lstrip("+")
        if key == _PLUGINS and _PLUGINS not in chosen:
            message = f"The run in {FROM_RUN} called code of packages: if they are yours, name them again."
            raise UserError(message, given=override)
        taken = any(key == part or key.startswith(f"{part}.") for part in _TAKEN)
        # A choice of the user's brings its own keys with it.
        if taken and key not in chosen and key.partition(".")[0] not in chosen:
            found.append(override)
    return found


def _command(directory: Path) -> str:
    """The command that made a run, from its ``summary.json``, of which no more is needed here.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    path = directory / SUMMARY
    try:
        return str(read_json(path)["command"])
    except FileNotFoundError:
        raise UserError(f"There is no summary here; the run may not be finished: {path}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"The summary cannot be read: {path}: {error}") from error
