"""Numbers that make no sense whatever else is chosen: they are refused before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from diffexplain.errors import UserError

AT_LEAST_ONE = (
    *(
        "attempts",
        "batch",
        "batch_size",
        "checkpoint_every",
        "chunk",
        "clusters",
        "devices",
        "gradient_micro_batch",
        "image_every",
        "image_side",
    ),
    *("images", "k", "leaps", "max_new_tokens", "micro_batch", "pairs_at_once", "pictures", "probes", "resamples"),
    *("search_images", "steps", "threads", "tokens", "views", "window"),
)
"""Keys, by their last part, of which none is nothing to do; of other counts none may be meant."""
NOT_BELOW_0 = ("epsilon", "learning_rate", "weight_decay")
"""And numbers of an optimiser, which are no counts."""
MOST_THREADS, MOST_DEVICES = 256, 16
"""More than that, or than the machine's processors, are meant by nobody; torch crashes where it cannot start them."""
_THEIRS = ("arguments", "scheduler_options", "weights")
"""Parts whose numbers are another library's."""


def check(config: Mapping[str, Any]) -> None:
    """Look at every number of a composed configuration, but of parts that are a plugin's.

    Raises:
        UserError: one of them makes no sense.
    """
    for key, value in _numbers(config):
        last = key.rpartition(".")[2]
        if isinstance(value, int) and last != "seed" and value < (last in AT_LEAST_ONE):
            least = "be at least 1" if last in AT_LEAST_ONE else "not be below 0"
            raise UserError(f"{key} must {least}.", given=value)
        if last in NOT_BELOW_0 and value < 0:
            raise UserError(f"{key} must not be below 0.", given=value)
    processors = os.cpu_count() or 1
    for key, most in (("threads", max(MOST_THREADS, processors)), ("trainer.devices", max(MOST_DEVICES, processors))):
        value = dict(_numbers(config)).get(key, 1)
        if value > most:
            raise UserError(f"{key} must be at most {most}; this machine has {processors} processors.", given=value)


def _numbers(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            own = str(value.get("_target_", "diffexplain.")).startswith("diffexplain.")
            if own and key not in _THEIRS:
                yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", value
