"""Numbers that make no sense are refused before anything is loaded, whichever part they belong to."""

from __future__ import annotations

import pytest

from diffexplain.config import configuration
from diffexplain.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["threads=0"], "threads must be at least 1"),
        (["threads=-3"], "threads must be at least 1"),
        (["threads=100000"], "threads must be at most"),
        (["trainer.devices=0"], "trainer.devices must be at least 1"),
        (["trainer.devices=100000"], "trainer.devices must be at most"),
        (["explainer.steps=0"], "explainer.steps must be at least 1"),
        (["explainer.checkpoint_every=0"], "explainer.checkpoint_every must be at least 1"),
        (["explainer.image_every=0"], "explainer.image_every must be at least 1"),
        (["explainer.window=0"], "explainer.window must be at least 1"),
        (["explainer.batch=-8"], "explainer.batch must be at least 1"),
        (["explainer.screening_images=-1"], "explainer.screening_images must not be below 0"),
        (["explainer.weight_decay=-0.1"], "explainer.weight_decay must not be below 0"),
        (["prompt.learning_rate=-0.1"], "prompt.learning_rate must not be below 0"),
        (["diffusion.steps=0"], "diffusion.steps must be at least 1"),
        (["diffusion.micro_batch=0"], "diffusion.micro_batch must be at least 1"),
        (["segmenter.pairs_at_once=0"], "segmenter.pairs_at_once must be at least 1"),
        (["effects.chunk=0"], "effects.chunk must be at least 1"),
        (["effects.batch_size=0"], "effects.batch_size must be at least 1"),
        (["evaluation.batch_size=0"], "evaluation.batch_size must be at least 1"),
        (["evaluation.examples=-1"], "evaluation.examples must not be below 0"),
        (["explainer=maco", "explainer.steps=0"], "explainer.steps must be at least 1"),
        (["explainer=diffex", "explainer.beam=-1"], "explainer.beam must not be below 0"),
    ],
)
def test_a_number_that_makes_no_sense(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        configuration.compose(overrides)


def test_what_may_be_none_may_be_none() -> None:
    configuration.compose(["explainer.screening_images=0", "evaluation.candidates=0", "discovery.pairs=0", "seed=-1"])
    configuration.compose(["explainer=diffex", "explainer.beam=0", "threads=256"])


def test_the_numbers_of_a_plugin_are_its_own() -> None:
    configuration.compose(["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "explainer.steps=0"])
