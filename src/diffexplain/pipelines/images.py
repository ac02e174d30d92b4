"""A method that finds images by optimising them, whose activation is then measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from diffexplain import memory
from diffexplain.classifiers.target_scores import TargetReader, same_answer
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.config.instantiate import TARGET, build
from diffexplain.errors import UserError
from diffexplain.evaluation import EvaluationSettings
from diffexplain.evaluation.image_source import ImageSource, Seeds, examples
from diffexplain.evaluation.prompt_scores import CLASS_NAME, NEUTRAL, Scorer
from diffexplain.evaluation.results import Evaluation, ObjectAbsence, Words
from diffexplain.explainers.natural_pictures import NATURAL
from diffexplain.pipelines.memory import halvings_recorded
from diffexplain.pipelines.parts import Parts
from diffexplain.pipelines.testing import PHOTOGRAPHS, find_photographs
from diffexplain.report import Model, Optimisation, Summary, summarise, write_report
from diffexplain.report.load import METRICS
from diffexplain.runs.machine import device_kind
from diffexplain.runs.record import show
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

FOUND = "found images"
NO_WORDS = "the pictures were optimised themselves"


class ImagesPipeline:
    """Optimises pictures, and measures how far they activate the target; see `diffexplain.pipelines.pipeline`.

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
        studio, name = ImageSource(self.prior, self.run.draws), self.target.class_name
        neutral = studio.images([settings.neutral_text], Seeds.SCORE, count)
        reader = TargetReader(self.classifier, self.target, settings.batch_size, self.device).calibrated(neutral)
        scorer = Scorer(studio, reader, None, settings)
        rows = [scorer.read(FOUND, None, self.found.images)]
        if name is not None:
            rows.append(scorer.score(CLASS_NAME, f"a photo of {class_phrase(name)}"))
        rows.append(scorer.read(NEUTRAL, settings.neutral_text, neutral))
        found, readings = rows[0].reading, [row.reading for row in rows]
        activations = [row.activation(studio.draws, settings) for row in rows]
        self.evaluation = Evaluation(
            found=activations[0],
            baselines=tuple(activations[1:]),
            words=Words((), (), None, NO_WORDS),
            object_absence=ObjectAbsence(None, NO_WORDS),
            activating_images=int(found.activates.sum()),
            unit_threshold=reader.threshold,
            images_generated=studio.made,
            notes=() if self.photographs is None else tuple(self.photographs.notes()),
            examples=examples(self.found.images, found, np.flatnonzero(found.activates).tolist(), None, (), count),
            same_answer=same_answer(readings, self.target.kind),
        )

    def report(self, *, classifier: Model, prior: Model, command: str) -> Summary:
        summary = summarise(
            self.evaluation,
            None,
            run=self.run,
            target=self.target,
            classifier=classifier,
            prior=prior,
            optimisation=Optimisation(self.method.steps, None, None),
            command=command,
            same_answer=self.evaluation.same_answer,
        )
        summary = replace(summary, words=None, object_absence=None)  # No prompt makes these pictures.
        write_report(self.run, summary, examples=self.evaluation.examples)
        return summary
