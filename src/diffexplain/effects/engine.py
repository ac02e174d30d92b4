"""Test: how far each concept moves each classifier, by paired interventions on one population of images.

    effect of a on c  =  E[p_c | do(a)] - E[p_c | do(not a)],  everything else and the noise equal

Whatever found the concepts, this is the way to every number that a report calls an effect. Rounds of few images choose
the concepts that are worth more; those are tested on images that no round has seen. All that had the smallest number of
pairs count as one family of tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.concepts import Hierarchy
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.editing import Change, Composition, Editor
from diffexplain.effects.bank import Bank
from diffexplain.effects.budget import policy_named
from diffexplain.effects.confirmation import confirm
from diffexplain.effects.devices import Devices
from diffexplain.effects.edits import ChecksLike
from diffexplain.effects.estimation import (
    LARGEST_RIVAL,
    Beside,
    Differences,
    Error,
    Mean,
    PriorError,
    bootstrapped,
    differences_of,
    estimate_effects,
    joined,
    within,
)
from diffexplain.effects.population import Files, Images, Pictures, Population, Shares
from diffexplain.effects.records import Record, scores, took
from diffexplain.effects.results import (
    Budget,
    Calibration,
    ConceptEffect,
    Confirmation,
    Difference,
    Effect,
    EffectsResult,
    ObjectItself,
    Path,
    Ranking,
    Untested,
    Verdict,
)
from diffexplain.effects.verdicts import (
    IN_ITS_PLACE,
    NOT_TO_THE_END,
    WHERE_NOT_TOLD,
    WIDE,
    has_none,
    judge,
    may_displace,
)
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson
from diffexplain.target import ResolvedTarget

EVERYDAY = ("a chair", "a bottle", "a book", "a cup", "a lamp", "a bag", "a shoe", "a box")
"""What stands in the object's place where a classifier has no other classes."""
NO_SUBJECT = "this editor does not exchange the object"


@dataclass(frozen=True)
class Studied:
    """A classifier that is explained, and what of it.

    ``control``: it has learned nothing; it reads what was made for the others, and chooses nothing.
    """

    name: str
    classifier: Classifier
    target: ResolvedTarget
    control: bool = False


