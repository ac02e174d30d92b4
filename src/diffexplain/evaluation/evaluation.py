"""The evaluation of one explanation, on fresh seeds that its optimisation never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.target_scores import TargetReader, same_answer
from diffexplain.concepts.vocabulary import Phrase, Vocabulary, class_phrase
from diffexplain.evaluation.captions import Captioner
from diffexplain.evaluation.image_source import ImageSource, Seeds, examples
from diffexplain.evaluation.presence import fits, youden_threshold
from diffexplain.evaluation.prompt_scores import FOUND, RANDOM_WORDS, Scored, Scorer, comparisons
from diffexplain.evaluation.quality import features_of, quality
from diffexplain.evaluation.results import Caption, Control, Evaluation, ObjectAbsence, Quality, Words
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.evaluation.words import best_phrase
from diffexplain.runs.draws import Draws
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import detect
from diffexplain.statistics.tests import wilson
from diffexplain.target import ResolvedTarget

if TYPE_CHECKING:
    from diffexplain.diffusion import AnyPrior

SAME_ANSWER = "the classifier gives the same answer to every picture, so nothing that they show can be told to matter"


def evaluate(
    condition: Tensor,
    nearest: Sequence[Sequence[str]],
    target: ResolvedTarget,
    classifier: Classifier,
    prior: AnyPrior,
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    settings: EvaluationSettings,
    draws: Draws,
    *,
    raising: Sequence[Phrase] = (),
    others: Sequence[str] = (),
    control: Classifier | None = None,
    clip: Segmenter | None = None,
    reference: Tensor | None = None,
    captioner: Captioner | None = None,
) -> Evaluation:
    """Measure how well the found prompt activates the target, say it in words, and look at what its images show.

    Args:
        condition: the prompt's hidden states, (1, T, D).
        nearest: the words nearest to each of its tokens, the nearest first.
        raising: what was found to raise the target, the largest effect first; tried in words, and outlined.
        others: objects, as noun phrases, that the target's own is told from.
        control: a classifier that has learned nothing (`control.random_weights`); it reads the same images.
        clip: by which the quality of the images is measured; None: it is not.
        reference: photographs that they are compared with, (M, 3, H, W) in [0, 1].
        captioner: of the activating images; None: they are not captioned.
    """
    studio = ImageSource(prior, draws)
    main = None if target.class_name is None else Phrase(class_phrase(target.class_name))
    if main is not None:
        vocabulary = vocabulary.including(main)
        main = vocabulary.find(main.text)
    target_phrase = None if main is None else main.text

    neutral_images = studio.images([settings.neutral_text], Seeds.SCORE, settings.images)
    reader = TargetReader(classifier, target, settings.batch_size, prior.device).calibrated(neutral_images)
    idle = None if control is None else TargetReader(control, target, settings.batch_size, prior.device)
    idle = None if idle is None else idle.calibrated(neutral_images)
    scorer = Scorer(studio, reader, idle, settings, clip)
    images = studio.images(condition, Seeds.SCORE, settings.images)
    found = scorer.read(FOUND, None, images)
    reading = found.reading
    named = None
    if target_phrase is not None:
        text = f"a photo of {target_phrase}"
        named = (text, studio.images([text], Seeds.SCORE, settings.images))
    scored = [found, *scorer.baselines(named, neutral_images, vocabulary)]

    activating = [index for index in range(len(images)) if reading.activates[index]]
    captioned = activating[: settings.looked_images]
    captions = [] if captioner is None or len(captioned) < 2 else captioner.captions(images[captioned])
    if captions:
        scored.append(scorer.captioned(captions, captioned))
    activations = [row.activation(draws, settings) for row in scored]
    same = same_answer([row.reading for row in scored], target.kind)
    looked = activating[: settings.looked_images]
    if target_phrase is None or named is None:
        absence = ObjectAbsence(None, target.no_object)
    elif same is not None:
        absence = ObjectAbsence(None, SAME_ANSWER)
    elif len(looked) < settings.minimum_activating or settings.images < 2:
        few = f"{len(activating)} of {settings.images} images of the found prompt activate the target"
        absence = ObjectAbsence(None, f"{few}, fewer than the {settings.minimum_activating} needed")
    else:
        absence = object_absence(segmenter, target_phrase, others, images[looked], named[1], neutral_images, settings)
    shown = [phrase.text for phrase in raising if phrase.kind != "attribute"]
    detections = detect(segmenter, images[looked], shown, settings.batch_size) if shown and looked else None

    tried = [] if main is None else [main]
    if same is None:
        words = best_phrase(nearest, [*tried, *raising], vocabulary, studio, reader, settings)
    else:
        words = Words(tuple(map(tuple, nearest)), (), None, SAME_ANSWER)
    counted = tuple(Caption(text, count) for text, count in Counter(captions).most_common())
    return Evaluation(
        found=activations[0],
        baselines=tuple(activations[1:]),
        words=replace(words, captions=counted),
        object_absence=absence,
        activating_images=len(activating),
        unit_threshold=reader.threshold,
        images_generated=studio.made,
        notes=(),
        examples=examples(images, reading, activating, detections, shown, settings.examples),
        comparisons=comparisons(scored),
        control=None
        if idle is None
        else Control(str(settings.control), tuple(row.control_activation(draws, settings) for row in scored)),
        quality=() if clip is None else _quality(scored, clip, reference, target_phrase, scorer),
        same_answer=same,
    )


def object_absence(
    segmenter: Segmenter,
    phrase: str,
    others: Sequence[str],
    images: Tensor,
    named: Tensor,
    neutral: Tensor,
    settings: EvaluationSettings,
) -> ObjectAbsence:
    """In how many images (N, 3, H, W) in [0, 1] the object cannot be seen, by the CLIP behind the segmenter.

    The prior's pictures of the object by its name (``named``) and of a prompt that asks for nothing (``neutral``), at
    least two each, say how well that is seen: every second one sets the bound, the others say how well it holds.
    """

    def margins(some: Tensor) -> NDArray[np.float64]:
        return fits(segmenter, some, phrase, others, settings.batch_size)

    there, elsewhere = margins(named), margins(neutral)
    bound = youden_threshold(there[::2], elsewhere[::2]).value
    absent = margins(images) < bound
    return ObjectAbsence(
        wilson(int(absent.sum()), len(absent)),
        None,
        wilson(int((there[1::2] >= bound).sum()), len(there[1::2])),
        wilson(int((elsewhere[1::2] < bound).sum()), len(elsewhere[1::2])),
    )


def _quality(
    scored: Sequence[Scored],
    clip: Segmenter,
    reference: Tensor | None,
    target_phrase: str | None,
    scorer: Scorer,
) -> tuple[Quality, ...]:
    """Of every prompt but the random words, which have no images of one kind."""
    settings, draws = scorer.settings, scorer.studio.draws
    known = None if reference is None else features_of(clip, reference, settings)
    return tuple(
        quality(row.name, row.text, row.features, known, clip, target_phrase, draws, settings)
        for row in scored
        if row.features is not None and row.name != RANDOM_WORDS
    )
