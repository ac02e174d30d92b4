"""When memory is short, a device's or the machine's: how that is known, and how many images then pass at a time.

Imports no torch.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from diffexplain.errors import RetryableError
from diffexplain.progress import progress

T = TypeVar("T")

SHORT = (MemoryError, RuntimeError, OSError)
"""What is raised where memory is short, and for much else: see `is_short`."""
REMEDY = "Free some, or give the same command where there is more, or with another trainer.accelerator: it goes on."
"""What leaves a run the run that it is; a smaller batch would make another one, and begin anew."""
_SIGNS = (
    "out of memory",
    "DefaultCPUAllocator",
    "can't allocate memory",
    "annot allocate memory",
    "ailed to allocate memory",
    "ALLOC_FAILED",
    "bad_alloc",
    "bad allocation",
)
"""In the words of torch's allocators, of CUDA's libraries, C++ and onnxruntime; only CUDA's has a class for it."""
_halved: list[list[int]] = []
_too_large: list[int] = []


def is_short(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and says_short(str(error)))


def says_short(message: str) -> bool:
    """Whether these are the words of a library that ran out of memory."""
    return any(sign in message for sign in _SIGNS)


@contextmanager
def explained(purpose: str, remedy: str = REMEDY) -> Iterator[None]:
    """Say in one line that the memory is not enough ``purpose``: "to read one picture".

    Raises:
        RetryableError: in place of the library's error; others pass.
    """
    try:
        yield
    except SHORT as error:
        if not is_short(error):
            raise
        raise RetryableError(f"The memory is not enough {purpose}. {remedy}") from error


@contextmanager
def halvings() -> Iterator[list[int]]:
    """The sizes that turn out to be too large inside the block, as they come."""
    found: list[int] = []
    _halved.append(found)
    try:
        yield found
    finally:
        _halved.remove(found)


def was_short() -> bool:
    """Whether some size has turned out to be too large in this process."""
    return bool(_too_large)


class MicroBatches:
    """How many images pass through the networks at a time: half as many whenever the memory is not enough.

    The smaller size is kept, so that each size fails once.

    Args:
        size: images at a time; ``None`` for all at once.
        setting: the key by which a further run is told so from the start; ``None`` if there is none.
        label: what progress calls them.

    Attributes:
        halvings: the sizes that were too large.
    """

    def __init__(self, size: int | None, setting: str | None = None, label: str = "micro-batches of pictures") -> None:
        self.size = size
        self.setting = setting
        self.label = label
        self.halvings: list[int] = []

    def run(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """What ``work`` gives for each micro-batch of ``count`` images, in order.

        When the memory is not enough, all of them are done again in smaller ones: a result never mixes sizes.

        Raises:
            MemoryError, RuntimeError, OSError: a single image does not fit (`is_short`); and whatever ``work`` raises.
        """
        while True:
            size = max(1, count if self.size is None else min(self.size, count))
            parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
            try:
                return self.each(parts, work)
            except SHORT as error:
                if size == 1 or not is_short(error):
                    raise
            # Outside the handler, which would keep the failed pass's tensors alive.
            self._halve(size)

    def each(self, parts: Sequence[slice], work: Callable[[slice], T]) -> list[T]:
        """What ``work`` gives for each part, in order: one after the other."""
        return [work(part) for part in progress(parts, self.label)]

    def _halve(self, size: int) -> None:
        self.halvings.append(size)
        _too_large.append(size)
        for found in _halved:
            found.append(size)
        self.size = size // 2
        told = f" ({self.setting}={self.size} says so from the start of a further run)" if self.setting else ""
        message = (
            f"diffexplain: {size} images at a time need more memory than there is: {self.size} from here on{told}."
        )
        print(message, file=sys.stderr, flush=True)
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
