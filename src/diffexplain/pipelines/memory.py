"""What a pipeline says when the device's memory is short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diffexplain import memory
from diffexplain.runs.run import TIMINGS, Run

if TYPE_CHECKING:
    from diffexplain.diffusion import AnyPrior


PRIOR, READERS = "images_at_a_time_halved_from", "pictures_read_at_a_time_halved_from"
OPTIMISED = "micro_batches_halved_from"
"""Keys of ``timings.json``."""


@contextmanager
def halvings_recorded(run: Run, prior: AnyPrior, purpose: str) -> Iterator[None]:
    """Write down, even if the block fails, what passed in smaller parts than the run says, for want of memory.

    Raises:
        RetryableError: the memory is not enough ``purpose`` ("to edit images") even for a single image.
    """
    with memory.halvings() as found:
        try:
            with memory.explained(purpose):
                yield
        finally:
            made = prior.without_gradient.halvings  # Those of an earlier run of a sweep, too.
            others = [size for size in found if size not in made]
            parts = {PRIOR: made, READERS: others}
            if any(parts.values()):
                run.record_timings(**{key: sizes for key, sizes in parts.items() if sizes})


def notes_on_memory(run: Run) -> tuple[str, ...]:
    """What the reader of a run is to know where its parts were smaller than it says."""
    if not run.recorded(TIMINGS).keys() & {PRIOR, READERS, OPTIMISED}:
        return ()
    return (
        "Memory was short, so that fewer pictures passed at a time than the configuration says (timings.json): the "
        "last bits of numbers may differ from those of a run with more.",
    )
