"""``diffexplain plan``: what a run will call, need and take, before anything is fetched or loaded."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain import app
from diffexplain.config import configuration, plugins
from diffexplain.config.overrides import check_given_once
from diffexplain.errors import UserError

DEVICE = "--device"


def main(arguments: Sequence[str]) -> int:
    """Print the cost of the run of ``arguments``; returns the exit status.

    Raises:
        UserError: it cannot be had, or what it costs is not known before it is made.
    """
    overrides, card = _parsed(list(arguments))
    check_given_once(overrides)
    config = configuration.compose(overrides)
    plugins.require(config["plugins"])
    target = app.resolve_target(config)
    from diffexplain.pipelines.cost import cost

    print("\n".join(cost(config, target, card).lines()))
    return 0


def _parsed(arguments: list[str]) -> tuple[list[str], str | None]:
    """The overrides, and the device that is asked for: ``--device a100`` or ``--device=a100``."""
    overrides, card = [], None
    while arguments:
        first = arguments.pop(0)
        name, _, value = first.partition("=")
        if name == DEVICE:
            card = value or (arguments.pop(0) if arguments else "")
        elif first.startswith("-"):
            raise UserError("There is no such option.", given=first, accepted=(DEVICE,), hint="diffexplain --help")
        else:
            overrides.append(first)
    return overrides, card
