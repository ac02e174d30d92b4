"""Overrides of a fixture's, with some of them changed: on a command line each key stands once."""

from collections.abc import Sequence


def changed(settings: Sequence[str], *more: str) -> list[str]:
    """``settings`` with ``more``, which take the place of those of the same key."""
    keys = {text.partition("=")[0] for text in more if "=" in text}
    return [*(text for text in settings if text.partition("=")[0] not in keys), *more]
