"""What an evaluation found: small frozen records, the only thing that the report reads.

A number that could not be measured is ``None`` and the ``reason`` beside it says why; it is never 0.
Shares and probabilities lie in [0, 1]. Intervals are 95 % unless said otherwise.
This module imports neither torch nor the rest of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Verdict(StrEnum):
    """What an element is to the classifier, by the rule of ``verdict.py``."""

    CORE = "core"
    SPURIOUS = "spurious"
    NOT_RELEVANT = "not relevant"
    NOT_SEEN = "not seen"
    UNDECIDED = "undecided"  # seen, but not tested; ``Element.reason`` says why


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the number of images (or pairs of images) behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Activation:
    """How strongly the images of one prompt activate the target.

    ``name`` is one of "found prompt", "found images", "class name", "neutral", "random words", "given text",
    "captions" or "best phrase".
    ``share``: images that activate (classified as the class; for a unit, above its threshold), Wilson
    interval.
    ``mean``: class probability (for a unit: its activation), bootstrap interval.
    ``text`` is what was written, or None for the found prompt, which is no text.
    """

    name: str
    text: str | None
    share: Estimate
    mean: Estimate


@dataclass(frozen=True)
class SameAnswer:
    """The classifier answered all pictures alike, whatever they show, so that nothing can be told of what it looks for.

    ``score``: the probability of the class (for a unit: its activation) in each of so many ``pictures``.
    """

    score: float
    pictures: int


@dataclass(frozen=True)
class PhraseScore:
    """One candidate of the phrase search, scored on the seeds that choose."""

    text: str
    share: Estimate
    mean: Estimate


@dataclass(frozen=True)
class Caption:
    """What a captioner says of activating images, and of how many."""

    text: str
    count: int


@dataclass(frozen=True)
class Words:
    """The found prompt in words.

    ``nearest``: for each token of the prompt its nearest words, nearest first.
    ``candidates``: every phrase tried, best first, on the seeds that chose; ``best`` is the winner scored
    again on seeds that did not choose it. ``captions``: of activating images, the most frequent first; empty where
    none were asked for. Their activation is the baseline named "captions".
    """

    nearest: tuple[tuple[str, ...], ...]
    candidates: tuple[PhraseScore, ...]
    best: Activation | None
    reason: str | None = None
    captions: tuple[Caption, ...] = ()


@dataclass(frozen=True)
class Removal:
    """What taking the element out of activating images does to the class probability.

    All columns are over the same pairs of images: with the element drawn again (the null edit) and without
    it, by the same operation on the same pixels with the same noise.

    ``drop``: probability with minus probability without, the number that the verdict rests on.
    ``log_odds_drop``: the same on log(p / (1 - p)), in nats; None in a summary of before it was measured.
    ``raw_drop``: probability of the untouched image minus that of the image without the element.
    ``null_drop``: probability of the untouched image minus that of the image with the element drawn again,
        what editing alone costs.
    ``blur_drop``: untouched minus blurred in the same pixels, a check that needs no prior; None for settings.
    ``neutral_drop``: ``drop`` on images of the neutral prompt that show the element; None if not measured.
    ``took``: share of edited images in which the segmenter no longer sees the element and still sees it in
        the null edit; only these pairs count.
    ``p``: one-sided, H0: drop <= 0.02. ``adjusted_p``: Benjamini-Hochberg over all elements tried.
    """

    drop: Estimate
    log_odds_drop: Estimate | None
    raw_drop: Estimate
    null_drop: Estimate
    blur_drop: Estimate | None
    neutral_drop: Estimate | None
    took: Estimate
    p: float
    adjusted_p: float


@dataclass(frozen=True)
class Element:
    """One phrase of the vocabulary and what it is to the classifier.

    ``kind``: "object", "setting", "attribute" (a kind of the object ``of``, for example a striped flag) or
        "description" (of the target: its colour, for example, which it is one ``of``; it has no mask and no overlap).
    ``shown`` / ``shown_neutral``: share of activating / neutral images in which it is seen, Wilson interval.
    ``lift``: difference of the two, Newcombe interval. ``overlap``: mean share of its mask inside the
    target's own.
    """

    phrase: str
    kind: str
    of: str | None
    verdict: Verdict
    reason: str | None
    shown: Estimate | None
    shown_neutral: Estimate | None
    lift: Estimate | None
    overlap: Estimate | None
    removal: Removal | None


@dataclass(frozen=True)
class Comparison:
    """One prompt beside another on the same seeds: which images activate under the one and not under the other.

    ``difference``: share of activating images of the prompt minus that of ``than``, Bonett and Price's interval.
    ``p``: exact McNemar test of H0: no difference, two-sided.
    """

    name: str
    text: str | None
    than: str
    difference: Estimate
    p: float


@dataclass(frozen=True)
class ControlledElement:
    """What the control classifier answers to an element being taken out: ``drop`` as in `Removal`, same edits."""

    phrase: str
    verdict: Verdict
    drop: Estimate
    adjusted_p: float


@dataclass(frozen=True)
class Control:
    """What a classifier that has learned nothing makes of the same images, all made for the explained one.

    ``kind``: "random_weights", the same architecture.
    ``activation``: of the found prompt and the baselines. ``elements``: those that could be tested, in the order of
    the explained classifier's verdicts.
    """

    kind: str
    activation: tuple[Activation, ...]
    elements: tuple[ControlledElement, ...]

    @property
    def relevant(self) -> tuple[ControlledElement, ...]:
        """The elements that it answers to, which therefore says nothing about what a classifier has learned."""
        return tuple(one for one in self.elements if one.verdict in (Verdict.CORE, Verdict.SPURIOUS))


@dataclass(frozen=True)
class Quality:
    """How good and how varied the images of one prompt are, by a CLIP.

    ``clip_iqa``: how much rather "Good photo." than "Bad photo." is said of them, in [0, 1]; ``semantic_clip_iqa``:
    the same of the class by name. None with ``reason`` where the CLIP does not know these words.
    ``diversity``: mean of 1 - cosine over all pairs of them; None for fewer than three.
    ``kernel_distance``: of their features from those of the given photographs, by KID's kernel; None without any.
    """

    name: str
    text: str | None
    clip_iqa: Estimate | None
    semantic_clip_iqa: Estimate | None
    diversity: Estimate | None
    kernel_distance: Estimate | None
    reason: str | None


@dataclass(frozen=True)
class Example:
    """An image of the found prompt, for the report's grid.

    ``image``: (H, W, 3) uint8. ``masks``: phrase -> (H, W) bool, for the elements seen in this image.
    """

    index: int
    image: NDArray[np.uint8]
    score: float
    activates: bool
    masks: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class EditExample:
    """One pair of edits of one element: images (H, W, 3) uint8, mask (H, W) bool of the replaced pixels."""

    phrase: str
    index: int
    before: NDArray[np.uint8]
    without: NDArray[np.uint8]
    null: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    score_before: float
    score_without: float
    score_null: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured for one target.

    ``found``: activation of the found prompt.
    ``baselines``: "class name" (not for a unit without a class), "neutral", "random words", each "given text".
    ``elements``: in verdict order (spurious, core, undecided, not relevant, not seen), within each by
        effect, largest first.
    ``object_absent``: share of activating images in which the segmenter finds no object of the class; None
        with ``object_absent_reason``.
    ``unit_threshold``: for a unit, the 99th percentile of its activation on neutral images.
    ``notes``: sentences for the reader: what was not measured, and why.
    ``comparisons``: of the found prompt and the baselines with the class name (a unit without a class: neutral).
    ``control``: None where none was asked for. ``quality``: of the same prompts; empty where it was not asked for.
    ``same_answer``: what the classifier answered to all pictures alike; None where answers differ.
    ``examples`` and ``edits`` are pictures; they belong to the page, not to ``summary.json``.
    """

    found: Activation
    baselines: tuple[Activation, ...]
    words: Words
    elements: tuple[Element, ...]
    object_absent: Estimate | None
    object_absent_reason: str | None
    activating_images: int
    unit_threshold: float | None
    images_generated: int
    notes: tuple[str, ...]
    examples: tuple[Example, ...]
    edits: tuple[EditExample, ...]
    comparisons: tuple[Comparison, ...] = ()
    control: Control | None = None
    quality: tuple[Quality, ...] = ()
    same_answer: SameAnswer | None = None

    def having(self, verdict: Verdict) -> tuple[Element, ...]:
        """The elements with this verdict, strongest first."""
        return tuple(element for element in self.elements if element.verdict is verdict)
