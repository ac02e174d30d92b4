"""Built from Python with nothing said, a part is the one that the configuration builds: one home for a default."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from diffexplain.config import configuration
from diffexplain.config.instantiate import TARGET, locate

PARTS = [
    ("prompt", "constrained", []),
    ("prompt", "free", []),
    ("prompt", "hard_words", []),
    ("explainer", "diffexplainer", []),
    ("explainer", "diffex", []),
    ("discovery", "default", []),
    ("effects", "default", ["explainer=diffex"]),
    ("evaluation", "default", []),
    ("segmenter", "clipseg", []),
    ("editor", "paired", ["explainer=diffex"]),
    ("editor", "leditspp", ["explainer=diffex", "images=tests"]),
    ("gradient", "exact", []),
    ("gradient", "checkpointed", []),
    ("gradient", "last_k", []),
    ("gradient", "leap", []),
    ("gradient", "attention_only", []),
    ("gradient", "spsa", []),
    ("memory", "default", []),
    ("augmentation", "cutouts", []),
]
NO_DEFAULT = ("weights", "folder")
"""What a part is made of, and not how it goes about it."""


@pytest.mark.parametrize(("group", "choice", "others"), PARTS, ids=[f"{group}={choice}" for group, choice, _ in PARTS])
def test_python_and_configuration_have_the_same_defaults(group: str, choice: str, others: list[str]) -> None:
    node: dict[str, Any] = configuration.compose([*others, f"{group}={choice}"])[group]
    parameters = inspect.signature(locate(node[TARGET], where=group)).parameters
    written = {key: value for key, value in node.items() if key not in (TARGET, "name", *NO_DEFAULT)}
    meant = {key: getattr(parameters[key].default, "default", parameters[key].default) for key in written}
    drifted = {
        key: (written[key], meant[key])
        for key in written
        if meant[key] is not inspect.Parameter.empty
        and "factory" not in repr(meant[key])
        and written[key] != meant[key]
    }
    assert not drifted
