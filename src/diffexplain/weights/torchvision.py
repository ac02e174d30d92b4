"""Where torchvision's classifiers have their weights, known without importing it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json
from diffexplain.weights.paths import resolve_file

TABLE = "embedded:torchvision_weights.json"
LICENCE = "as torchvision states for each model; the ImageNet data for research"


def torchvision_weights(model: str, version: str = "DEFAULT") -> list[dict[str, Any]]:
    """The ``weights`` of a configuration for one of torchvision's classifiers.

    Args:
        model: as torchvision lists it: ``resnet50``.
        version: of its weights: ``IMAGENET1K_V2``, or ``DEFAULT``.

    Raises:
        UserError: no such model or version.
    """
    table = _table()
    if model not in table:
        raise UserError("torchvision has no such classifier.", given=model, accepted=tuple(table))
    if version not in table[model]:
        raise UserError(f"{model} has no such weights.", given=version, accepted=tuple(table[model]))
    entry = table[model][version]
    return [{"url": entry["url"], "sha256": None, "licence": LICENCE, "megabytes": entry["megabytes"]}]


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    content: dict[str, dict[str, dict[str, Any]]] = read_json(resolve_file(TABLE))
    return content
