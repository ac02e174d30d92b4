"""DiffEx (arXiv 2412.18604): which semantics move the classifier, as a ranked tree.

The paper edits images along a hierarchy of concepts, scores them with the classifier, and finds the best joint
combination by beam search (Algorithm 1). Ours differs where the paper leaves it open or its released code errs:
effects are signed paired differences over a population of images, with intervals and control over the whole tree; a
budget decides which concepts get more images; the beam is refreshed from each level's survivors; and "beats its
parent" means beyond the noise of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
    Combination,
    ConceptEffect,
    Difference,
    DiffExResult,
    Path,
    Ranking,
)
from diffexplain.evaluation.parts import ClassifierLike
from diffexplain.evaluation.results import Estimate
from diffexplain.evaluation.statistics import bootstrap_mean, p_mean_above, wilson
from diffexplain.evaluation.vocabulary import class_phrase
from diffexplain.explainers.edited import ChecksLike, Edited, Files, Record, key_of, logit_differences, scores
from diffexplain.explainers.effects import Differences, Values, estimate_effects, top, within
from diffexplain.explainers.policies import policy_named
from diffexplain.target import ResolvedTarget

Mean = Callable[[Values], Estimate]


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
    largest: int = 3
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

        Raises:
            UserError: there is nothing that says what the images show, or fewer than two images.
        """
        return self.rank_population(self.population(studied, editor, hierarchy, files, checks, images, device), studied)

    def population(
        self,
        studied: Sequence[Studied],
        editor: Editor,
        hierarchy: Hierarchy,
        files: Files,
        checks: ChecksLike | None,
        images: Tensor | None,
        device: torch.device | str,
    ) -> Edited:
        """The images that are edited; see `rank`."""
        count = self.images if images is None else min(self.images, len(images))
        if count < 2:
            raise UserError("An effect needs at least two images.", given=f"{count} images")
        composition = Composition(hierarchy, subject_of(hierarchy, studied), self.opening)
        readers = [Reader(one.classifier, one.target, self.batch_size, torch.device(device)) for one in studied]
        return Edited(editor, composition, readers, checks, files, images, count, self.chunk)

    def rank_population(self, edited: Edited, studied: Sequence[Studied]) -> DiffExResult:
        """As `rank`, of a population that is kept, so that it can be looked at afterwards."""
        shares = self._share_out(edited, studied)
        pairs = [{path: self._pairs(edited, who, path, shares[path]) for path in shares} for who in range(len(studied))]
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

    def _share_out(self, edited: Edited, studied: Sequence[Studied]) -> dict[Path, int]:
        """Edit, round by round, as the policy says; how many images each concept came to have."""
        policy = policy_named(self.policy)
        left = list(edited.composition.concepts)
        shares = dict.fromkeys(left, 0)
        for upto in policy.rounds(edited.count):
            edited.start(upto)
            for path in tqdm(left, desc=f"concepts, {upto} images", disable=None):
                self._pairs(edited, 0, path, upto)
                shares[path] = upto
            kept = {
                left[place]
                for who in range(len(studied))
                for place in policy.survivors([self._pairs(edited, who, path, upto).score for path in left])
            }
            left = [path for path in left if path in kept]
        return shares

    def _pairs(self, edited: Edited, who: int, path: Path, count: int) -> Differences:
        """do(concept) minus do(not the concept), on the population's first ``count`` images.

        One of the two is the null edit, unless the concept is a sub-type of what the image does not show.
        """
        indices = range(count)
        present = edited.records([Change(path)], indices)
        absent = edited.records([Change(path, reverse=True)], indices)
        took = None
        if all(key_of([path]) in record.seen for record in [*present, *absent]):
            took = np.asarray([self._took(path, one, other) for one, other in zip(present, absent, strict=True)])
        return Differences(scores(present, who) - scores(absent, who), logit_differences(present, absent, who), took)

    def _took(self, path: Path, present: Record, absent: Record) -> bool:
        """Seen with, not seen without, and the rest of both images stayed."""
        key = key_of([path])
        appeared = present.seen.get(key, False) and not absent.seen.get(key, False)
        return appeared and all((record.strayed or 0.0) <= self.strayed for record in (present, absent))

    def _ranking(
        self, edited: Edited, who: int, one: Studied, pairs: dict[Path, Differences], shares: dict[Path, int]
    ) -> Ranking:
        draws, composition = edited.files.draws, edited.composition
        margin = self.margin if one.target.kind == "class" else 0.0
        indices = range(edited.count)

        def mean(values: Values) -> Estimate:
            return bootstrap_mean(values, draws.generator("diffex bootstrap"), self.resamples)

        null, originals = scores(edited.null(indices), who), edited.originals(indices)
        shift = None if originals is None else mean(null - scores(originals, who))
        over_all = estimate_effects(pairs, margin, self.significance, self.resamples, draws)
        passed = {path: those for path, pair in pairs.items() if (those := pair.those_that_took()) is not None}
        over_took = estimate_effects(passed, margin, self.significance, self.resamples, draws)
        concepts = []
        for path, pair in pairs.items():
            concept = composition.concepts[path]
            took = None if pair.took is None else wilson(int(pair.took.sum()), len(pair.took))
            noise = within(over_all[path].score, shift)
            concepts.append(
                ConceptEffect(path, concept.text, concept.kind, over_all[path], over_took.get(path), took, noise)
            )
        found = Search(self, edited, who, mean).run(shares) if self.beam else ()
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