@dataclass(frozen=True)
class Engine:
    """Interventions, and what is made of them.

    Attributes:
        policy: shares out the images among the concepts, by name: halving, uniform.
        images: size of the population; of given images, so many at most.
        chunk: images prepared together.
        batch_size: images that a classifier reads at once; it changes the last bits of results.
        margin: a mean difference in probability within ±margin is not relevant.
        equivalence: where the whole interval lies within ± this, there is no effect. The prior's own error forbids a
            claim as narrow as the margin.
        unit_margin: both for a unit, in standard deviations of its activation on neutral images.
        significance: the false discovery rate over all concepts that were tried.
        smallest: pairs below which nothing is said of a concept.
        strayed: an edit that moved the rest of the image further than this, a mean in [0, 1], did not take.
        resamples: of the bootstrap.
        opening: begins every prompt.
    """

    policy: str = "halving"
    images: int = 48
    chunk: int = 16
    batch_size: int = 25
    margin: float = 0.02
    equivalence: float = 0.05
    unit_margin: float = 0.1
    significance: float = 0.05
    smallest: int = 6
    strayed: float = 0.1
    resamples: int = 2000
    opening: str = "a photo of"

    def __post_init__(self) -> None:
        if self.smallest < 2:
            raise UserError("An effect needs at least two images.", given=f"effects.smallest={self.smallest}")
        if len(policy_named(self.policy).testing(self.images)) < self.smallest:
            given = f"effects.images={self.images}, effects.policy={self.policy}"
            message = f"Too few images are left to test on: at least effects.smallest={self.smallest} are needed."
            raise UserError(message, given=given)
        if self.unit_margin < 0:
            raise UserError("A margin is not below 0.", given=f"effects.unit_margin={self.unit_margin}")
        if not 0 < self.significance < 1 or not 0 <= self.margin <= self.equivalence < 1:
            given = (
                f"effects.significance={self.significance}, effects.margin={self.margin}, "
                f"effects.equivalence={self.equivalence}"
            )
            message = "A rate lies between 0 and 1, a margin from 0 up to 1, and equivalence not below the margin."
            raise UserError(message, given=given)

    def population(
        self,
        studied: Sequence[Studied],
        editor: Editor,
        hierarchy: Hierarchy,
        files: Files,
        *,
        largest: int = 1,
        checks: ChecksLike | None = None,
        images: Tensor | None = None,
        device: torch.device | str = "cpu",
        devices: Devices | None = None,
        others: Sequence[str] = (),
        neutral: Tensor | None = None,
        bank: Bank | None = None,
    ) -> Population:
        """The images that are edited.

        Args:
            studied: at least one; where the hierarchy has no domain, the first one's class is the subject.
            editor: makes the edits.
            hierarchy: of the concepts.
            files: the run's directory and draws; what is there already is not made again.
            largest: concepts that are put in together at most.
            checks: whether edits took; None reports them as unchecked.
            images: photographs, (N, 3, H, W) in [0, 1]; None where the editor makes its own.
            device: of the classifiers.
            devices: make the edits; this process alone if None.
            others: objects, as noun phrases, that may stand in the subject's place.
            neutral: pictures that ask for nothing, as ``images``, by which a unit's scale is set; needed for a unit.
            bank: pictures that were made for other classifiers; None makes all.

        Raises:
            UserError: there is nothing that says what the images show, too few images, or descriptions that the
                editor would cut off.
        """
        count = self.images if images is None else min(self.images, len(images))
        if len(policy_named(self.policy).testing(count)) < self.smallest:
            raise UserError(f"A test needs at least {self.smallest} images.", given=f"{count} images")
        composition = Composition(hierarchy, subject_of(hierarchy, studied), self.opening)
        editor.check(composition, largest)
        readers = [TargetReader(one.classifier, one.target, self.batch_size, torch.device(device)) for one in studied]
        readers = readers if neutral is None else [reader.calibrated(neutral) for reader in readers]
        return Population(editor, composition, readers, checks, files, images, count, self.chunk, devices, others, bank)

    def share_out(self, population: Population, whose: Sequence[int]) -> dict[Path, Images]:
        """Edit, round by round, as the policy says; the images that each concept has come to have.

        Args:
            population: of images.
            whose: the classifiers, by their places, for which a concept may be worth more images.
        """
        policy = policy_named(self.policy)
        left = list(population.composition.concepts)
        shares: dict[Path, Images] = {}
        for upto in policy.choosing(population.count):
            population.start(upto)
            for path in progress(left, f"concepts, {upto} images each"):
                shares[path] = Images(range(upto), tested=False, rivals=upto)
                self.pairs(population, 0, path, shares[path])
            kept = {
                left[place]
                for who in whose
                for place in policy.survivors([self.pairs(population, who, p, shares[p]).score for p in left])
            }
            # The images of its rivals, which it is compared with, are made anyway.
            kept |= {rival for path in kept for rival in population.composition.rivals(path)}
            left = [path for path in left if path in kept]
        indices = policy.testing(population.count)
        population.start(population.count)
        for path in progress(left, f"concepts to test, {len(indices)} images each"):
            shares[path] = Images(indices, tested=True, rivals=len(indices))
            self.pairs(population, 0, path, shares[path])
        return shares

    def test(self, population: Population, first: Sequence[Path], others: int) -> dict[Path, Images]:
        """Test every concept on a few images, and those that something else chose on all of them.

        No image has a part in choosing: whichever concepts come ``first`` was known before any of these was made.

        Args:
            population: of images.
            first: the concepts that are tested on all images.
            others: images for each of the others; 0 leaves them untested.
        """
        composition, few = population.composition, min(others, population.count)
        population.start(population.count)
        shares = {path: Images(range(few), tested=True, rivals=few) for path in composition.concepts if few}
        shares |= {path: Images(range(population.count), tested=True, rivals=few) for path in first}
        for path in progress(list(shares), "concepts to test"):
            self.pairs(population, 0, path, shares[path])
        return shares

    def pairs(self, population: Pictures, who: int, path: Path, those: Images) -> Differences:
        """do(concept) minus do(not the concept), on these images of the population.

        An object is left out. In the place of a value stand its rivals: the mean over those that are edited in anyway
        is less noisy than the one that is drawn for the image, at which the check looks.
        """
        composition = population.composition
        present, absent, *instead = (
            population.records(changes, indices) for changes, indices in interventions(composition, path, those)
        )
        wide = len(instead[0]) if instead else 0
        parts = []
        for part, beside in ((slice(0, wide), instead), (slice(wide, None), [absent[wide:]])):
            if present[part]:
                parts.append(differences_of(present[part], beside, who))
        passed = [took(composition, path, one, other, self.strayed) for one, other in zip(present, absent, strict=True)]
        return joined(parts, None if None in passed else np.asarray(passed, dtype=np.bool_))

    def result(
        self,
        population: Population,
        studied: Sequence[Studied],
        shares: Shares,
        rankings: Sequence[Ranking],
        *,
        error: PriorError | None = None,
        policy: str | None = None,
        tree: int | None = None,
    ) -> EffectsResult:
        """All that was found, and what it cost.

        Args:
            population: of images.
            studied: in the order of its readers.
            shares: the images that each concept has.
            rankings: of each of the studied.
            error: of the prior, that they allow for.
            policy: by which images were shared out, if not by the engine's own.
            tree: edits that were made for single concepts, if others were made, too.
        """
        own = [ranking for ranking, one in zip(rankings, studied, strict=True) if not one.control]
        controls = [ranking for ranking, one in zip(rankings, studied, strict=True) if one.control]
        made = population.made if tree is None else tree
        return EffectsResult(
            population.composition.subject,
            tuple(own),
            self.differences(population, studied, shares),
            self.budget(population, shares, made, policy),
            self._confirmation(population, shares),
            controls[0] if controls else None,
            # It is known of probabilities alone.
            None
            if error is None or studied[0].target.kind != "class"
            else Calibration(error.classifiers, error.effects),
        )

    def _confirmation(self, population: Population, shares: Shares) -> Confirmation | None:
        if population.images is None:
            return None
        margin, _ = self.bounds(population.readers[0].target.kind == "class")
        return confirm(population, shares, self._pairs(population, 0, shares), margin, self.significance)

    def differences(self, population: Pictures, studied: Sequence[Studied], shares: Shares) -> tuple[Difference, ...]:
        """Every two classifiers, on the same edits; the first one's effect minus the second one's."""
        found: list[Difference] = []
        own = [who for who, one in enumerate(studied) if not one.control]
        if len(own) < 2:
            return ()
        of = {who: self._pairs(population, who, shares) for who in own}
        for first, second in combinations(own, 2):
            of_class = {studied[k].target.kind for k in (first, second)} == {"class"}
            apart = {path: pair.minus(of[second][path]) for path, pair in of[first].items()}
            margin, _ = self.bounds(of_class)
            effects = estimate_effects(apart, margin, self.significance, tested=_tested(shares), bounded=False)
            found += [Difference(studied[first].name, studied[second].name, path, e) for path, e in effects.items()]
        return tuple(found)

    def budget(self, population: Population, shares: Shares, tree: int, policy: str | None = None) -> Budget:
        """What it cost; ``tree``: edits that were made for single concepts."""
        return Budget(
            policy=policy or self.policy,
            images=tree,
            search_images=population.made - tree,
            read=population.read,
            evaluations=population.evaluations,
            preparing=population.preparing,
            uniform_images=population.count * len(shares),
            screening=population.screening,
        )

    def bounds(self, of_class: bool) -> tuple[float, float]:
        """Margin and equivalence of a class's probability, or of a unit's activation."""
        return (self.margin, self.equivalence) if of_class else (self.unit_margin, self.unit_margin)

    def testing(self, population: Population) -> range:
        """The images of the population that concepts are tested on."""
        return policy_named(self.policy).testing(population.count)

    def mean(self, population: Population) -> Mean:
        """The bootstrap's, of gains."""
        return bootstrapped(population.files.draws, self.resamples)

    def _pairs(self, population: Pictures, who: int, shares: Shares) -> dict[Path, Differences]:
        return {path: self.pairs(population, who, path, those) for path, those in shares.items()}

    def ranking(
        self,
        population: Population,
        who: int,
        one: Studied,
        shares: Shares,
        *,
        error: PriorError | None = None,
        untested: Sequence[Untested] = (),
        screened: Mapping[Path, float] = MappingProxyType({}),
        first: Sequence[Path] = (),
    ) -> Ranking:
        """The effects on one classifier, and what they come to.

        Args:
            population: of images.
            who: the classifier's place among the population's readers.
            one: the classifier.
            shares: the images that each concept has.
            error: of the prior.
            untested: concepts that were proposed and not tried.
            screened: scores of an earlier screen.
            first: the concepts that the screen put first, which carry half of the rate of false discoveries.
        """
        composition, of_class = population.composition, one.target.kind == "class"
        margin, equivalence = self.bounds(of_class)
        if not of_class:
            error = None  # It is known of probabilities alone.
        pairs = self._pairs(population, who, shares)
        tested = _tested(shares)
        weights = half_for(first, list(pairs))

        def error_of(error: PriorError, path: Path, pair: Differences) -> Error:
            return error.of(composition.role(path), float(pair.score.mean()), beside_of(composition, path, effect_of))

        def effect_of(path: Path) -> float:
            return float(pairs[path].score.mean()) if path in pairs else 1.0  # not tested: it may be anything

        def estimated(those: Mapping[Path, Differences]) -> dict[Path, Effect]:
            errors = {} if error is None else {p: error_of(error, p, pair) for p, pair in those.items()}
            return estimate_effects(
                those, margin, self.significance, tested=tested, errors=errors, weights=weights, bounded=of_class
            )

        over_all = estimated(pairs)
        over_took = estimated({p: those for p, pair in pairs.items() if (those := pair.those_that_took()) is not None})
        mean, everything = self.mean(population), range(population.count)
        null, originals = scores(population.null(everything), who), population.originals(everything)
        shift = None if originals is None else mean(null - scores(originals, who))
        concepts = []
        for path, pair in pairs.items():
            concept, effect = composition.concepts[path], over_all[path]
            records = population.records([Change(path)], shares[path].indices)
            inside = self._inside(path, records, mean)
            moved = [record.strayed for record in records if record.strayed is not None]
            found = judge(
                effect,
                composition.role(path),
                inside,
                equivalence=equivalence,
                of_class=of_class and one.target.class_name is not None,
                is_setting_of_class=denotes(one.target.class_name, concept.text),
            )
            concepts.append(
                ConceptEffect(
                    path,
                    concept.text,
                    concept.kind,
                    effect,
                    over_took.get(path),
                    None if pair.took is None else wilson(int(pair.took.sum()), len(pair.took)),
                    within(effect.score, shift),
                    found,
                    _reason(found, shares[path], may_displace(effect, composition.role(path))),
                    inside,
                    float(np.mean(moved)) if moved else None,
                    screened.get(path),
                )
            )
        itself = None if one.target.class_name is None else self._itself(population, who, one, error)
        left = tuple(replace(other, screened=screened.get(other.path)) for other in untested)
        return Ranking(one.name, one.target.text, tuple(concepts), mean(null), shift, (), itself, left)

    def _inside(self, path: Path, records: Sequence[Record], mean: Mean) -> Estimate | None:
        shares = [record.inside[path] for record in records if path in record.inside]
        return mean(np.asarray(shares)) if len(shares) >= 2 else None

    def _itself(self, population: Population, who: int, one: Studied, error: PriorError | None) -> ObjectItself:
        """The object against another one in its place: a single test, outside the family of the concepts'."""
        subject = population.composition.subject
        if not population.can_exchange:
            return ObjectItself(subject, None, None, None, NO_SUBJECT)
        indices = range(population.count)
        null = population.null(indices)
        pair = differences_of(null, [population.exchanged(indices)], who)
        of_class = one.target.kind == "class"
        margin, equivalence = self.bounds(of_class)
        errors: dict[Path, Error] = {} if error is None else {(): error.of("object", float(pair.score.mean()))}
        (effect,) = estimate_effects({(): pair}, margin, self.significance, errors=errors, bounded=of_class).values()
        helps = None
        if effect.significant:
            helps = effect.score.value > 0
        elif has_none(effect, equivalence):
            helps = False
        named = [record.activates[who] for record in null]
        recognised = wilson(sum(named), len(named)) if of_class else None
        return ObjectItself(subject, effect, helps, recognised, None)


