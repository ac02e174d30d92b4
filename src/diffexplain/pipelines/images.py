"""A method that finds images by optimising them, whose activation is then measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from diffexplain import memory
from diffexplain.classifiers.target_scores import TargetReader, same_answer
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.config.instantiate import TARGET, build
from diffexplain.errors import UserError
from diffexplain.evaluation import EvaluationSettings
from diffexplain.evaluation.activation import summarise
from diffexplain.evaluation.image_source import ImageSource, Seeds
from diffexplain.evaluation.pictures import examples
from diffexplain.evaluation.results import Activation, Evaluation, ObjectAbsence, Words
from diffexplain.explainers.natural_pictures import NATURAL
from diffexplain.pipelines.memory import halvings_recorded
from diffexplain.pipelines.parts import Parts
from diffexplain.pipelines.testing import PHOTOGRAPHS, find_photographs
from diffexplain.report import Model, Optimisation, Summary
from diffexplain.report.found_images import summarise_images, write_images_report
from diffexplain.report.load import METRICS
from diffexplain.runs.machine import device_kind
from diffexplain.runs.record import show
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

FOUND = "found images"
NO_WORDS = "the pictures were optimised themselves"


class ImagesPipeline:
    """Optimises pictures, and measures how far they activate the target; see `diffexplain.pipelines.Pipeline`.

    A run takes seconds to minutes, so nothing is kept of one that was stopped.
    """

    def __init__(self, run: Run, target: ResolvedTarget, trainer: Any, parts: Parts) -> None:
        self.run, self.target = run, target
        plugins = tuple(run.config["plugins"])
        self.device = torch.device(device_kind(trainer.accelerator))
        if trainer.devices != 1 or trainer.precision != "32-true":
            given = f"trainer.devices={trainer.devices}, trainer.precision={trainer.precision}"
            raise UserError("Images are optimised on one device, in 32-true.", given=given)
        self.method = build(run.config["explainer"], plugins=plugins, where="explainer")
        augmentation = run.config["augmentation"]
        named = TARGET in augmentation
        self.augmentation = build(augmentation, plugins=plugins, where="augmentation") if named else None
        self.photographs = find_photographs(run.config, NATURAL)

    def explain(self, classifier: Any, prior: Any, loggers: Sequence[Any]) -> None:
        self.classifier, self.prior = classifier.to(self.device), prior.to(self.device)
        pictures = None
        if self.photographs is not None:
            self.run.write_json(PHOTOGRAPHS, self.photographs.to_json())
            pictures = self.photographs.images(prior.image_size)
        # Nothing is kept of such a run, so that another batch size loses nothing.
        remedy = "Lower explainer.batch_size."
        with halvings_recorded(self.run, prior, "to make pictures"), memory.explained("to optimise pictures", remedy):
            self.found = self.method.explain(
                self.target, classifier, prior, self.run.draws, pictures=pictures, augmentation=self.augmentation
            )
        self.run.write_text(METRICS, "".join(json.dumps(row) + "\n" for row in self.found.curve))
        for row in self.found.curve:
            show(loggers, self.run.directory, row)

    def evaluate(self) -> None:
        """As many pictures of the prior are read beside those that were found, on seeds that no method saw."""
        count = len(self.found.images)
        settings = EvaluationSettings(images=count, batch_size=self.method.batch_size)
        studio = ImageSource(self.prior, self.run.draws)
        neutral = studio.images([settings.neutral_text], Seeds.SCORE, count)
        reader = TargetReader(self.classifier, self.target, settings.batch_size, self.device).calibrated(neutral)
        reading = reader.read(self.found.images, "an optimised picture")
        activating = [index for index in range(count) if reading.activates[index]]
        readings, baselines = [reading], list[Activation]()
        if self.target.class_name is not None:
            text = f"a photo of {class_phrase(self.target.class_name)}"
            named = reader.read(studio.images([text], Seeds.SCORE, count), f"the prompt {text!r}")
            readings.append(named)
            baselines.append(summarise("class name", text, named, studio.draws, settings))
        plain = reader.read(neutral, f"the prompt {settings.neutral_text!r}")
        readings.append(plain)
        baselines.append(summarise("neutral", settings.neutral_text, plain, studio.draws, settings))
        self.evaluation = Evaluation(
            found=summarise(FOUND, None, reading, studio.draws, settings),
            baselines=tuple(baselines),
            words=Words((), (), None, NO_WORDS),
            object_absence=ObjectAbsence(None, NO_WORDS),
            activating_images=len(activating),
            unit_threshold=reader.threshold,
            images_generated=studio.made,
            notes=() if self.photographs is None else tuple(self.photographs.notes()),
            examples=examples(self.found.images, reading, activating, None, (), count),
            same_answer=same_answer(readings, self.target.kind),
        )

    def report(self, *, classifier: Model, prior: Model, command: str) -> Summary:
        summary = summarise_images(
            self.evaluation,
            run=self.run,
            target=self.target,
            classifier=classifier,
            prior=prior,
            optimisation=Optimisation(self.method.steps, None, None),
            command=command,
        )
        write_images_report(self.run, summary, self.evaluation)
        return summary
