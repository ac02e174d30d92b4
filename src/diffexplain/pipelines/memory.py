"""What a pipeline says when the device's memory is short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from diffexplain.errors import RetryableError
from diffexplain.runs.run import Run

if TYPE_CHECKING:
    from diffexplain.diffusion import AnyPrior


@contextmanager
def halvings_recorded(run: Run, prior: AnyPrior, remedy: str) -> Iterator[None]:
    """Write down, even if the block fails, how often ``prior`` generated fewer images at a time for want of memory.

    Args:
        remedy: what the memory is not enough for, and the key that helps: "to evaluate: lower evaluation.batch_size".

    Raises:
        RetryableError: the device's memory is not enough for something else.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        message = f"The device's memory is not enough {remedy} or segmenter.pairs_at_once."
        raise RetryableError(message) from error
    finally:
        if prior.without_gradient.halvings:
            run.record_timings(images_at_a_time_halved_from=prior.without_gradient.halvings)
