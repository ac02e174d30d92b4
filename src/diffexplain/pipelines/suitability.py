"""Whether a classifier allows what a run asks of it: found out before the run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffexplain.classifiers.inspection import passes_gradient
from diffexplain.config.instantiate import TARGET, locate
from diffexplain.errors import UserError
from diffexplain.evaluation.control import check_weights
from diffexplain.target import ResolvedTarget

ASKED_IN_TEXTS = {
    "gradient": ("explainer=diffex", "explainer=randomised_prompts", "gradient=spsa prompt=hard_words"),
    "prompt": ("explainer=diffex", "explainer=randomised_prompts", "gradient=spsa prompt=hard_words"),
    "editor": ("editor=paired", "editor=instruct", "editor=flux2_klein"),
    "concepts": ("concepts=file", "concepts=clip", "concepts=vlm"),
    "explainer": ("explainer=diffex", "explainer=randomised_prompts"),
}
"""By the group of what asks more of a prior than pictures of texts: what does not."""


def check_prior(config: Mapping[str, Any], plugins: Sequence[str] = ()) -> None:
    """Refuse a run that asks more of its prior than pictures of texts, where that gives no more; no weights are read.

    Raises:
        UserError: the message names what would do without.
    """
    loader = locate(str(config["diffusion"][TARGET]), plugins, "diffusion")
    if not getattr(getattr(loader, "__self__", loader), "texts_alone", False):
        return
    asking = {}
    for group in ASKED_IN_TEXTS:
        if TARGET in (config.get(group) or {}):
            part = locate(str(config[group][TARGET]), plugins, group)
            if needed := getattr(part, "needs_of_prior", ""):
                asking[group] = f"{group}={config[group]['name']} needs {needed}"
    if asking:
        message = f"diffusion={config['diffusion']['name']} gives pictures of texts and nothing more: "
        accepted = ASKED_IN_TEXTS[next(iter(asking))]
        raise UserError(f"{message}{', '.join(asking.values())}.", accepted=accepted)


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
