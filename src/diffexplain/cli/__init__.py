"""The command line: `diffexplain <command>`.

The doctor must come up where nothing else can be imported, and signals are met from the first moment on: so whatever is
not needed for that is imported when a command begins.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.runs import signals

__all__ = ["main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The ``diffexplain`` command; returns its exit status."""
    with signals.command():
        with signals.loading():
            from diffexplain.cli import commands
        return commands.main(arguments)


def run(arguments: Sequence[str] | None = None) -> int:
    """``python run.py``: one run, or a sweep; returns the exit status."""
    with signals.command():
        with signals.loading():
            from diffexplain.cli import commands
        return commands.run(arguments)
