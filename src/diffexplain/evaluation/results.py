"""What an evaluation found: small frozen records, the only thing that the report reads.

A number that could not be measured is ``None`` and the ``reason`` beside it says why; it is never 0.
Shares and probabilities lie in [0, 1]. Intervals are 95 % unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffexplain.statistics.estimates import Estimate, SameAnswer

if TYPE_CHECKING:  # A finished run is read back without numpy.
    import numpy as np
    from numpy.typing import NDArray


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
class Control:
    """What a classifier that has learned nothing makes of the same images, all made for the explained one.

    ``kind``: "random_weights", the same architecture. ``activation``: of the found prompt and the baselines.
    """

    kind: str
    activation: tuple[Activation, ...]


@dataclass(frozen=True)
class ObjectAbsence:
    """Share of activating images without the object itself; None with a ``reason``.

    ``sensitivity`` and ``specificity`` say how well that is seen: of the prior's pictures of the class by its name the
    share in which the object is found, and of neutral pictures that in which it is not, none of which set the bound;
    None in summaries of before that was measured.
    """

    share: Estimate | None
    reason: str | None
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None


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

    ``image``: (H, W, 3) uint8. ``masks``: phrase -> (H, W) bool, for what is seen in this image.
    """

    index: int
    image: NDArray[np.uint8]
    score: float
    activates: bool
    masks: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured for one target.

    ``found``: activation of the found prompt.
    ``baselines``: "class name" (not for a unit without a class), "neutral", "random words", each "given text".
    ``object_absence``: of the class, from activating images.
    ``unit_threshold``: for a unit, the 99th percentile of its activation on neutral images, counted in standard
        deviations from its mean there, as all its activations are.
    ``notes``: sentences for the reader: what was not measured, and why.
    ``comparisons``: of the found prompt and the baselines with the class name (a unit without a class: neutral).
    ``control``: None where none was asked for. ``quality``: of the same prompts; empty where it was not asked for.
    ``same_answer``: what the classifier answered to all pictures alike; None where answers differ.
    ``examples`` are pictures; they belong to the page, not to ``summary.json``.
    """

    found: Activation
    baselines: tuple[Activation, ...]
    words: Words
    object_absence: ObjectAbsence
    activating_images: int
    unit_threshold: float | None
    images_generated: int
    notes: tuple[str, ...]
    examples: tuple[Example, ...]
    comparisons: tuple[Comparison, ...] = ()
    control: Control | None = None
    quality: tuple[Quality, ...] = ()
    same_answer: SameAnswer | None = None
