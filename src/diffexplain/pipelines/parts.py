"""The frozen models of runs, each built once for all that share it, and the classifiers that are compared."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffexplain.classifiers.labels import classifier_labels
from diffexplain.config.configuration import COMPARED
from diffexplain.config.digests import digests
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget, Target

READ_HERE = ("name", "labels", "vocabulary", "hierarchy", "more_phrases", "weights", "model", "output")
"""Keys of a classifier that whatever loads it need not take as arguments."""


class Parts:
    """Frozen models that the runs of a sweep may share: the last one built of each kind."""

    def __init__(self) -> None:
        self._built: dict[str, tuple[str, Any]] = {}

    def build(self, kind: str, node: Mapping[str, Any], plugins: Sequence[str], **options: Any) -> Any:
        """`building.build`, or what it gave last time if nothing in ``node`` and no file that it names is different.

        Code of a plugin's that changed since it was imported is not looked at: Python would not read it again.
        """
        files = digests({kind: node})
        made_of = [node, list(plugins), files]
        return self._kept(kind, made_of, lambda: build(node, plugins=plugins, where=kind, **options))

    def classifier(self, node: Mapping[str, Any], plugins: Sequence[str], kind: str = "classifier") -> Any:
        """As `build`, of a classifier's whole configuration; what comes is inspected.

        Raises:
            UserError: it cannot be had, or cannot be explained as it is; see `inspect_classifier`.
        """
        from diffexplain.classifiers import Classifier, inspect_classifier
        from diffexplain.classifiers.output import AUTO, check_word

        output, load = str(node.get("output", AUTO)), loading(node, plugins)
        check_word(output)

        def inspected() -> Any:
            classifier = build(load, plugins=plugins, where=kind)
            if not isinstance(classifier, Classifier):
                message = "What loads a classifier must give a diffexplain.classifiers.Classifier."
                raise UserError(message, given=f"{node[TARGET]}, which gives a {type(classifier).__name__}")
            inspect_classifier(classifier, output)
            return classifier

        files = digests({kind: node})
        return self._kept(kind, [load, output, list(plugins), files], inspected)

    def _kept(self, kind: str, made_of: Any, make: Callable[[], Any]) -> Any:
        key = json.dumps(made_of, sort_keys=True)
        if kind not in self._built or self._built[kind][0] != key:
            self._built.pop(kind, None)  # Before the next is loaded: both may not fit in memory.
            self._built[kind] = (key, make())
        return self._built[kind][1]


def loading(classifier: Mapping[str, Any], plugins: Sequence[str], **more: Any) -> dict[str, Any]:
    """The part of a classifier's configuration that loads it: less what its loader does not take, with ``more``."""
    taken = inspect.signature(locate(str(classifier[TARGET]), plugins, "classifier")).parameters
    node = {key: value for key, value in classifier.items() if key in taken or key not in READ_HERE}
    return {**node, **more}


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