def interventions(composition: Composition, path: Path, those: Images) -> list[tuple[list[Change], range]]:
    """What is asked of a concept's images, and of which: it is put in, taken out, and each rival put in its place."""
    asked = [
        ([Change(path)], those.indices),
        ([Change(path, reverse=True)], those.indices),
    ]
    return asked + [([Change(rival)], those.indices[: those.rivals]) for rival in composition.rivals(path)]


def beside_of(composition: Composition, path: Path, effect_of: Callable[[Path], float]) -> Beside:
    """The effects that a concept's own is measured beside, each of which ``effect_of`` tells."""
    above = composition.object_of(path)
    if above is not None:
        return Beside(of_object=effect_of(above))
    largest = max((abs(effect_of(rival)) for rival in composition.rivals(path)), default=0.0)
    return Beside(of_rival=min(largest, LARGEST_RIVAL))


def subject_of(hierarchy: Hierarchy, studied: Sequence[Studied]) -> str:
    """What all images show: the hierarchy's domain, or else the class as a noun phrase.

    Raises:
        UserError: neither is there.
    """
    name = studied[0].target.class_name
    if not hierarchy.domain and name is None:
        raise UserError(
            "Nothing says what the images show: give the hierarchy a domain, or name a class whose name is a word, "
            "beside a unit as unit:<module>:<channel>@<class>.",
            given=studied[0].target.text,
        )
    return hierarchy.domain or class_phrase(str(name))


