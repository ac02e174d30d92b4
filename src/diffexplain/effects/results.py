"""Effects of concepts on a classifier, and what they come to: small frozen records that go into JSON as they are.

This module imports neither torch nor numpy, nor the rest of the package but the record of an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from diffexplain.statistics.estimates import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Path = tuple[str, ...]
_EQUAL = 1e-9


class Verdict(StrEnum):
    """What a concept is to the target, by the rule of ``verdicts.py``."""

    CORE = "core"
    SPURIOUS = "spurious"
    APPEARANCE = "appearance"
    RELEVANT = "relevant"  # it moves the target, and where it lies cannot be told
    RAISES = "raises"  # of a unit without a class, which has no object
    LOWERS = "lowers"
    NO_EFFECT = "no effect"
    UNDECIDED = "undecided"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Effect:
    """A mean paired difference: images with the concept minus the same images without it.

    Attributes:
        score: of the class probability, or of a unit's activation, with the 95 % bootstrap interval.
        log_odds: of log(p / (1 - p)) of the class, in nats; None for a unit without a class.
        adjusted: the mean of the score with the interval adjusted for all concepts of the tree.
        p: of H0: the mean lies within the margin; 1 where the pairs had chosen what is tested.
        adjusted_p: Benjamini-Hochberg over all concepts that were tried; where a screen chose, those that it put first
            share one half of the rate.
        significant: ``adjusted_p`` is at most the rate.
        e: betting e-value of the same H0 with the same weight, which needs no assumption on how differences are spread;
            None for a unit, whose activation has no bounds.
        holds_by_e: whether it is significant by e-values, too (Benjamini-Hochberg for e-values); None likewise.
    """

    score: Estimate
    log_odds: Estimate | None
    adjusted: Estimate
    p: float
    adjusted_p: float
    significant: bool
    e: float | None = None
    holds_by_e: bool | None = None

    @property
    def n(self) -> int:
        """Pairs of images behind it."""
        return self.score.n


@dataclass(frozen=True)
class ConceptEffect:
    """One node of the tree.

    Attributes:
        path: names from the root.
        text: what a prompt says for it.
        kind: object, attribute, setting or word.
        over_all: the effect over all edits.
        over_took: over those edits that passed their check; None where fewer than two did, or nothing was checked.
        took: share of the pairs whose edit passed; None where nothing was checked.
        within_noise: the effect's interval lies inside what the null edit alone does to the score; None where the
            null edit is the image itself.
        verdict: what it is to the target.
        reason: why nothing more can be said, where that is so.
        inside: mean share of its mask that lies inside the target's own; None where it has none, or was never seen.
        strayed: mean change in [0, 1] of what the edit had no reason to touch; None where nothing was checked.
        screened: its score in the screen that came before, in standard errors: it orders concepts and is no effect.
    """

    path: Path
    text: str
    kind: str
    over_all: Effect
    over_took: Effect | None
    took: Estimate | None
    within_noise: bool | None
    verdict: Verdict = Verdict.UNDECIDED
    reason: str | None = None
    inside: Estimate | None = None
    strayed: float | None = None
    screened: float | None = None

    def mirrors(self, other: ConceptEffect) -> bool:
        """Whether the two are values of one group with the same effect, one the other way: each is the other's lack."""
        mine, others = self.over_all.score.value, other.over_all.score.value
        same = self.path[:-1] == other.path[:-1] and self.path != other.path and self.verdict == other.verdict
        return same and abs(mine) > _EQUAL > abs(mine + others)  # two that do nothing are no opposites


def without_mirrors(concepts: Sequence[ConceptEffect]) -> list[tuple[ConceptEffect, ConceptEffect | None]]:
    """The concepts, each with the one that mirrors it, which is then not told again: of two the one that raises."""
    found: list[tuple[ConceptEffect, ConceptEffect | None]] = []
    told: set[Path] = set()
    for concept in concepts:
        if concept.path in told:
            continue
        other = next((one for one in concepts if one.path not in told and concept.mirrors(one)), None)
        told |= {concept.path} if other is None else {concept.path, other.path}
        raises = other is None or concept.over_all.score.value > 0
        found.append((concept, other) if raises or other is None else (other, concept))
    return found


@dataclass(frozen=True)
class ObjectItself:
    """The target's own object, exchanged for another one in the same picture: outside the ranking and its tests.

    Attributes:
        text: the object, as a prompt says it.
        effect: with it minus with another object in its place; positive means that it helps. None where it was not
            tested.
        helps: the interval lies beyond the margin, upwards; False: downwards, or within it; None: neither.
        recognised: share of the pictures with the object that the classifier gives the class.
        reason: why it was not tested.
    """

    text: str
    effect: Effect | None
    helps: bool | None
    recognised: Estimate | None
    reason: str | None


@dataclass(frozen=True)
class Untested:
    """A concept that was proposed and not tested, and why."""

    path: Path
    text: str
    kind: str
    reason: str
    screened: float | None = None


@dataclass(frozen=True)
class Combination:
    """Concepts put in together, in one pass.

    Attributes:
        paths: of the concepts.
        gain: mean score with them minus the null edit's.
        over_parent: and minus the best of what it extends by one concept; None for a root of the search.
        took: share of the images in which all of them are seen; None where nothing was checked.
    """

    paths: tuple[Path, ...]
    gain: Estimate
    over_parent: Estimate | None
    took: Estimate | None


