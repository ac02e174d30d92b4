"""Whole runs: each classifier is explained by the run that `python run.py` would make, its prompt and all.

Its concepts are those of `default.py`, at the price of each classifier's own optimisation; what the prompt adds is the
share of its pictures without the object. Pictures that depend on no classifier (of single words, of the class's name,
neutral ones) are made once for all classifiers of a class; the account counts them for each.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffexplain.app import make
from diffexplain.config import configuration
from diffexplain.pipelines.parts import Parts
from diffexplain.report.summary import Summary
from experiments.shortcut_bench.explained import Counter, Explained, SharedPictures, Studied
from experiments.shortcut_bench.methods.edits import findings_of

EVALUATION = {
    "images": 60, "random_images": 10, "candidates": 0, "looked_images": 32, "resamples": 1000,
}  # fmt: skip
"""What is evaluated of each run: less than by default, and nothing that the benchmark does not read."""


class Prompts:
    """DiffExplainer with one kind of prompt.

    Args:
        name: in the tables.
        overrides: what distinguishes it from the default run.
    """

    needs: tuple[str, ...] = ()
    shares_edits = False

    def __init__(self, name: str, *overrides: str) -> None:
        self.name = name
        self.overrides = overrides

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        parts = Parts()
        known: SharedPictures | None = None
        for one in studied:
            name = one.specification.name
            started = time.monotonic()
            outputs = folder / self.name / name
            # Half a run's cost would be counted of a run that goes on.
            shutil.rmtree(outputs, ignore_errors=True)
            config = configuration.compose(self._overrides(one, seed, outputs))
            classifier = parts.classifier(config["classifier"], ())
            prior = parts.build("diffusion", config["diffusion"], ())
            known = known or SharedPictures(prior)
            known.counter = counter = Counter(prior, classifier)
            with counter.counting(), known.sharing():
                summary = make(config, parts).summary
            assert summary is not None
            assert summary.effects is not None
            yield Explained(
                self.name,
                name,
                findings_of(summary.effects.rankings[0]),
                counter.spent(time.monotonic() - started),
                absence(summary),
                extra_of(summary),
            )

    def _overrides(self, one: Studied, seed: int, outputs: Path) -> list[str]:
        evaluation = [f"evaluation.{key}={value}" for key, value in EVALUATION.items()]
        return [
            "classifier=world_shortcut_cnn",
            f"classifier.name={one.specification.name}",
            f"classifier.folder={one.folder}",
            f"classifier.labels={one.folder / 'labels.json'}",
            *self.overrides,
            f"target=class:{one.specification.class_name}",
            f"seed={seed}",
            "logger=local",
            "trainer.progress=none",
            f"paths.outputs={outputs}",
            *evaluation,
        ]


def absence(summary: Summary) -> float | None:
    """Share of the activating pictures without the class's own object."""
    share = None if summary.object_absence is None else summary.object_absence.share
    return None if share is None else share.value


def extra_of(summary: Summary) -> dict[str, Any]:
    """Words, activation score and steps."""
    words = [] if summary.words is None else [token[0] for token in summary.words.nearest]
    return {
        "activation": summary.found.share.value,
        "words": words,
        "steps": None if summary.optimisation is None else summary.optimisation.steps,
    }
