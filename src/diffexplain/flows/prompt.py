"""A method that finds a prompt, whose images are then evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from diffexplain.building import TARGET, build
from diffexplain.descriptions import describe_optimisation
from diffexplain.errors import UserError
from diffexplain.evaluation import Vocabulary, evaluate
from diffexplain.flows.memory import halvings_recorded
from diffexplain.prompts import content_words
from diffexplain.report import Model, Summary, summarise, write_report
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

if TYPE_CHECKING:
    from diffexplain.app import Parts


class PromptFlow:
    """Optimises a prompt, and measures what its images show; see `diffexplain.flows.Flow`."""

    def __init__(self, run: Run, target: ResolvedTarget, trainer: Any, parts: Parts) -> None:
        self.run, self.target, self.trainer, self.parts = run, target, trainer, parts
        self.plugins = tuple(run.config["plugins"])
        classifier, augmentation = run.config["classifier"], run.config["augmentation"]
        self.vocabulary = Vocabulary.load(classifier["vocabulary"], classifier.get("more_phrases"))
        self.settings = _evaluation_settings(run.config["evaluation"], self.plugins)
        prompt = partial(build, run.config["prompt"], plugins=self.plugins, where="prompt")
        self.explainer = self._build("explainer", prompt)
        self.augmentation = self._build("augmentation") if TARGET in augmentation else None
        self.gradient = self._build("gradient")
        self.memory = self._build("memory")

    def explain(self, classifier: Any, prior: Any, loggers: Sequence[Any]) -> None:
        self.classifier, self.prior = classifier, prior
        self.explanation = self.explainer.explain(
            self.target,
            classifier,
            prior,
            self.run,
            vocabulary=content_words(phrase.said for phrase in self.vocabulary.phrases),
            augmentation=self.augmentation,
            gradient=self.gradient,
            memory=self.memory,
            trainer=self.trainer,
            loggers=loggers,
        )

    def evaluate(self) -> None:
        segmenter = self.parts.build("segmenter", self.run.config["segmenter"], self.plugins)
        segmenter.to(self.prior.device)
        with halvings_recorded(self.run, self.prior, "to evaluate: lower evaluation.batch_size"):
            self.evaluation = evaluate(
                self.explanation,
                self.target,
                self.classifier,
                self.prior,
                segmenter,
                self.vocabulary,
                self.settings,
                self.run.draws,
            )

    def report(self, *, classifier: Model, prior: Model, command: str) -> Summary:
        summary = summarise(
            self.evaluation,
            run=self.run,
            target=self.target,
            classifier=classifier,
            prior=prior,
            optimisation=describe_optimisation(self.explanation),
            command=command,
        )
        write_report(self.run, summary, self.evaluation)
        return summary

    def _build(self, group: str, *arguments: Any) -> Any:
        return build(self.run.config[group], *arguments, plugins=self.plugins, where=group)


def _evaluation_settings(node: Mapping[str, Any], plugins: Sequence[str]) -> Any:
    try:
        return build(node, plugins=plugins, where="evaluation")
    except ValueError as error:  # What its fields may be is known to the settings alone.
        raise UserError(str(error)) from error
