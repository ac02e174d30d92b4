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

    ``name`` is one of "found prompt", "class name", "neutral", "random words", "best phrase".
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
class PhraseScore:
    """One candidate of the phrase search, scored on the seeds that choose."""

    text: str
    share: Estimate
    mean: Estimate


@dataclass(frozen=True)
class Words:
    """The found prompt in words.

    ``nearest``: for each token of the prompt its nearest words, nearest first.
    ``candidates``: every phrase tried, best first, on the seeds that chose; ``best`` is the winner scored
    again on seeds that did not choose it.
    """

    nearest: tuple[tuple[str, ...], ...]
    candidates: tuple[PhraseScore, ...]
    best: Activation | None
    reason: str | None = None


@dataclass(frozen=True)
class Removal:
    """What taking the element out of activating images does to the class probability.

    All columns are over the same pairs of images: with the element drawn again (the null edit) and without
    it, by the same operation on the same pixels with the same noise.

    ``drop``: probability with minus probability without, the number that the verdict rests on.
    ``logit_drop``: the same on the logit.
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
    logit_drop: Estimate
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

    ``kind``: "object", "setting" or "attribute" (a kind of the object ``of``, for example a striped flag).
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
    ``baselines``: "class name" (not for a unit without a class), "neutral", "random words".
    ``elements``: in verdict order (spurious, core, undecided, not relevant, not seen), within each by
        effect, largest first.
    ``object_absent``: share of activating images in which the segmenter finds no object of the class; None
        with ``object_absent_reason``.
    ``unit_threshold``: for a unit, the 99th percentile of its activation on neutral images.
    ``notes``: sentences for the reader: what was not measured, and why.
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

    def having(self, verdict: Verdict) -> tuple[Element, ...]:
        """The elements with this verdict, strongest first."""
        return tuple(element for element in self.elements if element.verdict is verdict)
