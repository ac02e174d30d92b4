"""The command line: `diffexplain <command>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.cli.commands import main, run

__all__ = ["main", "run"]


def __getattr__(name: str) -> Any:
    # The doctor must come up where nothing else can be imported.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from diffexplain.cli import commands

    return getattr(commands, name)
