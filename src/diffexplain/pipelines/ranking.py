"""A method that ranks concepts by the effect of editing them into images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffexplain.config.instantiate import build
from diffexplain.errors import UserError
from diffexplain.pipelines.memory import notes_on_memory
from diffexplain.pipelines.parts import Parts
from diffexplain.pipelines.testing import Testing
from diffexplain.report import Model, Summary, summarise, write_report
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget


class RankingPipeline:
    """Has concepts proposed, edits them into images, and ranks them; see `diffexplain.pipelines.pipeline`."""

    def __init__(self, run: Run, target: ResolvedTarget, trainer: Any, parts: Parts) -> None:
        if trainer.precision != "32-true":
            raise UserError("Effects are measured in 32-true.", given=f"trainer.precision={trainer.precision}")
        self.run, self.target = run, target
        # A method that is its discovery alone has its settings there.
        where = "discovery" if "discovery" in run.config else "explainer"
        method = build(run.config[where], plugins=tuple(run.config["plugins"]), where=where)
        self.testing = Testing(run, target, trainer, parts, method)

    def explain(self, classifier: Any, prior: Any, loggers: Sequence[Any]) -> None:
        self.result = self.testing.effects(classifier, prior)

    def evaluate(self) -> None:
        self.examples = self.testing.examples()

    def report(self, *, classifier: Model, prior: Model, command: str) -> Summary:
        summary = summarise(
            None,
            self.result,
            run=self.run,
            target=self.target,
            classifier=classifier,
            prior=prior,
            command=command,
            notes=(*self.testing.notes(), *notes_on_memory(self.run)),
            same_answer=self.testing.same_answer(),
        )
        write_report(self.run, summary, effects=self.examples)
        return summary
