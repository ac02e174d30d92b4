"""Numbers that make no sense whatever else is chosen: they are refused before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from diffexplain.errors import UserError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Each key by the end of its name: the last part, or the last two.
AT_LEAST_ONE = _names(
    "attempts batch batch_size categories checkpoint_every choosing_images chunk clusters concepts crop devices "
    "gradient_micro_batch image_every image_side images k largest leaps looked_images max_new_tokens micro_batch "
    "minimum_activating most objects pairs_at_once pictures probes random_images random_words resamples "
    "rescoring_images search_images side size steps discovery.stated tested threads tokens views window"
)
"""Counts of which none is nothing to do; of others none may be meant."""
AT_LEAST: Mapping[str, int] = {"effects.smallest": 2, "discovery.pictures": 4, "editor.image_guidance": 1}
ABOVE_0 = _names("alpha augmentation.smallest beta bound scale significance stop_at prompt.temperature timeout width")
NOT_BELOW_0 = _names(
    "blur_sigma bright entropy_weight epsilon gigabytes gradual guidance initial_noise initial_range jitter "
    "label_weight learning_rate noise price_per_million.input price_per_million.output spread unit_margin weight "
    "weight_decay"
)
SHARES = _names(
    "augmentation.smallest companion_share decay equivalence margin mask_threshold minimum_area same_above "
    "significance skip stop_at strayed editor.threshold explainer.threshold"
)
"""From 0 to 1."""
PERCENT = _names("norm_percentile")
OR_NULL = _names("side micro_batch price_per_million.input price_per_million.output")
"""Numbers whose usual value is null, which tells nothing of their type."""
MOST = 10**9
"""More than that of anything is meant by nobody."""
MOST_THREADS, MOST_DEVICES = 256, 16
"""More than that, or than the machine's processors, are meant by nobody; torch crashes where it cannot start them."""
_THEIRS = ("arguments", "options", "scheduler_options", "weights")
"""Parts whose numbers are another library's."""


def check(config: Mapping[str, Any]) -> None:
    """Look at every number of a composed configuration, but of parts that are a plugin's.

    Raises:
        UserError: one of them makes no sense.
    """
    processors = os.cpu_count() or 1
    most = {"threads": max(MOST_THREADS, processors), "trainer.devices": max(MOST_DEVICES, processors)}
    for key, value in _leaves(config):
        if isinstance(value, str) and _is_one(key, OR_NULL):
            raise UserError(f"{key} must be a number, or null.", given=value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key in most and value > most[key]:
            message = f"{key} must be at most {most[key]}; this machine has {processors} processors."
            raise UserError(message, given=value)
        asked = _asked(key, value)
        if asked is not None:
            raise UserError(f"{key} must {asked}.", given=value)


def _asked(key: str, value: float) -> str | None:
    """What a number must be that is not so; None where it makes sense."""
    if _is_one(key, SHARES) and not 0 <= value <= 1:
        return "lie between 0 and 1"
    if _is_one(key, PERCENT) and not 0 <= value <= 100:
        return "lie between 0 and 100"
    if _is_one(key, ABOVE_0) and value <= 0:
        return "be above 0"
    least = AT_LEAST.get(key, int(_is_one(key, AT_LEAST_ONE)))
    if least and value < least:
        return f"be at least {least}"
    whole = isinstance(value, int)
    if value < 0 and (whole or _is_one(key, NOT_BELOW_0)):
        return "not be below 0"
    return f"be at most {MOST:,}" if whole and value > MOST and key != "seed" else None


def _is_one(key: str, names: Collection[str]) -> bool:
    return key.rpartition(".")[2] in names or ".".join(key.split(".")[-2:]) in names


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            own = str(value.get("_target_", "diffexplain.")).startswith("diffexplain.")
            if own and key not in _THEIRS:
                yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