@dataclass(frozen=True)
class Ranking:
    """One classifier's tree.

    Attributes:
        classifier, target: by name.
        concepts: every concept, in the hierarchy's order.
        null_score: mean score of the null edits.
        null_shift: null edits minus the given images as they are; None where the editor makes its own.
        combinations: those that the search kept, best first.
        itself: the target's own object; None for a unit without a class, and in summaries of before.
        untested: what was proposed and not tested.
    """

    classifier: str
    target: str
    concepts: tuple[ConceptEffect, ...]
    null_score: Estimate
    null_shift: Estimate | None
    combinations: tuple[Combination, ...]
    itself: ObjectItself | None = None
    untested: tuple[Untested, ...] = ()

    @property
    def ranked(self) -> tuple[ConceptEffect, ...]:
        """The concepts, largest absolute effect first."""
        return tuple(sorted(self.concepts, key=lambda concept: -abs(concept.over_all.score.value)))

    @property
    def best(self) -> Combination | None:
        """The best joint combination, the answer of Algorithm 1; None if none reached the threshold."""
        return self.combinations[0] if self.combinations else None


@dataclass(frozen=True)
class Difference:
    """How much more one classifier answers to a concept than another, on the same edits."""

    first: str
    second: str
    path: Path
    effect: Effect


@dataclass(frozen=True)
class ConfirmedConcept:
    """What one concept does to the first classifier in photographs, apart for the two ways of editing it.

    Attributes:
        path: names from the root.
        added: the effect of putting it into photographs of other classes that do not show it.
        taken_out: and, with the same sign, of having it in the target's own that show it, against taking it out.

    None where fewer than two photographs are of the kind.
    """

    path: Path
    added: Effect | None
    taken_out: Effect | None


@dataclass(frozen=True)
class Confirmation:
    """The photographs apart: the target's own are those that the classifier, unedited, gives the class.

    Attributes:
        own, others: how many photographs; of a unit, all are both.
        concepts: in the hierarchy's order; p values are adjusted over both effects of all of them.
    """

    own: int
    others: int
    concepts: tuple[ConfirmedConcept, ...]


@dataclass(frozen=True)
class Accuracy:
    """Share of photographs that the classifier is right about, of those that show a concept and of those that do not.

    None where there is no such photograph.
    """

    shown: Estimate | None
    not_shown: Estimate | None


@dataclass(frozen=True)
class Sight:
    """How well a concept is seen, on the prior's own pictures.

    Attributes:
        seen: share of those made with it in which it is seen.
        imagined: share of those made without it in which it is seen.
    """

    seen: Estimate
    imagined: Estimate


@dataclass(frozen=True)
class ConceptAccuracy:
    """What the classifier makes of labelled photographs by whether they show a concept; no effect, since nothing else
    is held fixed.

    Attributes:
        path: names from the root.
        own: of the photographs of the class, the share that is given it.
        others: of all others, the share that is not.
        sight: how well it is seen; None where that was not measured.
        failures: the photographs that the classifier is wrong about where the concept should mislead it, the worst
            first: of the class without what raises it, of others with it.
        reason: why it tells nothing, where that is so.
    """

    path: Path
    own: Accuracy
    others: Accuracy
    sight: Sight | None
    failures: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True)
class LabelledPhotographs:
    """What the classifier makes of labelled photographs.

    Attributes:
        own: share of those of the class that are given it.
        others: share of all others that are not; None in both where there is none.
        concepts: those that move the class, in the ranking's order.
    """

    own: Estimate | None
    others: Estimate | None
    concepts: tuple[ConceptAccuracy, ...]


@dataclass(frozen=True)
class Budget:
    """What it cost, whoever made the pictures: those from the bank count as if they had been made.

    Attributes:
        policy: which concepts got how many images.
        images: edited images that were made for the tree.
        search_images: and for combinations.
        read: images that each classifier was given, the null edits and given images among them.
        evaluations: samples that the denoising network was called on for the edits.
        preparing: and for the images that they start from.
        uniform_images: edited images that the same population would have taken if every concept got all of it.
        screening: samples that the denoising network was called on for the screen that came before.
    """

    policy: str
    images: int
    search_images: int
    read: int
    evaluations: int
    preparing: int
    uniform_images: int
    screening: int = 0


@dataclass(frozen=True)
class Calibration:
    """Known effects on classifiers by which the prior's own error was measured; intervals allow for it."""

    classifiers: int
    effects: int


@dataclass(frozen=True)
class EffectsResult:
    """Everything that one run found, one ranking for each classifier.

    ``confirmation``: of given photographs; None where the editor made its own images. ``control``: what the same
    images do to a classifier that has learned nothing; None where none was asked for. ``calibration``: None where
    intervals cover the draw of images alone. ``labelled``: of photographs in folders named after classes; None where
    none were given.
    """

    subject: str
    rankings: tuple[Ranking, ...]
    differences: tuple[Difference, ...]
    budget: Budget
    confirmation: Confirmation | None = None
    control: Ranking | None = None
    calibration: Calibration | None = None
    labelled: LabelledPhotographs | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        content: dict[str, Any] = asdict(self)
        return content


@dataclass(frozen=True)
class EffectExample:
    """One image without a concept and with it, for the report; (H, W, 3) uint8, and the first classifier's scores."""

    path: Path
    index: int
    without: NDArray[np.uint8]
    present: NDArray[np.uint8]
    score_without: float
    score_present: float