class Search:
    """Algorithm 1: beam search for the best joint combination of one classifier, in these steps.

    1. Score the root groups: f(b) is the mean score of the images with b in them, minus the null edits'.
    2. Keep the best B of those with f(b) >= delta as the beam.
    3. While there are candidates, extend each item b of the beam with features of the next level.
    4. Keep an extension b' only if f(b') > f(b).
    5. The best B of those are the next beam. (As printed, the beam stays as it is.)
    6. Return the best joint combination.
    """

    def __init__(self, method: DiffEx, edited: Edited, who: int, mean: Mean) -> None:
        self.method = method
        self.edited = edited
        self.who = who
        self.mean = mean
        self.count = min(method.search_images, edited.count)

    def run(self, shares: Mapping[Path, int]) -> tuple[Combination, ...]:
        """All combinations that were kept, best first; ``shares``: the images that each concept has had."""
        width = self.method.beam
        # Step 1, on the images that each root has had; those above delta again on all of the search's.
        tops: list[tuple[Path, ...]] = [(path,) for path in self.edited.composition.tops()]
        roots = {paths: self._gains(paths, min(shares[paths[0]], self.count)) for paths in tops}
        above = [paths for paths, gains in roots.items() if gains.mean() >= self.method.threshold]
        firsts = _best(above, roots, self.method.roots)
        scored = {paths: self._gains(paths) for paths in firsts}
        firsts = _best(firsts, scored, len(firsts))
        kept = {paths: self._combination(paths, scored[paths], None) for paths in firsts}
        beam = firsts[:width]  # Step 2
        while beam:
            survivors: dict[tuple[Path, ...], Values] = {}
            for parent in beam:  # Step 3
                for child in self._extensions(parent, [paths[0] for paths in firsts]):
                    if child in kept or child in survivors:
                        continue
                    gains = self._gains(child)
                    over_parent = gains - max((scored[b] for b in _parents(child, parent, scored)), key=np.mean)
                    # Step 4: beyond the images' noise.
                    if p_mean_above(over_parent, 0.0) <= self.method.significance:
                        survivors[child] = gains
                        kept[child] = self._combination(child, gains, over_parent)
            scored |= survivors
            beam = _best(list(survivors), scored, width)  # Step 5
        return tuple(kept[paths] for paths in _best(list(kept), scored, len(kept)))  # Step 6

    def _extensions(self, parent: tuple[Path, ...], firsts: Sequence[Path]) -> list[tuple[Path, ...]]:
        """One member made finer, or one more concept that goes with all of them."""
        composition = self.edited.composition
        found = []
        for place, member in enumerate(parent):
            below = [path for path in composition.concepts if path[:-1] == member]
            found += [tuple(sorted((*parent[:place], path, *parent[place + 1 :]))) for path in below]
        if len(parent) < self.method.largest:
            for path in firsts:
                apart = all(m[: len(path)] != path and composition.compatible(path, m) for m in parent)
                found += [tuple(sorted((*parent, path)))] if apart else []
        return list(dict.fromkeys(found))

    def _gains(self, paths: tuple[Path, ...], count: int | None = None) -> Values:
        indices = range(self.count if count is None else count)
        return scores(self._records(paths, indices), self.who) - scores(self.edited.null(indices), self.who)

    def _records(self, paths: tuple[Path, ...], indices: Sequence[int]) -> list[Record]:
        return self.edited.records([Change(path) for path in paths], indices)

    def _combination(self, paths: tuple[Path, ...], gains: Values, over_parent: Values | None) -> Combination:
        records, null = self._records(paths, range(self.count)), self.edited.null(range(self.count))
        took = None
        keys = [key_of([path]) for path in paths]
        if all(key in before.seen for key in keys for before in null):
            shown = [
                # What the edit did not touch is as it was.
                all(record.seen.get(key, before.seen[key]) for key in keys)
                for record, before in zip(records, null, strict=True)
            ]
            took = wilson(sum(shown), len(shown))
        return Combination(paths, self.mean(gains), None if over_parent is None else self.mean(over_parent), took)


def subject_of(hierarchy: Hierarchy, studied: Sequence[Studied]) -> str:
    """What all images show: the hierarchy's domain, or else the class as a noun phrase.

    Raises:
        UserError: neither is there.
    """
    name = studied[0].target.class_name
    if not hierarchy.domain and name is None:
        raise UserError(
            "Nothing says what the images of this unit show: name a class beside it, unit:<module>:<channel>@<class>, "
            "or give the hierarchy a domain.",
            given=studied[0].target.text,
        )
    return hierarchy.domain or class_phrase(str(name))


def _parents(
    child: tuple[Path, ...], parent: tuple[Path, ...], scored: Collection[tuple[Path, ...]]
) -> list[tuple[Path, ...]]:
    """What the child must beat: the item it extends, and every other one that lacks one of its members.

    Without the others, anything joined by the best concept would beat itself.
    """
    lacking = [child[:place] + child[place + 1 :] for place in range(len(child))]
    return [parent, *(paths for paths in lacking if paths in scored and paths != parent)]


def _best(
    candidates: Sequence[tuple[Path, ...]], scored: dict[tuple[Path, ...], Values], count: int
) -> list[tuple[Path, ...]]:
    return [candidates[place] for place in top([float(scored[paths].mean()) for paths in candidates], count)]
