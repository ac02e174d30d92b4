"""A method that finds a prompt: concepts are screened and tested, the prompt is optimised, and its images evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from diffexplain.concepts.content_words import content_words
from diffexplain.concepts.vocabulary import Kind, Phrase, Vocabulary, class_phrase
from diffexplain.config.digests import CONTENTS
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.effects.engine import others_of
from diffexplain.effects.results import ConceptEffect, EffectExample, EffectsResult, Ranking, Untested
from diffexplain.errors import UserError
from diffexplain.evaluation import evaluate
from diffexplain.evaluation.captions import CLIP, Captioner, ClipCaptioner, ModelCaptioner
from diffexplain.evaluation.control import random_weights
from diffexplain.explainers.screening import OWN, Beginning
from diffexplain.pipelines import photographs
from diffexplain.pipelines.memory import halvings_recorded, notes_on_memory
from diffexplain.pipelines.parts import Parts
from diffexplain.pipelines.photographs import Photographs
from diffexplain.pipelines.provenance import describe_optimisation
from diffexplain.pipelines.testing import Testing
from diffexplain.report import Model, Summary, stated, summarise, write_report
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder

TOLD_FROM = 50
"""Other objects that the target's own is told from at most, where it is looked for."""


class PromptPipeline:
    """Finds which concepts move the target and optimises a prompt for it; see `diffexplain.pipelines.pipeline`.

    A unit without a class, and a class whose name is no word, have no pictures that a concept could be put into: of
    these the prompt alone is found.
    """

    def __init__(self, run: Run, target: ResolvedTarget, trainer: Any, parts: Parts) -> None:
        self.run, self.target, self.trainer, self.parts = run, target, trainer, parts
        self.plugins = tuple(run.config["plugins"])
        classifier, augmentation = run.config["classifier"], run.config["augmentation"]
        self.vocabulary = Vocabulary.load(classifier["vocabulary"], classifier.get("more_phrases"))
        self.settings = _evaluation_settings(run.config["evaluation"], self.plugins)
        prompt = partial(build, run.config["prompt"], plugins=self.plugins, where="prompt")
        self.reference = self._photographs()
        if self.settings.captions not in (None, CLIP):
            resolve_folder(self.settings.captions)
        self.explainer = self._build("explainer", prompt)
        self.own = [] if target.class_name is None else [class_phrase(target.class_name)]
        without = getattr(self.explainer, "without", None) or ()
        self.without = content_words([without] if isinstance(without, str) else without)
        self.words = self._words()
        self.augmentation = self._build("augmentation") if TARGET in augmentation else None
        self.gradient = self._build("gradient")
        self.memory = self._build("memory")
        self.testing = Testing(run, target, trainer, parts, self._build("discovery"))
        self.respondent = self._build("wording") if TARGET in run.config.get("wording", {}) else None

    def explain(self, classifier: Any, prior: Any, loggers: Sequence[Any]) -> None:
        self.classifier, self.prior = classifier, prior
        self.control = None if self.settings.control is None else random_weights(classifier, self.run.draws)
        self.effects: EffectsResult | None = None
        if self.target.class_name is not None:
            self.effects = self.testing.effects(classifier, prior, self.control)
        self.explanation = self.explainer.explain(
            self.target,
            classifier,
            prior,
            self.run,
            vocabulary=self.words,
            beginning=None if self.effects is None else self._beginning(self.effects),
            augmentation=self.augmentation,
            gradient=self.gradient,
            memory=self.memory,
            trainer=self.trainer,
            loggers=loggers,
        )

    def evaluate(self) -> None:
        segmenter = self.parts.build("segmenter", self.run.config["segmenter"], self.plugins)
        segmenter.to(self.prior.device)
        self.examples: list[EffectExample] = []
        raising: list[Phrase] = []
        if self.effects is not None:
            self.examples = self.testing.examples()
            raising = [self._phrase(concept) for concept in raised_by(self.effects.rankings[0])]
        with halvings_recorded(self.run, self.prior, "to evaluate one picture"):
            self.evaluation = evaluate(
                self.explanation.condition,
                [[word.text for word in words] for words in self.explanation.words],
                self.target,
                self.classifier,
                self.prior,
                segmenter,
                self.vocabulary,
                self.settings,
                self.run.draws,
                raising=raising,
                others=others_of(self.target, self.classifier.labels.names)[:TOLD_FROM],
                control=self.control,
                clip=segmenter if self.settings.quality else None,
                reference=None if self.reference is None else self.reference.images(self.prior.image_size),
                captioner=self._captioner(segmenter),
            )
        if self.reference is not None and self.reference.skipped:
            names = ", ".join(name for name, _ in self.reference.skipped)
            note = f"Of the photographs to compare with these could not be used: {names}."
            self.evaluation = replace(self.evaluation, notes=(*self.evaluation.notes, note))

    def report(self, *, classifier: Model, prior: Model, command: str) -> Summary:
        same = self.evaluation.same_answer
        if same is not None and self.effects is not None:  # Edits may show what the prompts did not.
            same = self.testing.same_answer()
        summary = summarise(
            self.evaluation,
            self.effects,
            run=self.run,
            target=self.target,
            classifier=classifier,
            prior=prior,
            optimisation=describe_optimisation(self.explanation),
            command=command,
            notes=(
                *(() if self.effects is None else self.testing.notes()),
                *notes_on_memory(self.run),
                *notes_on_steps(self.explanation.curve),
                *notes_on_words(self.without),
            ),
            same_answer=same,
        )
        summary = stated(summary, self.respondent)
        write_report(self.run, summary, examples=self.evaluation.examples, effects=self.examples)
        return summary

    def _words(self) -> list[str]:
        """The words that the prompt is made of, or compared with.

        Raises:
            UserError: some are to be kept out that are not there, or of a prompt that is not made of words.
        """
        words = content_words([*self.own, *(phrase.said for phrase in self.vocabulary.phrases)])
        node = self.run.config["prompt"]
        if self.without and not getattr(locate(str(node[TARGET]), self.plugins, "prompt"), "made_of_words", False):
            message = "explainer.without keeps words out of a prompt that is made of words."
            accepted = ["prompt=constrained", "prompt=hard_words"]
            raise UserError(message, given=f"prompt={node['name']}", accepted=accepted)
        for word in self.without:
            if word not in words:
                message = "The prompt has no such word, which explainer.without is to keep out."
                raise UserError(message, given=word, accepted=words)
        return [word for word in words if word not in self.without]

    def _beginning(self, effects: EffectsResult) -> Beginning:
        """The words of what raises the target, weighed as its own name where that was tested, else by the screen."""
        ranking = effects.rankings[0]
        every: list[ConceptEffect | Untested] = [*ranking.concepts, *ranking.untested]
        scores: dict[str, float] = {}
        raising = {concept.path: concept.over_all.score.value for concept in raised_by(ranking)}
        largest = max(raising.values(), default=1.0)
        for concept in every:
            effect = raising.get(concept.path)
            score = concept.screened or 0.0 if effect is None else OWN * effect / largest
            for word in content_words([concept.text]):
                scores[word] = max(scores.get(word, 0.0), score)
        words = content_words(self.own)
        return Beginning(words, {word: score for word, score in scores.items() if word not in words})

    def _phrase(self, concept: ConceptEffect) -> Phrase:
        """The concept as the vocabulary has it, or as one of its phrases that a sentence can say."""
        said = concept.text.casefold()
        known = (
            phrase for phrase in self.vocabulary.phrases if said in (phrase.text.casefold(), phrase.said.casefold())
        )
        kind = cast(Kind, {"word": "object", "modifier": "attribute"}.get(concept.kind, concept.kind))
        beside = Phrase(concept.text, kind, companion=kind == "object")
        return next(known, beside)

    def _captioner(self, segmenter: Any) -> Captioner | None:
        if self.settings.captions is None:
            return None
        if self.settings.captions == CLIP:
            return ClipCaptioner(segmenter, self.vocabulary)
        return ModelCaptioner(self.settings.captions, self.prior.device)

    def _photographs(self) -> Photographs | None:
        """The photographs that images are compared with, none of them loaded."""
        folder = self.settings.reference
        if folder is None:
            return None
        return photographs.find(folder, self.settings.images, self.run.config[CONTENTS]["evaluation.reference"])

    def _build(self, group: str, *arguments: Any) -> Any:
        return build(self.run.config[group], *arguments, plugins=self.plugins, where=group)


def raised_by(ranking: Ranking) -> list[ConceptEffect]:
    """The concepts that were tested and raise the target, the largest effect first."""
    return [one for one in ranking.ranked if one.over_all.significant and one.over_all.score.value > 0]


def notes_on_steps(curve: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the reader is to know of steps whose numbers were not finite at first."""
    anew = [str(row["step"]) for row in curve if "made_anew" in row]
    if not anew:
        return ()
    steps = f"step {anew[0]}" if len(anew) == 1 else f"{len(anew)} steps, the first of them {anew[0]},"
    return (
        f"At {steps} a loss or gradient was not finite at first: nothing of it was applied, and it was made anew with "
        "other noise and, from there on, half the learning rate.",
    )


def notes_on_words(without: Sequence[str]) -> tuple[str, ...]:
    """What the prompt was kept from saying."""
    return (f"The optimised prompt was kept from saying: {', '.join(without)}.",) if without else ()


def _evaluation_settings(node: Mapping[str, Any], plugins: Sequence[str]) -> Any:
    try:
        return build(node, plugins=plugins, where="evaluation")
    except ValueError as error:  # What its fields may be is known to the settings alone.
        raise UserError(str(error)) from error
