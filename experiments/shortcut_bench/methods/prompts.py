"""Methods that optimise a prompt: each classifier is explained by the run that `python run.py` would make.

Pictures that depend on no classifier (of single words, of the class's name, neutral ones) are made once for all
classifiers of a class; the account counts them for each.

A concept's score is the effect of taking it out of the activating pictures, where that was tried; where it was not, a
little of how much more often the pictures show it than neutral ones do. Reported is what the run calls spurious.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from explained import Counter, Explained, Finding, SharedPictures, Studied, texts

from diffexplain import configuration
from diffexplain.app import Parts, make
from diffexplain.evaluation.results import Element, Verdict
from diffexplain.report.summary import Summary

UNTESTED = 1e-3
"""What was not taken out is ordered by how often it is seen, but close to no effect."""

EVALUATION = {
    "images": 60, "random_images": 10, "candidates": 0, "looked_images": 32, "edited_images": 24,
    "neutral_edited_images": 0, "elements_tried": 4, "attributes_tried": 2, "resamples": 1000,
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
            yield Explained(
                self.name,
                name,
                findings_of(summary),
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


def findings_of(summary: Summary) -> tuple[Finding, ...]:
    """One finding for each concept; what the run asks nothing about stays at no effect."""
    elements = {element.phrase: element for element in summary.elements}
    found = []
    for value, text in texts().items():
        element = elements.get(text)
        found.append(Finding(value, 0.0, reported=False) if element is None else _finding(value, element))
    return tuple(found)


def _finding(value: Any, element: Element) -> Finding:
    lift = 0.0 if element.lift is None else element.lift.value
    if element.removal is None:
        return Finding(value, UNTESTED * lift, reported=False)
    drop = element.removal.drop
    spurious = element.verdict is Verdict.SPURIOUS
    return Finding(value, drop.value + UNTESTED * lift, spurious, drop.value, drop.low, drop.high)


def absence(summary: Summary) -> float | None:
    """Share of the activating pictures without the class's own object."""
    share = None if summary.object_absence is None else summary.object_absence.share
    return None if share is None else share.value


def extra_of(summary: Summary) -> dict[str, Any]:
    """Words, activation score, steps and what is called core."""
    words = [] if summary.words is None else [token[0] for token in summary.words.nearest]
    return {
        "activation": summary.found.share.value,
        "words": words,
        "steps": None if summary.optimisation is None else summary.optimisation.steps,
        "core": [element.phrase for element in summary.having(Verdict.CORE)],
    }
