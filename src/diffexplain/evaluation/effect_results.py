"""What DiffEx found: small frozen records of plain values, that go into JSON as they are.

This module imports neither torch nor the rest of the package but the record of an estimate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffexplain.evaluation.results import Estimate

Path = tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    """A mean paired difference: images with the concept minus the same images without it.

    Attributes:
        score: of the class probability, or of a unit's activation, with the 95 % bootstrap interval.
        log_odds: of log(p / (1 - p)) of the class, in nats; None for a unit without a class.
        adjusted: the mean of the score with the interval adjusted for all concepts of the tree.
        p: of H0: the mean lies within the margin.
        adjusted_p: Benjamini-Hochberg over the tree.
        significant: the adjusted interval lies beyond the margin.
    """

    score: Estimate
    log_odds: Estimate | None
    adjusted: Estimate
    p: float
    adjusted_p: float
    significant: bool

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
        kind: object, attribute or setting.
        over_all: the effect over all edits.
        over_took: over those edits that passed their check; None where fewer than two did, or nothing was checked.
        took: share of the pairs whose edit passed; None where nothing was checked.
        within_noise: the effect's interval lies inside what the null edit alone does to the score; None where the
            null edit is the image itself.
    """

    path: Path
    text: str
    kind: str
    over_all: Effect
    over_took: Effect | None
    took: Estimate | None
    within_noise: bool | None


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
    """

    classifier: str
    target: str
    concepts: tuple[ConceptEffect, ...]
    null_score: Estimate
    null_shift: Estimate | None
    combinations: tuple[Combination, ...]

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
class Budget:
    """What it cost.

    Attributes:
        policy: which concepts got how many images.
        images: edited images that were made for the tree.
        search_images: and for combinations.
        read: images that each classifier was given, the null edits and given images among them.
        evaluations: samples that the denoising network was called on for the edits.
        preparing: and for the images that they start from.
        uniform_images: edited images that the same population would have taken if every concept got all of it.
    """

    policy: str
    images: int
    search_images: int
    read: int
    evaluations: int
    preparing: int
    uniform_images: int


@dataclass(frozen=True)
class DiffExResult:
    """Everything that one run found, one ranking for each classifier.

    ``confirmation``: of given photographs; None where the editor made its own images.
    """

    subject: str
    rankings: tuple[Ranking, ...]
    differences: tuple[Difference, ...]
    budget: Budget
    confirmation: Confirmation | None = None

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
