"""Classifiers that are compared with the explained one, on the same images; read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffexplain.classifiers.labels import classifier_labels
from diffexplain.config.configuration import COMPARED
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget, Target


def compared_targets(config: Mapping[str, Any], target: ResolvedTarget) -> dict[str, ResolvedTarget]:
    """The explained class as each compared classifier has it, by the classifier's name.

    Raises:
        UserError: the target is a unit, or a classifier has no such class.
    """
    compared: Mapping[str, Any] = config.get(COMPARED, {})
    if compared and target.kind != "class":
        message = "A unit is one classifier's own: only classes can be compared."
        raise UserError(message, given=target.text, accepted=("target=class:<name>", "compare=[]"))
    return {name: Target.parse(target.text).resolve(classifier_labels(node)) for name, node in compared.items()}
