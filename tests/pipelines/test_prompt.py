"""Which words the optimised prompt may say."""

from pathlib import Path

import pytest

from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.explainers import TrainerSettings
from diffexplain.pipelines.parts import Parts
from diffexplain.pipelines.prompt import PromptPipeline
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

FLAGPOLE = ResolvedTarget("class", "class:flagpole", "class:flagpole", 0, "flagpole")


def words(directory: Path, *overrides: str) -> list[str]:
    config = configuration.compose(overrides)
    pipeline = PromptPipeline(Run(directory, config, FLAGPOLE.text), FLAGPOLE, TrainerSettings(), Parts())
    return pipeline.words


def test_what_was_found_is_kept_out_of_the_next_prompt_and_so_is_the_class_if_asked(tmp_path: Path) -> None:
    every = words(tmp_path)
    assert {"flag", "flagpole", "snow"} <= set(every)
    assert words(tmp_path, "explainer.without=[a flag,in the snow]") == [w for w in every if w not in ("flag", "snow")]
    assert words(tmp_path, "explainer.without=[flagpole]", "prompt=hard_words") == [w for w in every if w != "flagpole"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["explainer.without=[flgpole]"], r"no such word(.|\n)*nearest:  flagpole"),
        (["explainer.without=[flag]", "prompt=free"], r"made of words(.|\n)*prompt=free(.|\n)*prompt=constrained"),
    ],
)
def test_a_word_that_is_not_there_and_a_prompt_without_words_are_refused(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        words(tmp_path, *overrides)
