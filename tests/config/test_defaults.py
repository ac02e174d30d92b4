"""Built from Python with nothing said, a part is the one that the configuration builds: one home for a default."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import yaml

from diffexplain.config import configuration
from diffexplain.config.instantiate import TARGET, locate

GROUPS = (
    *("explainer", "prompt", "effects", "discovery", "evaluation", "editor", "gradient", "memory", "augmentation"),
    *("segmenter", "trainer"),
)
WITHOUT_DEFAULT = {
    "editor=flux2_klein": {"model", "weights"},
    "editor=instruct": {"model", "weights"},
    "segmenter=clipseg": {"weights", "mask_threshold", "minimum_area"},  # What is measured belongs to the weights.
    "segmenter=world": {"folder"},
}
"""What a part is made of, and not how it goes about it: it has to be said."""


def own_choices() -> list[tuple[str, str]]:
    """The choices whose files name what is built; others change one of these."""
    found = []
    for group in GROUPS:
        for choice in configuration.available()[group]:
            content = yaml.safe_load((configuration.FOLDER / group / f"{choice}.yaml").read_text(encoding="utf-8"))
            if TARGET in content or TARGET in content.get(group, {}):
                found.append((group, choice))
    return found


@pytest.mark.parametrize(("group", "choice"), own_choices(), ids=str)
def test_python_and_configuration_have_the_same_defaults(group: str, choice: str) -> None:
    others = ["explainer=diffex", "images=tests"] if group == "editor" else []
    node: dict[str, Any] = configuration.compose([*others, f"{group}={choice}"])[group]
    function = locate(node[TARGET], where=group)
    parameters = inspect.signature(function).parameters
    written = {key: value for key, value in node.items() if key not in (TARGET, "name")}
    required = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
    made = None if required else function()
    assert required & written.keys() == WITHOUT_DEFAULT.get(f"{group}={choice}", set())
    for key in written.keys() - required:
        meant = getattr(made, key, parameters[key].default)
        assert (meant, type(meant)) == (written[key], type(written[key])), key


def test_every_group_has_a_choice_that_is_compared() -> None:
    assert {group for group, _ in own_choices()} == set(GROUPS)
