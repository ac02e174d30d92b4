"""What the summary says about the parts that a run was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from diffexplain.config.digests import weights
from diffexplain.report.summary import Model, Optimisation
from diffexplain.weights.files import some

if TYPE_CHECKING:
    from diffexplain.classifiers import Classifier
    from diffexplain.diffusion import AnyPrior
    from diffexplain.explainers import Explanation

_DIGITS = 12
"""Of a SHA-256, shown for a reader to tell two files apart; the whole is in the summary."""


def describe_classifier(node: Mapping[str, Any], classifier: Classifier, contents: Mapping[str, Any]) -> Model:
    """The classifier as the configuration names it: its classes, how its output is read, which weights and code it has.

    ``contents`` are the configuration's digests.
    """
    facts: dict[str, Any] = {"classes": len(classifier.labels)}
    files = [
        f"{name.partition('?')[0].rpartition('/')[2]} {sha[:_DIGITS]}"
        for name, sha in weights(contents, "classifier").items()
    ]
    code = [f"{key.partition('.')[2]} {sha[:_DIGITS]}" for key, sha in contents.items() if key.startswith("plugins.")]
    files += [f"in memory {node['tensors'][:_DIGITS]}"] if node.get("tensors") else []
    facts |= {"weights": some(files)} if files else {}
    facts |= {} if classifier.inspection is None else classifier.inspection.facts()
    facts |= {"code": some(code)} if code else {}
    return Model(node["name"], _source(node), facts)


def describe_prior(node: Mapping[str, Any], prior: AnyPrior) -> Model:
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
