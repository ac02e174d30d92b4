"""The command that makes a run again: the shortest overrides that compose its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffexplain.config import configuration
from diffexplain.config.configuration import COMPARED
from diffexplain.config.digests import CONTENTS
from diffexplain.config.elsewhere import OWN_FOLDERS
from diffexplain.config.from_run import FROM_RUN
from diffexplain.config.identity import identifying
from diffexplain.config.keys import leaves
from diffexplain.config.overrides import assignment, shell_word


def command(config: Mapping[str, Any]) -> str:
    """What a user types; it depends on ``config`` alone and not on how that was asked for."""
    return " ".join(["diffexplain run", *map(shell_word, overrides(config))])


def overrides(config: Mapping[str, Any]) -> list[str]:
    """Few overrides that compose the identifying part of ``config``: first choices, then single keys."""
    folders = list(config["paths"]["configs"])
    groups = configuration.available([Path(folder) for folder in folders])
    wanted = _asked(config)
    chosen = [assignment(OWN_FOLDERS, folders)] if folders else []
    here = _composed(chosen)
    # The method first: which groups there are follows from it.
    for group, names in sorted(groups.items(), key=lambda item: item[0] != "explainer"):
        node, present = wanted.get(group), here.get(group)
        # A choice may have brought another along, as a classifier does its prior; chosen twice, it is the same.
        if isinstance(node, dict) and node.get("name") in names and node["name"] != (present or {}).get("name"):
            there = _composed([*chosen, f"{group}={node['name']}"])
            if there.get(group) != present:
                chosen, here = [*chosen, f"{group}={node['name']}"], there
    if wanted.get(FROM_RUN) is not None:
        chosen = [*chosen, assignment(FROM_RUN, wanted[FROM_RUN])]
        here = _composed(chosen)
    composed = dict(leaves(here))
    changes = [
        assignment(f"{'' if key in composed else '+'}{key}", value)
        for key, value in leaves(wanted)
        if key not in composed or composed[key] != value
    ]
    return chosen + sorted(changes)


def _composed(overrides: list[str]) -> dict[str, Any]:
    return _asked(configuration.without_digests(overrides))


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the command must bring about: photographs by the folder that they lie in, not by what they hold."""
    asked = {key: value for key, value in identifying(config).items() if key not in (COMPARED, CONTENTS)}
    return asked | {key: config[key] for key in ("images",) if key in config}
