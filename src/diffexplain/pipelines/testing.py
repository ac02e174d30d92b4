"""What a run needs to test concepts: the engine, the editor, whoever proposes concepts, and the classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.labels import classifier_labels
from diffexplain.concepts import Hierarchy
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.config.configuration import COMPARED
from diffexplain.config.digests import EDITOR_OF_NONE, EDITORS_OF_IMAGES, classes_of
from diffexplain.config.instantiate import build
from diffexplain.editing import Change, Checks
from diffexplain.effects import accuracy
from diffexplain.effects.bank import bank_of
from diffexplain.effects.engine import Studied, others_of
from diffexplain.effects.estimation import PriorError
from diffexplain.effects.population import Population
from diffexplain.effects.results import (
    EffectExample,
    EffectsResult,
    LabelledPhotographs,
    Path,
    Sight,
    without_mirrors,
)
from diffexplain.errors import UserError
from diffexplain.evaluation.image_source import ImageSource, Seeds, as_bytes
from diffexplain.pipelines import photographs
from diffexplain.pipelines.distributed import PredictLoop
from diffexplain.pipelines.memory import halvings_recorded
from diffexplain.pipelines.parts import Parts, compared_targets
from diffexplain.pipelines.photographs import Photographs
from diffexplain.pipelines.proposers import RunProposer
from diffexplain.progress import progress
from diffexplain.prompts import PriorProposer
from diffexplain.runs.run import CONCEPTS, Run
from diffexplain.statistics.estimates import SameAnswer
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder

DIGEST = "# sha256 of the above: "
"""Before what the last line of `CONCEPTS` holds."""
PHOTOGRAPHS = "photographs.json"
CONTROL = "control"
NEUTRAL_TEXT, NEUTRAL_IMAGES = "a photo", 100
"""Pictures that ask for nothing, by which a unit's scale is set where no evaluation makes its own."""
DOMAIN_IMAGES = 16
"""Made for a proposer that looks at images."""
WORDS = (
    "The concepts are single words, said behind everything else. Nobody has said what a word names, so whether an edit "
    "took is not asked."
)
SEEN_IN = 24
"""Pictures with a concept, and without it, that tell how well it is seen."""
STRONGEST, WEAKEST, EXAMPLES = 5, 1, 3
"""Concepts that the page shows pictures of, and pictures of each."""


