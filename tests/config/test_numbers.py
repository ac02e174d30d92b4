"""Numbers that make no sense are refused before anything is loaded, whichever part they belong to."""

from __future__ import annotations

import copy

import pytest

from diffexplain.config import configuration, numbers
from diffexplain.config.keys import leaves, put
from diffexplain.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["threads=0"], "threads must be at least 1"),
        (["threads=100000"], "threads must be at most"),
        (["trainer.devices=100000"], "trainer.devices must be at most"),
        (["seed=-1"], "seed must not be below 0"),
        (["explainer.steps=0"], "explainer.steps must be at least 1"),
        (["explainer.steps=1000000000000"], "explainer.steps must be at most 1,000,000,000"),
        (["explainer.steps=1e9"], "explainer.steps must be a whole number"),
        (["explainer.steps=many"], "explainer.steps must be a whole number"),
        (["explainer.screening_images=-1"], "explainer.screening_images must not be below 0"),
        (["explainer.weight_decay=-0.1"], "explainer.weight_decay must not be below 0"),
        (["prompt.learning_rate=nan"], "prompt.learning_rate must be finite"),
        (["prompt.learning_rate=inf"], "prompt.learning_rate must be finite"),
        (["prompt.temperature=0"], "prompt.temperature must be above 0"),
        (["effects.significance=5"], "effects.significance must lie between 0 and 1"),
        (["effects.significance=0"], "effects.significance must be above 0"),
        (["effects.smallest=1"], "effects.smallest must be at least 2"),
        (["explainer=diffex", "explainer.beam=-1"], "explainer.beam must not be below 0"),
        (["explainer=maco", "explainer.side=wide"], "explainer.side must be a number, or null"),
        (["explainer=maco", "explainer.side=0"], "explainer.side must be at least 1"),
        (
            ["explainer=yosinski", "explainer.norm_percentile=101"],
            "explainer.norm_percentile must lie between 0 and 100",
        ),
    ],
)
def test_a_number_that_makes_no_sense(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        configuration.without_digests(overrides)


@pytest.mark.parametrize(
    "choices",
    [
        *([f"explainer={name}"] for name in configuration.available()["explainer"]),
        *(["explainer=diffex", f"editor={name}"] for name in configuration.available()["editor"]),
        *(["explainer=diffex", f"concepts={name}"] for name in ("clip", "openai", "vlm")),
        *([f"gradient={name}", "augmentation=cutouts"] for name in ("last_k", "leap", "spsa")),
        ["concepts=words", "prompt=free", "wording=openai", "segmenter=clipseg", "memory=low_vram"],
        ["prompt=hard_words", "classifier=checkpoint", "diffusion=sd15"],
        ["diffusion=flux2_klein", "explainer=diffex"],
    ],
    ids=" ".join,
)
def test_every_number_there_is_has_a_least(choices: list[str]) -> None:
    config = configuration.without_digests(choices)
    numbers.check(config)
    for key, value in leaves(config):
        if isinstance(value, int | float) and not isinstance(value, bool) and ".options." not in key:
            changed = copy.deepcopy(config)
            put(changed, key, -1 if isinstance(value, int) else -1.0)
            with pytest.raises(UserError, match=f"{key} must"):
                numbers.check(changed)


def test_what_may_be_none_may_be_none() -> None:
    configuration.compose(["explainer.screening_images=0", "evaluation.candidates=0", "discovery.pairs=0"])
    configuration.compose(["explainer=diffex", "explainer.beam=0", "threads=256", "seed=10000000000000"])


def test_the_numbers_of_a_plugin_are_its_own() -> None:
    configuration.compose(["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "explainer.steps=0"])
