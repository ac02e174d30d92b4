"""What the summary says about the parts that a run was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from diffexplain.report.summary import Model, Optimisation

if TYPE_CHECKING:
    from diffexplain.classifiers import Classifier
    from diffexplain.diffusion import Prior
    from diffexplain.explainers import Explanation


def describe_classifier(node: Mapping[str, Any], classifier: Classifier) -> Model:
    """The classifier as the configuration names it, how many classes it tells apart, and how its output is read."""
    inspected = {} if classifier.inspection is None else classifier.inspection.facts()
    return Model(node["name"], _source(node), {"classes": len(classifier.labels), **inspected})


def describe_prior(node: Mapping[str, Any], prior: Prior) -> Model:
    """The prior as the configuration names it, and what images it makes."""
    height, width = prior.image_size
    facts = {"image_size": f"{width}x{height}", "sampler_steps": prior.steps, "guidance": prior.guidance}
    return Model(node["name"], _source(node), facts)


def describe_optimisation(explanation: Explanation) -> Optimisation:
    """How many steps were made, which was best and why it ended."""
    stopped = None
    if explanation.stopped_early:
        stopped = f"stopped early, at a running mean of {explanation.curve[-1]['smoothed']:.2f}"
    return Optimisation(explanation.steps, explanation.best_step, stopped)


def _source(node: Mapping[str, Any]) -> str:
    """Where a part comes from: its folder, its model's name on a hub or in a library, or what makes it."""
    (first, *_) = node.get("weights") or [{}]
    fetched = first.get("repository") or first.get("url")
    return str(node.get("folder") or node.get("model") or node.get("network") or fetched or node["_target_"])
