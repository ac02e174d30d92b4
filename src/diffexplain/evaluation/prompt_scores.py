"""Prompts scored on the same seeds: what the classifier reads in the images of each, and which prompt does better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from diffexplain.classifiers.target_scores import TargetReader, TargetScores
from diffexplain.concepts.content_words import content_words
from diffexplain.concepts.vocabulary import Vocabulary
from diffexplain.evaluation.captions import prompts_of
from diffexplain.evaluation.image_source import PURPOSE, ImageSource, Seeds, summarise
from diffexplain.evaluation.quality import features_of
from diffexplain.evaluation.results import Activation, Comparison
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.segmentation import Segmenter
from diffexplain.statistics.tests import mcnemar, paired_share_difference

FOUND, CLASS_NAME, NEUTRAL, RANDOM_WORDS = "found prompt", "class name", "neutral", "random words"
CAPTIONS = "captions"


@dataclass(frozen=True)
class Scored:
    """One prompt's images as they were read: by the explained classifier, and by the control if there is one.

    ``features``: of a CLIP, (N, D); None where their quality is not asked for.
    """

    name: str
    text: str | None
    reading: TargetScores
    control: TargetScores | None
    features: Tensor | None = None

    def activation(self, draws: Draws, settings: EvaluationSettings) -> Activation:
        """Of the explained classifier."""
        return summarise(self.name, self.text, self.reading, draws, settings)

    def control_activation(self, draws: Draws, settings: EvaluationSettings) -> Activation:
        """Of the control."""
        assert self.control is not None, "there is no control"
        return summarise(self.name, self.text, self.control, draws, settings)


@dataclass(frozen=True)
class Scorer:
    """Makes images of prompts on the seeds that score, and has them read."""

    studio: ImageSource
    reader: TargetReader
    control: TargetReader | None
    settings: EvaluationSettings
    clip: Segmenter | None = None

    def read(self, name: str, text: str | None, images: Tensor) -> Scored:
        """What images (N, 3, H, W) in [0, 1] of a prompt are taken for."""
        shown = f"the prompt {text!r}" if text is not None else f"the {name}"
        control = None if self.control is None else self.control.read(images, f"{shown}, shown to the control")
        features = None
        if self.clip is not None:
            features = features_of(self.clip, images, self.settings)
        return Scored(name, text, self.reader.read(images, shown), control, features)

    def score(self, name: str, text: str) -> Scored:
        """As `read`, of images made of ``text``."""
        return self.read(name, text, self.studio.images([text], Seeds.SCORE, self.settings.images))

    def captioned(self, captions: Sequence[str], indices: Sequence[int]) -> Scored:
        """As `read`, of images made of captions in turn; ``indices``: the seeds of the images that were captioned."""
        prompts = prompts_of(captions, indices, self.settings.images)
        most_frequent = Counter(captions).most_common(1)[0][0]
        images = self.studio.images(prompts, Seeds.SCORE, self.settings.images)
        return self.read(CAPTIONS, most_frequent, images)

    def baselines(self, named: tuple[str, Tensor] | None, neutral: Tensor, vocabulary: Vocabulary) -> list[Scored]:
        """The class's own name (if it has one), the neutral prompt, random words, and the texts that the user gives.

        ``named``: the prompt of the class's name and its images, (N, 3, H, W) in [0, 1]; ``neutral``: those of the
        neutral one.
        """
        settings = self.settings
        rows = [] if named is None else [self.read(CLASS_NAME, *named)]
        rows.append(self.read(NEUTRAL, settings.neutral_text, neutral))
        words = content_words(phrase.said for phrase in vocabulary.phrases)
        if words:
            # One prompt for each image, of words drawn with replacement.
            drawn = self.studio.draws.generator(PURPOSE, Seeds.RANDOM_WORDS)
            picks = drawn.integers(0, len(words), size=(settings.random_images, settings.random_words))
            texts = [" ".join(words[pick] for pick in row) for row in picks]
            images = self.studio.images(texts, Seeds.SCORE, settings.random_images)
            rows.append(self.read(RANDOM_WORDS, f"{settings.random_words} random words", images))
        return rows + [self.score("given text", text) for text in settings.texts]


def comparisons(rows: Sequence[Scored]) -> tuple[Comparison, ...]:
    """Each prompt beside the class's own name, the bar of the papers' tables; without a class, beside the neutral one.

    Image ``i`` of every prompt comes from the same noise, so the two are compared image by image.
    """
    names = [row.name for row in rows]
    than = rows[names.index(CLASS_NAME if CLASS_NAME in names else NEUTRAL)]
    found = []
    for row in rows:
        if row is than:
            continue
        count = min(len(row.reading.activates), len(than.reading.activates))
        mine, other = row.reading.activates[:count], than.reading.activates[:count]
        better, worse = int((mine & ~other).sum()), int((other & ~mine).sum())
        difference = paired_share_difference(better, worse, count)
        found.append(Comparison(row.name, row.text, than.name, difference, mcnemar(better, worse)))
    return tuple(found)
