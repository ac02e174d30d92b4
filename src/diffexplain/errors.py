"""Errors whose message is the remedy, each with the exit status of the program that meets it.

A traceback means a bug (exit status 1); everything else that can go wrong has a class here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

_UNPRINTABLE = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
"""Control characters but for tab and line break, and those that turn the direction of writing."""
_LIST_ALL_BELOW = 13
"""So many accepted values are listed in full; of more, only the nearest are."""


def nearest(word: str, choices: Sequence[str], n: int = 3) -> list[str]:
    """The ``n`` choices most like ``word``, best first, ignoring case; may be fewer or none."""
    by_folded: dict[str, str] = {}
    for choice in choices:
        by_folded.setdefault(choice.casefold(), choice)
    found = get_close_matches(word.casefold(), list(by_folded), n=n, cutoff=0.4)
    return [by_folded[name] for name in found]


def printable(text: object) -> str:
    """``text`` with what would rewrite the terminal written out: servers and files of others are quoted in messages."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], str(text))


class UserError(Exception):
    """Something that the user asked for cannot be had; the message says what can.

    Args:
        message: one sentence saying what is wrong.
        given: the word that was not understood.
        accepted: what would have been; the nearest three to ``given`` are shown.
        hint: how to see all that is accepted, usually a command.
    """

    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        given: object = None,
        accepted: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.given = None if given is None else str(given)
        self.accepted = tuple(accepted)
        self.hint = hint
        super().__init__(self._render())

    @property
    def nearest(self) -> list[str]:
        """The accepted values nearest to what was given, at most three."""
        return [] if self.given is None else nearest(self.given, self.accepted)

    def _render(self) -> str:
        lines = [self.message]
        if self.given is not None:
            lines.append(f"  given:    {self.given}")
        if self.accepted:
            shown = ", ".join(self.accepted)
            if len(self.accepted) >= _LIST_ALL_BELOW:
                shown = f"one of {len(self.accepted)}"
            lines.append(f"  accepted: {shown}")
        if self.nearest:
            lines.append(f"  nearest:  {', '.join(self.nearest)}")
        if self.hint:
            lines.append(f"  list all: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[type[Exception], tuple[str]]:
        # Keyword arguments do not survive pickling; the rendered message must.
        return (UserError, (str(self),))


class RetryableError(Exception):
    """Disk, network, memory or a preemption failed the run; the same command later continues it."""

    exit_status = 75


class Interrupted(BaseException):
    """The run was asked to stop and did so after saving where it was; the same command later continues it.

    No ``Exception``, as `KeyboardInterrupt` is none: what catches those, as libraries do, must not go on with the run.
    ``signal_name`` is ``SIGINT`` (exit status 130) or any other signal's name (exit status 75).
    """

    def __init__(self, signal_name: str = "SIGTERM", message: str | None = None) -> None:
        self.signal_name = signal_name
        self.exit_status = 130 if signal_name == "SIGINT" else 75
        super().__init__(message or f"Stopped by {signal_name}; the same command continues from here.")

    def __reduce__(self) -> tuple[type[BaseException], tuple[str, str]]:
        return (type(self), (self.signal_name, str(self)))


class DivergedError(RetryableError):
    """A loss or gradient stopped being finite; what was good before is kept.

    The same command would fail alike, so the exit status is that of a user's error: other settings
    are needed.
    """

    exit_status = 2


class FailedElsewhere(Exception):
    """Of several processes that share a run this one helps; the first one says what failed."""


class OwnedElsewhere(Exception):
    """Another process holds the run; nothing was written and nothing needs to be done here."""

    exit_status = 0
