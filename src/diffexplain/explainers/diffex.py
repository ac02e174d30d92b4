"""DiffEx (arXiv 2412.18604): which semantics move the classifier, as a ranked tree.

The paper edits images along a hierarchy of concepts, scores them with the classifier, and finds the best joint
combination by beam search (Algorithm 1). Ours differs where the paper leaves it open or its released code errs:
effects are signed paired differences over a population of images, with intervals and control over the whole tree; a
budget decides which concepts get more images; the beam is refreshed from each level's survivors; and "beats its
parent" means beyond the noise of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from diffexplain.concepts import Hierarchy
from diffexplain.diffusion.editing import Change, Composition, Editor
from diffexplain.errors import UserError
from diffexplain.evaluation.activation import Reader
from diffexplain.evaluation.effect_results import (
    Budget,
    ConceptEffect,
    Difference,
    DiffExResult,
    Path,
    Ranking,
)
from diffexplain.evaluation.parts import ClassifierLike
from diffexplain.evaluation.statistics import wilson
from diffexplain.evaluation.vocabulary import class_phrase
from diffexplain.explainers.combinations import Search
from diffexplain.explainers.edited import Edited, Files
from diffexplain.explainers.effects import Differences, bootstrapped, estimate_effects, within
from diffexplain.explainers.making import ChecksLike
from diffexplain.explainers.policies import policy_named
from diffexplain.explainers.predicting import Devices
from diffexplain.explainers.records import log_odds_differences, scores, took
from diffexplain.target import ResolvedTarget


@dataclass(frozen=True)
class Studied:
    """A classifier that is explained, and what of it."""

    name: str
    classifier: ClassifierLike
    target: ResolvedTarget


@dataclass(frozen=True)
class DiffEx:
    """The method and its settings.

    Attributes:
        policy: how images are shared out among concepts, by name: halving, uniform.
        images: size of the population; of given images, so many at most.
        chunk: images prepared together.
        batch_size: images that a classifier reads at once; it changes the last bits of results.
        beam: B, the combinations kept at each level; 0 leaves the search out.
        threshold: delta, the least gain in score of a concept that the search begins with.
        roots: so many concepts are extended by and extended with at most, those with the largest gains.
        largest: concepts in a combination at most.
        search_images: images that each combination is tried on, the population's first ones.
        margin: a mean difference in probability within ±margin is no effect; of a unit, within ±0.
        significance: the false discovery rate over the whole tree.
        strayed: an edit that moved the rest of the image further than this, a mean in [0, 1], did not take.
        resamples: of the bootstrap.
        opening: begins every prompt.
    """

    finds: ClassVar[str] = "effects"

    policy: str = "halving"
    images: int = 48
    chunk: int = 16
    batch_size: int = 25
    beam: int = 4
    threshold: float = 0.0
    roots: int = 8
    largest: int = 2
    search_images: int = 24
    margin: float = 0.02
    significance: float = 0.05
    strayed: float = 0.1
    resamples: int = 2000
    opening: str = "a photo of"

    def __post_init__(self) -> None:
        for name in ("images", "search_images"):
            if getattr(self, name) < 2:
                given = f"explainer.{name}={getattr(self, name)}"
                raise UserError("An effect needs at least two images.", given=given)
        policy_named(self.policy)

    def rank(
        self,
        studied: Sequence[Studied],
        editor: Editor,
        hierarchy: Hierarchy,
        files: Files,
        *,
        checks: ChecksLike | None = None,
        images: Tensor | None = None,
        device: torch.device | str = "cpu",
        devices: Devices | None = None,
    ) -> DiffExResult:
        """Rank the concepts of ``hierarchy`` for every classifier, on the same edits.

        Args:
            studied: at least one; where the hierarchy has no domain, the first one's class is the subject.
            editor: makes the edits.
            hierarchy: of the concepts.
            files: the run's directory and draws; what is there already is not made again.
            checks: whether edits took; None reports them as unchecked.
            images: photographs, (N, 3, H, W) in [0, 1]; None where the editor makes its own.
            device: of the classifiers.
            devices: make the edits; this process alone if None.

        Raises:
            UserError: there is nothing that says what the images show, fewer than two images, or descriptions that the
                editor would cut off.
        """
        edited = self.population(studied, editor, hierarchy, files, checks, images, device, devices)
        return self.rank_population(edited, studied)

    def population(
        self,
        studied: Sequence[Studied],
        editor: Editor,
        hierarchy: Hierarchy,
        files: Files,
        checks: ChecksLike | None,
        images: Tensor | None,
        device: torch.device | str,
        devices: Devices | None = None,
    ) -> Edited:
        """The images that are edited; see `rank`."""
        count = self.images if images is None else min(self.images, len(images))
        if count < 2:
            raise UserError("An effect needs at least two images.", given=f"{count} images")
        composition = Composition(hierarchy, subject_of(hierarchy, studied), self.opening)
        editor.check(composition, self.largest if self.beam else 1)
        readers = [Reader(one.classifier, one.target, self.batch_size, torch.device(device)) for one in studied]
        return Edited(editor, composition, readers, checks, files, images, count, self.chunk, devices)

    def rank_population(self, edited: Edited, studied: Sequence[Studied]) -> DiffExResult:
        """As `rank`, of a population that is kept, so that it can be looked at afterwards."""
        everyone = range(len(studied))
        shares = self.share_out(edited, everyone)
        pairs = [{path: self.pairs(edited, who, path, shares[path]) for path in shares} for who in everyone]
        tree = edited.made
        rankings = [self._ranking(edited, who, one, pairs[who], shares) for who, one in enumerate(studied)]
        budget = Budget(
            policy=self.policy,
            images=tree,
            search_images=edited.made - tree,
            read=edited.read,
            evaluations=edited.evaluations,
            preparing=edited.preparing,
            uniform_images=edited.count * len(shares),
        )
        return DiffExResult(
            edited.composition.subject, tuple(rankings), self._differences(studied, pairs, edited.files), budget
        )

    def share_out(self, edited: Edited, whose: Sequence[int]) -> dict[Path, int]:
        """Edit, round by round, as the policy says; how many images each concept came to have.

        Args:
            edited: the population.
            whose: the classifiers, by their places, for which a concept may be worth more images.
        """
        policy = policy_named(self.policy)
        left = list(edited.composition.concepts)
        shares = dict.fromkeys(left, 0)
        silent = None if edited.devices.is_first else True  # None: unless on a terminal.
        for upto in policy.rounds(edited.count):
            edited.start(upto)
            for path in tqdm(left, desc=f"concepts, {upto} images", disable=silent):
                self.pairs(edited, 0, path, upto)
                shares[path] = upto
            kept = {
                left[place]
                for who in whose
                for place in policy.survivors([self.pairs(edited, who, path, upto).score for path in left])
            }
            # What is compared with its rivals goes on with them.
            kept |= {rival for path in kept for rival in edited.composition.rivals(path)}
            left = [path for path in left if path in kept]
        return shares

    def pairs(self, edited: Edited, who: int, path: Path, count: int) -> Differences:
        """do(concept) minus do(not the concept), on the population's first ``count`` images.

        An object is left out. In the place of a value stand its rivals: the mean over all of them, which are edited
        in anyway, is less noisy than one of them. The check looks at the one that is drawn for the image.
        """
        indices = range(count)
        present = edited.records([Change(path)], indices)
        absent = edited.records([Change(path, reverse=True)], indices)
        instead = [edited.records([Change(rival)], indices) for rival in edited.composition.rivals(path)] or [absent]
        passed = [
            took(edited.composition, path, one, other, self.strayed) for one, other in zip(present, absent, strict=True)
        ]
        score = np.mean([scores(present, who) - scores(records, who) for records in instead], axis=0)
        odds = [log_odds_differences(present, records, who) for records in instead]
        known = [values for values in odds if values is not None]
        return Differences(
            score,
            np.mean(known, axis=0) if len(known) == len(odds) else None,
            None if None in passed else np.asarray(passed, dtype=np.bool_),
        )

    def search(self, edited: Edited, who: int) -> Search:
        """Algorithm 1 for one classifier."""
        return Search(
            edited,
            who,
            bootstrapped(edited.files.draws, self.resamples),
            beam=self.beam,
            threshold=self.threshold,
            roots=self.roots,
            largest=self.largest,
            images=self.search_images,
            significance=self.significance,
        )

    def _ranking(
        self, edited: Edited, who: int, one: Studied, pairs: dict[Path, Differences], shares: dict[Path, int]
    ) -> Ranking:
        draws, composition = edited.files.draws, edited.composition
        margin = self.margin if one.target.kind == "class" else 0.0
        indices = range(edited.count)
        mean = bootstrapped(draws, self.resamples)
        null, originals = scores(edited.null(indices), who), edited.originals(indices)
        shift = None if originals is None else mean(null - scores(originals, who))
        over_all = estimate_effects(pairs, margin, self.significance, self.resamples, draws)
        passed = {path: those for path, pair in pairs.items() if (those := pair.those_that_took()) is not None}
        over_took = estimate_effects(passed, margin, self.significance, self.resamples, draws)
        concepts = []
        for path, pair in pairs.items():
            concept = composition.concepts[path]
            share = None if pair.took is None else wilson(int(pair.took.sum()), len(pair.took))
            noise = within(over_all[path].score, shift)
            concepts.append(
                ConceptEffect(path, concept.text, concept.kind, over_all[path], over_took.get(path), share, noise)
            )
        found = self.search(edited, who).run(shares) if self.beam else ()
        return Ranking(one.name, one.target.text, tuple(concepts), mean(null), shift, found)

    def _differences(
        self, studied: Sequence[Studied], pairs: Sequence[dict[Path, Differences]], files: Files
    ) -> tuple[Difference, ...]:
        """Every two classifiers, on the same edits; the first one's effect minus the second one's."""
        found = []
        for first, second in combinations(range(len(studied)), 2):
            margin = self.margin if {studied[k].target.kind for k in (first, second)} == {"class"} else 0.0
            apart = {path: pair.minus(pairs[second][path]) for path, pair in pairs[first].items()}
            effects = estimate_effects(apart, margin, self.significance, self.resamples, files.draws)
            found += [Difference(studied[first].name, studied[second].name, path, e) for path, e in effects.items()]
        return tuple(found)


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
