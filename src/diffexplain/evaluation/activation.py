"""Which images activate the target and how strongly, with what interval."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.classifiers.target_scores import TargetScores
from diffexplain.evaluation.image_source import PURPOSE, Seeds
from diffexplain.evaluation.results import Activation
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.statistics.tests import bootstrap_mean, wilson


def summarise(
    name: str, text: str | None, reading: TargetScores, draws: Draws, settings: EvaluationSettings
) -> Activation:
    """One row of the activation table."""
    share = wilson(int(reading.activates.sum()), len(reading.activates))
    mean = bootstrap_mean(reading.score, draws.generator(PURPOSE, Seeds.BOOTSTRAP), settings.resamples)
    return Activation(name, text, share, mean)


def random_texts(words: Sequence[str], settings: EvaluationSettings, draws: Draws) -> list[str]:
    """Prompts of words drawn with replacement, one prompt for each image of the random baseline."""
    generator = draws.generator(PURPOSE, Seeds.RANDOM_WORDS)
    size = (settings.random_images, settings.random_words)
    return [" ".join(words[pick] for pick in row) for row in generator.integers(0, len(words), size=size)]
