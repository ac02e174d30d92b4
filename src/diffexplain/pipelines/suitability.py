"""Whether a classifier allows what a run asks of it: found out before the run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffexplain.classifiers.gradient import passes_gradient
from diffexplain.config.instantiate import TARGET, locate
from diffexplain.errors import UserError
from diffexplain.evaluation.control import check_weights
from diffexplain.target import ResolvedTarget


def check_suitability(
    config: Mapping[str, Any], target: ResolvedTarget, classifier: Any, plugins: Sequence[str] = ()
) -> None:
    """Refuse a run that needs a gradient of a classifier that passes none, or weights of one that shows none.

    Raises:
        UserError: the message names what would do without.
    """
    if (config.get("evaluation") or {}).get("control") is not None:
        check_weights(classifier)
    climbing = [group for group in ("explainer", "gradient") if _needs_gradient(config.get(group), group, plugins)]
    if climbing and not passes_gradient(classifier, target):
        given = ", ".join(f"{group}={config[group]['name']}" for group in climbing)
        message = (
            f"No gradient passes through {classifier.name} from its answer to the picture, and this run needs one."
        )
        without = "gradient=spsa" if climbing == ["gradient"] else "explainer=diffexplainer gradient=spsa"
        raise UserError(message, given=given, accepted=[without, "explainer=diffex"])


def _needs_gradient(node: Mapping[str, Any] | None, group: str, plugins: Sequence[str]) -> bool:
    """What the part itself declares; one that says nothing needs none."""
    return node is not None and bool(getattr(locate(str(node[TARGET]), plugins, group), "needs_gradient", False))
