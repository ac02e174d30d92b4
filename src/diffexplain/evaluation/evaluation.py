"""The evaluation of one explanation, on fresh seeds that its optimisation never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from diffexplain.evaluation import pictures
from diffexplain.evaluation.activation import Reader, Seeds, Studio, same_answer
from diffexplain.evaluation.captions import Captioner
from diffexplain.evaluation.control import judge_control
from diffexplain.evaluation.described import said, similarities, with_descriptions
from diffexplain.evaluation.elements import (
    Looked,
    by_lift,
    judge_elements,
    unseen_elements,
    untested_elements,
)
from diffexplain.evaluation.parts import ClassifierLike, ExplanationLike, PriorLike, SeeingSegmenter
from diffexplain.evaluation.quality import FeaturesLike, features_of, quality
from diffexplain.evaluation.removal import Remover
from diffexplain.evaluation.results import Caption, Element, Estimate, Evaluation, Quality, Words
from diffexplain.evaluation.scored import FOUND, RANDOM_WORDS, Scored, Scorer, comparisons
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.evaluation.sight import look_for
from diffexplain.evaluation.statistics import wilson
from diffexplain.evaluation.verdict import Trial
from diffexplain.evaluation.vocabulary import Phrase, Vocabulary, class_phrase
from diffexplain.evaluation.words import best_phrase
from diffexplain.runs.draws import Draws
from diffexplain.target import ResolvedTarget

SAME_ANSWER = "the classifier gives the same answer to every picture, so nothing that they show can be told to matter"


def evaluate(
    explanation: ExplanationLike,
    target: ResolvedTarget,
    classifier: ClassifierLike,
    prior: PriorLike,
    segmenter: SeeingSegmenter,
    vocabulary: Vocabulary,
    settings: EvaluationSettings,
    draws: Draws,
    control: ClassifierLike | None = None,
    clip: FeaturesLike | None = None,
    reference: Tensor | None = None,
    captioner: Captioner | None = None,
) -> Evaluation:
    """Measure how well the found prompt activates the target, say it in words, and judge every element.

    The verdicts on a unit with a class are about that class's probability in images that activate the unit.

    Args:
        control: a classifier that has learned nothing (`control.random_weights`); it reads the same images.
        clip: by which the quality of the images is measured; None: it is not.
        reference: photographs that they are compared with, (M, 3, H, W) in [0, 1].
        captioner: of the activating images; None: they are not captioned.
    """
    studio = Studio(prior, draws)
    main = None
    target_phrase = None if target.class_name is None else class_phrase(target.class_name)
    if target_phrase is not None:
        vocabulary = vocabulary.including(Phrase(target_phrase))
        main = vocabulary.find(target_phrase)
        assert main is not None  # it is included
        target_phrase = main.text

    neutral_images = studio.photograph([settings.neutral_text], Seeds.SCORE, settings.images)
    reader = Reader(classifier, target, settings.batch_size, prior.device).calibrated(neutral_images)
    idle = None if control is None else Reader(control, target, settings.batch_size, prior.device)
    idle = None if idle is None else idle.calibrated(neutral_images)
    scorer = Scorer(studio, reader, idle, settings, clip)
    images = studio.photograph(explanation.condition, Seeds.SCORE, settings.images)
    found = scorer.read(FOUND, None, images)
    reading = found.reading
    scored = [found, *scorer.baselines(target_phrase, neutral_images, vocabulary)]

    activating = [index for index in range(len(images)) if reading.activates[index]]
    captioned = activating[: settings.looked_images]
    captions = [] if captioner is None or len(captioned) < 2 else captioner.captions(images[captioned])
    if captions:
        scored.append(scorer.captioned(captions, captioned))
    activations = [row.activation(draws, settings) for row in scored]
    same = same_answer([row.reading for row in scored], target.kind)
    looked = None
    if same is None:
        looked = _look(activating, images, neutral_images, vocabulary, main, segmenter, reader, settings)
    notes: list[str] = []
    trials: tuple[Trial, ...] = ()
    elements: tuple[Element, ...]
    if same is not None:
        elements = unseen_elements(vocabulary, SAME_ANSWER)
        notes.append(f"{SAME_ANSWER.capitalize()}.")
    elif looked is None:
        few = f"{len(activating)} of {settings.images} images of the found prompt activate the target"
        reason = f"{few}, fewer than the {settings.minimum_activating} needed"
        elements = unseen_elements(vocabulary, reason)
        notes.append(f"{reason.capitalize()}: nothing is said about elements.")
    elif target_phrase is None:
        elements = untested_elements(vocabulary, looked, target.no_object, settings)
        if target.class_index is None:
            notes.append(f"{target.no_object[:1].upper()}{target.no_object[1:]}.")
    else:
        remover = Remover(studio, reader, segmenter, vocabulary, settings, target_phrase)
        asked = said([words[0].text for words in explanation.words], vocabulary)
        elements, trials = judge_elements(vocabulary, looked, target_phrase, remover, draws, settings, asked)
    controlled = None
    if idle is not None:
        silent = [row.control_activation(draws, settings) for row in scored]
        controlled = judge_control(str(settings.control), idle, silent, trials, elements, draws, settings)
    absent, absent_reason = _object_absent(looked, target_phrase, elements, target.no_object)

    seen = [] if looked is None else by_lift(vocabulary, looked, settings)
    nearest = [[word.text for word in words] for words in explanation.words]
    if same is None:
        words = best_phrase(nearest, seen, vocabulary, studio, reader, settings)
    else:
        words = Words(tuple(tuple(token) for token in nearest), (), None, SAME_ANSWER)
    counted = tuple(Caption(text, count) for text, count in Counter(captions).most_common())
    return Evaluation(
        found=activations[0],
        baselines=tuple(activations[1:]),
        words=replace(words, captions=counted),
        elements=elements,
        object_absent=absent,
        object_absent_reason=absent_reason,
        activating_images=len(activating),
        unit_threshold=reader.threshold,
        images_generated=studio.made,
        notes=tuple(notes),
        examples=pictures.examples(
            images,
            reading,
            activating,
            None if looked is None else looked.sight,
            [phrase.text for phrase in seen if phrase.kind != "description"],
            settings.examples,
        ),
        edits=pictures.edit_examples(trials, activating, settings.edit_examples),
        comparisons=comparisons(scored),
        control=controlled,
        quality=() if clip is None else _quality(scored, clip, reference, target_phrase, scorer),
        same_answer=same,
    )


def _quality(
    scored: Sequence[Scored],
    clip: FeaturesLike,
    reference: Tensor | None,
    target_phrase: str | None,
    scorer: Scorer,
) -> tuple[Quality, ...]:
    """Of every prompt but the random words, which have no images of one kind."""
    settings, draws = scorer.settings, scorer.studio.draws
    known = None if reference is None else features_of(clip, reference, settings, scorer.reader.device)
    return tuple(
        quality(row.name, row.text, row.features, known, clip, target_phrase, draws, settings)
        for row in scored
        if row.features is not None and row.name != RANDOM_WORDS
    )


def _look(
    activating: Sequence[int],
    images: Tensor,
    neutral_images: Tensor,
    vocabulary: Vocabulary,
    main: Phrase | None,
    segmenter: SeeingSegmenter,
    reader: Reader,
    settings: EvaluationSettings,
) -> Looked | None:
    """Look for every phrase in activating and neutral images; None if too few activate."""
    if len(activating) < settings.minimum_activating:
        return None
    chosen = images[list(activating)[: settings.looked_images]]
    neutral = neutral_images[: settings.looked_images]

    size, device = settings.batch_size, reader.device
    seen, unmoved = (look_for(segmenter, some, vocabulary.phrases, size, device) for some in (chosen, neutral))
    descriptions = vocabulary.of_kind("description")
    if descriptions:
        mains = [] if main is None else [main]
        fits, known = (
            similarities(segmenter, some, vocabulary, mains, descriptions, size, device) for some in (chosen, neutral)
        )
        seen = with_descriptions(seen, fits, known, descriptions)
        unmoved = with_descriptions(unmoved, known, known, descriptions)
    return Looked(chosen, neutral, seen, unmoved)


def _object_absent(
    looked: Looked | None, target_phrase: str | None, elements: Sequence[Element], no_object: str
) -> tuple[Estimate | None, str | None]:
    """Share of the activating images without the object itself, or why there is none."""
    if target_phrase is None:
        return None, no_object
    if looked is None:
        return None, elements[0].reason
    present = len(looked.sight.showing(target_phrase))
    return wilson(looked.sight.count - present, looked.sight.count), None