class Testing:
    """Has concepts proposed and tested by a method, for the explained classifier and those that are compared with it.

    Made before any weights are read: what the configuration asks for is checked there. ``method`` has a ``rank`` that
    goes from a population to effects, such as `RandomisedPrompts`.
    """

    def __init__(self, run: Run, target: ResolvedTarget, trainer: Any, parts: Parts, method: Any) -> None:
        self.run, self.target, self.parts, self.method = run, target, parts, method
        self.plugins = tuple(run.config["plugins"])
        # Whatever an optimisation does: differences of a few thousandths count.
        self.loop = PredictLoop(replace(trainer, precision="32-true"), run.directory)
        self.device = self.loop.device
        self.engine = build(run.config["effects"], plugins=self.plugins, where="effects")
        self.compared = compared_targets(run.config, target)
        self.proposer = build(run.config["concepts"], plugins=self.plugins, where="concepts")
        check_editor(run.config)
        self.photographs = find_photographs(run.config, self.engine.images)
        self.own_folders = own_folders(run.config, target)

    def effects(self, classifier: Any, prior: Any, control: Any = None) -> EffectsResult:
        """Propose, and test; all processes of the run take part.

        ``control`` is a classifier that has learned nothing and reads the same images; None: there is none.
        """
        prior.to(self.device)
        classifier.to(self.device)
        segmenter = self.parts.build("segmenter", self.run.config["segmenter"], self.plugins)
        segmenter.to(self.device)
        editor = build(self.run.config["editor"], prior, plugins=self.plugins, where="editor")
        studied = [Studied(self.run.config["classifier"]["name"], classifier, self.target)]
        for name, target in self.compared.items():
            other = self.parts.classifier(self.run.config[COMPARED][name], self.plugins, f"compared {name}")
            studied.append(Studied(name, other.to(self.device), target))
        if control is not None:
            studied.append(Studied(CONTROL, control.to(self.device), self.target, control=True))
        checks = Checks(segmenter, self.engine.batch_size)
        self.editor, self.bank = editor, bank_of(self.run.config, self.target.text, self.device)
        with self.loop, halvings_recorded(self.run, prior, "to edit one picture"):
            images = self._images(prior)
            hierarchy = self._concepts(prior, images)
            neutral = None if self.target.kind == "class" else self._neutral(prior)
            self.population: Population = self.engine.population(
                studied,
                editor,
                hierarchy,
                self.run,
                largest=self.method.together,
                checks=checks,
                images=images,
                device=self.device,
                devices=self.loop,
                others=others_of(self.target, classifier.labels.names),
                neutral=neutral,
                bank=self.bank,
            )
            # It was measured on images that a prior makes, not on given ones that it edits.
            error = None if images is not None else error_of(self.run.config["diffusion"])
            self.result: EffectsResult = self.method.rank(self.population, studied, self.engine, error)
            if self.own_folders:
                self.result = replace(self.result, labelled=self._labelled(prior, checks))
        return self.result

    def examples(self) -> list[EffectExample]:
        """Pictures of the largest effects, those beyond doubt first, and of the smallest; of mirrored values of one."""
        kept = [concept for concept, _ in without_mirrors(self.result.rankings[0].ranked)]
        ranked = sorted(kept, key=lambda concept: not concept.over_all.significant)
        smallest = [concept for concept in kept if concept in ranked[STRONGEST:]][-WEAKEST:]
        paths = [concept.path for concept in (*ranked[:STRONGEST], *smallest)]
        found = [example for path in paths for example in examples(self.population, path, EXAMPLES)]
        if self.bank is not None:
            # Which of them another classifier's page shows is not known.
            for concept in self.result.rankings[0].concepts:
                shown(self.population, concept.path, EXAMPLES)
            self.run.record_timings(bank={"made": self.editor.evaluations, "taken": self.bank.taken})
        return found

    def same_answer(self) -> SameAnswer | None:
        """What the explained classifier answered to all images alike; None where answers differ."""
        return self.population.same_answer(0)

    def notes(self) -> tuple[str, ...]:
        """What is to be known of photographs, of words, and of compared classifiers."""
        notes = [] if self.photographs is None else list(self.photographs.notes())
        if self.population.composition.words():
            notes.append(WORDS)
        for who, name in enumerate(self.compared, 1):
            same = self.population.same_answer(who)
            if same is not None:
                notes.append(f"{name} gives all {same.pictures} pictures the same answer: its effects tell nothing.")
        return tuple(notes)

    def _labelled(self, prior: Any, checks: Checks) -> LabelledPhotographs | None:
        """What the classifier makes of all labelled photographs by the concepts that move the class."""
        assert self.photographs is not None
        composition, reader = self.population.composition, self.population.readers[0]
        ranked = self.result.rankings[0].ranked
        # What an earlier run found is asked about, whatever these photographs show when they are edited.
        told = ranked if isinstance(self.proposer, RunProposer) else [c for c in ranked if c.over_all.significant]
        raises = {concept.path: concept.over_all.score.value > 0 for concept in told}
        at_once = self.engine.batch_size
        lots = in_lots(self.photographs, self.own_folders, prior.image_size, at_once)
        many = -(-(len(self.photographs.used) + len(self.photographs.rest)) // at_once)
        lots = progress(lots, f"labelled photographs, {at_once} at a time", many)
        return accuracy.measure(lots, reader, checks, composition, raises, self._sights(prior, checks, raises))

    def _sights(self, prior: Any, checks: Checks, paths: Iterable[Path]) -> dict[Path, Sight]:
        """How well concepts are seen in pictures that the prior makes with each and without it, where any can be."""
        composition, source = self.population.composition, ImageSource(prior, self.run.draws)

        @lru_cache(maxsize=2)  # All objects are left out of the same pictures.
        def made(*sentences: str) -> Tensor:
            return source.images(sentences, Seeds.SIGHT, SEEN_IN)

        def seen(path: Path, reverse: bool) -> NDArray[np.bool_]:
            drawn = [self.run.draws.generator("sight", SEEN_IN, index) for index in range(SEEN_IN)]
            states = [composition.apply(frozenset(), [Change(path, reverse)], one) for one in drawn]
            sentences = [composition.sentence(state) for state in states]
            found = accuracy.look_for(checks, composition, made(*sentences), [path])[path]
            assert found is not None
            return found

        known = [path for path in paths if accuracy.can_be_seen(composition, path)]
        return {path: accuracy.sight(seen(path, False), seen(path, True)) for path in known}

    def _neutral(self, prior: Any) -> Tensor:
        """The pictures that set a unit's scale: those of the evaluation, so that a page speaks of one scale."""
        evaluation = self.run.config.get("evaluation", {})
        text, count = evaluation.get("neutral_text", NEUTRAL_TEXT), evaluation.get("images", NEUTRAL_IMAGES)
        return ImageSource(prior, self.run.draws).images([text], Seeds.SCORE, count)

    def _images(self, prior: Any) -> Tensor | None:
        """The photographs that are given, (N, 3, H, W) in [0, 1]; None where the editor makes its own images."""
        if self.photographs is None:
            return None
        self.run.write_json(PHOTOGRAPHS, self.photographs.to_json())
        return self.photographs.images(prior.image_size)

    def _concepts(self, prior: Any, images: Tensor | None) -> Hierarchy:
        """What was proposed is kept: a model may answer differently when the run goes on."""
        path = self.run.directory / CONCEPTS
        if path.exists():
            with suppress(OSError, UnicodeDecodeError):
                text, _, digest = path.read_text(encoding="utf-8").rpartition(DIGEST)
                if sha256(text.encode()).hexdigest() == digest.strip():
                    return Hierarchy.load(path)
            message = f"{path} is damaged, or of an earlier version: concepts are proposed again."
            warnings.warn(message, stacklevel=2)
        hierarchy = self._proposed(prior, images)
        text = hierarchy.to_yaml()
        self.run.write_text(CONCEPTS, f"{text}{DIGEST}{sha256(text.encode()).hexdigest()}\n")
        return hierarchy

    def _proposed(self, prior: Any, images: Tensor | None) -> Hierarchy:
        if isinstance(self.proposer, PriorProposer):
            return self.proposer.propose_from(prior, self.target)
        # Only proposers that look at images are told what these show.
        looks = hasattr(self.proposer, "domain")
        if looks:
            images = self._domain_images(prior) if images is None else images[:DOMAIN_IMAGES]
        hierarchy: Hierarchy = self.proposer.propose(images if looks else None, self.target)
        return hierarchy

    def _domain_images(self, prior: Any) -> Tensor | None:
        """Images of the class, (N, 3, H, W) in [0, 1]; None for a unit without one."""
        if self.target.class_name is None:
            return None
        prompt = f"{self.engine.opening} {class_phrase(self.target.class_name)}"
        noise = [self.run.draws.normal("concepts", 0, prior.latent_shape, index) for index in range(DOMAIN_IMAGES)]
        images: Tensor = prior.generate([prompt] * DOMAIN_IMAGES, torch.stack(noise).to(prior.device))
        return images.float().cpu()


def error_of(diffusion: Mapping[str, Any]) -> PriorError | None:
    """The error of effects on a prior's pictures, if it was calibrated as it is used here.

    Raises:
        UserError: the calibration cannot be read.
    """
    folder = diffusion.get("folder")
    found = None if folder is None else PriorError.load(resolve_folder(str(folder)))
    return found if found is not None and found.steps == diffusion.get("steps") else None


def check_editor(config: Mapping[str, Any]) -> None:
    """Whether the editor makes images or edits given ones, and the run gives it any.

    Raises:
        UserError: the one does not go with the other.
    """
    name, given = str(config["editor"]["name"]), config.get("images") is not None
    if given and name == EDITOR_OF_NONE:
        accepted = [f"editor={other}" for other in EDITORS_OF_IMAGES]
        raise UserError("This editor edits no photographs; it makes images of its own.", given=name, accepted=accepted)
    if not given and name in EDITORS_OF_IMAGES:
        message = "This editor edits photographs: name a folder of them with images=<folder>, or take the other editor."
        raise UserError(message, given=name, accepted=[f"editor={EDITOR_OF_NONE}"])


def find_photographs(config: Mapping[str, Any], most: int) -> Photographs | None:
    """The photographs that a run is given, at most so many, none of them loaded; what is skipped is said.

    Raises:
        UserError: too few that can be used, or not those that the run was asked for with.
    """
    found = photographs.given(config, most)
    for note in () if found is None else found.notes():
        warnings.warn(note, stacklevel=2)
    return found


def own_folders(config: Mapping[str, Any], target: ResolvedTarget) -> frozenset[str]:
    """Of folders of labelled photographs, those of the target's class; none where photographs have no labels.

    Raises:
        UserError: a folder's name is no class of the classifier.
    """
    folders = () if config.get("images") is None or target.kind != "class" else classes_of(str(config["images"]))
    if not folders:
        return frozenset()
    labels = classifier_labels(config["classifier"])
    own = frozenset(name for name in folders if labels.resolve(name) == target.class_index)
    if not own:
        message = f"None of the folders of photographs is named after {target.class_key}."
        raise UserError(message, given=", ".join(folders))
    return own


def in_lots(
    labelled: Photographs, own_folders: frozenset[str], size: tuple[int, int], count: int
) -> Iterator[accuracy.Lot]:
    """All labelled photographs, so many at once, as images of one size (height, width)."""
    photographs = labelled.labelled()
    while some := list(islice(photographs, count)):
        own = np.array([one.label in own_folders for one in some])
        yield accuracy.Lot(tuple(one.name for one in some), own, torch.stack([one.image(size) for one in some]))


def shown(edited: Population, path: Path, count: int) -> tuple[range, list[Tensor]]:
    """The first images of the population, at most ``count``: which, and as they are without a concept and with it."""
    indices = range(min(count, edited.count, edited.chunk))
    return indices, [edited.pictures([Change(path, reverse)], indices) for reverse in (True, False)]


def examples(edited: Population, path: Path, count: int) -> list[EffectExample]:
    """The first images of the population, at most ``count``, without a concept and with it."""
    indices, images = shown(edited, path, count)
    without, present = ([as_bytes(image) for image in part] for part in images)
    scores = [edited.readers[0].read(part, f"an edit of {path[-1]!r}").score for part in images]
    return [EffectExample(path, k, without[k], present[k], float(scores[0][k]), float(scores[1][k])) for k in indices]