def others_of(target: ResolvedTarget, class_names: Sequence[str]) -> tuple[str, ...]:
    """What may stand in the place of the target's object: the classifier's other classes, or things of every day."""
    others = [class_phrase(name) for place, name in enumerate(class_names) if place != target.class_index]
    return tuple(others) if len(others) > 1 else EVERYDAY


def denotes(class_name: str | None, text: str) -> bool:
    """Whether a class is named after this setting: "seashore" after "on the seashore"."""
    words = {word.casefold() for word in text.split()}
    return class_name is not None and all(word.casefold() in words for word in class_name.replace("_", " ").split())


def half_for(first: Sequence[Path], every: Sequence[Path]) -> dict[Path, float]:
    """Weights of the tests, with mean 1: those that come first have one half of them together, the rest the other."""
    count = sum(path in first for path in every)
    if not 0 < count < len(every):
        return dict.fromkeys(every, 1.0)
    own, other = len(every) / (2 * count), len(every) / (2 * (len(every) - count))
    return {path: own if path in first else other for path in every}


def _tested(shares: Shares) -> set[Path]:
    return {path for path, those in shares.items() if those.tested}


def _reason(found: Verdict, those: Images, displaces: bool) -> str | None:
    if found is Verdict.RELEVANT:
        return IN_ITS_PLACE if displaces else WHERE_NOT_TOLD
    if found is not Verdict.UNDECIDED:
        return None
    return WIDE if those.tested else NOT_TO_THE_END
