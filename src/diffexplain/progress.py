"""How far a loop is and how long it still takes: a bar on a terminal, elsewhere a plain line now and then.

The one way for all that may take longer than `EVERY` seconds. Of loops inside each other the outermost is shown.
Imports no torch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

T = TypeVar("T")

Progress = Literal["auto", "bar", "lines", "none"]
EVERY = 10.0
"""Seconds between two lines, and before the first."""
_BAR_AFTER = 1.0
"""Seconds before a bar is worth drawing."""

_how: list[str] = ["auto"]
_speaks = True


@contextmanager
def shown_as(how: str) -> Iterator[None]:
    """Show what loops inside the block come to as a bar, as lines, or not at all; ``auto``: a bar on a terminal."""
    global _speaks
    before, _speaks = _speaks, True
    _how.append(how)
    try:
        yield
    finally:
        _how.pop()
        _speaks = before


@contextmanager
def inside() -> Iterator[None]:
    """Somebody shows progress already: loops inside the block do not."""
    global _speaks
    before, _speaks = _speaks, False
    try:
        yield
    finally:
        _speaks = before


def resolved(how: str) -> str:
    """``auto`` as what it comes to here."""
    if how != "auto":
        return how
    return "bar" if sys.stderr.isatty() else "lines"


def progress(things: Iterable[T], label: str, total: int = 0) -> Iterator[T]:
    """``things`` one after the other, and how many of them are done; ``total``: how many, where they have no length."""
    total = len(things) if isinstance(things, Collection) else total
    how = resolved(_how[-1]) if _speaks else "none"
    with inside():
        if how == "bar":
            from tqdm import tqdm

            yield from tqdm(things, desc=label, total=total, delay=_BAR_AFTER, leave=False, dynamic_ncols=True)
            return
        meter = Meter(label, total)
        for done, thing in enumerate(things, 1):
            yield thing
            if how == "lines":  # Of loops inside each other one alone speaks.
                meter.say(done)


class Meter:
    """Says in a line on standard error how far something is, no more often than every `EVERY` seconds.

    Where a bar shows it, or nothing is to be shown, it says nothing.

    Args:
        label: what it is.
        total: how many there are.
        before: how many of them were done earlier, which say nothing about the time left.
        unit: ``B`` where they are bytes.
    """

    def __init__(self, label: str, total: int, before: int = 0, unit: str = "") -> None:
        self.label, self.total, self.before, self.unit = label, total, before, unit
        self.began = self.said = time.monotonic()

    def say(self, done: int, more: str = "") -> None:
        """``done`` of them are; unless it is too early to say it again, or all are."""
        now = time.monotonic()
        if now - self.said < EVERY or not self.before < done < self.total or resolved(_how[-1]) != "lines":
            return
        from tqdm import tqdm

        self.said = now
        left = tqdm.format_interval((now - self.began) / (done - self.before) * (self.total - done))
        of = [f"{tqdm.format_sizeof(n)}B" if self.unit == "B" else str(n) for n in (done, self.total)]
        print(f"{self.label}: {' of '.join(of)}, {left} left{more}", file=sys.stderr, flush=True)
