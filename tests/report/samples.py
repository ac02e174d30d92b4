"""A run with known numbers: a flag that is spurious, a pole that is core, pictures of plain blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffexplain.evaluation.results import (
    Activation,
    Comparison,
    Control,
    ControlledElement,
    EditExample,
    Element,
    Estimate,
    Evaluation,
    Example,
    PhraseScore,
    Removal,
    Verdict,
    Words,
)
from diffexplain.report import Model, Optimisation, Summary, summarise
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

FLAGPOLE = ResolvedTarget("class", "class:flagpole", "class:flagpole", 0, "flagpole")
UNIT = ResolvedTarget("unit", "unit:layer4.2:12", "unit:layer4.2:12", module="layer4.2", channel=12)
NO_NUMBERS: dict[str, Any] = {
    "shown": None,
    "shown_neutral": None,
    "lift": None,
    "overlap": None,
    "removal": None,
}


def estimate(value: float, half: float = 0.05, n: int = 100) -> Estimate:
    return Estimate(value, value - half, value + half, n)


def removal(drop: float, adjusted_p: float = 0.001) -> Removal:
    return Removal(
        drop=estimate(drop, n=24),
        log_odds_drop=estimate(8 * drop, n=24),
        raw_drop=estimate(drop, n=24),
        null_drop=estimate(0.0, n=24),
        blur_drop=None,
        neutral_drop=None,
        took=estimate(0.9, n=24),
        p=adjusted_p / 3,
        adjusted_p=adjusted_p,
    )


def element(phrase: str, verdict: Verdict, drop: float | None, **changes: Any) -> Element:
    known = Element(
        phrase=phrase,
        kind="object",
        of=None,
        verdict=verdict,
        reason=None if drop is not None else "seen too rarely",
        shown=estimate(0.9, n=64),
        shown_neutral=estimate(0.1, n=64),
        lift=estimate(0.8, n=64),
        overlap=estimate(1.0 if verdict is Verdict.CORE else 0.0, n=60),
        removal=None if drop is None else removal(drop),
    )
    return replace(known, **changes)


def picture(seed: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def block(side: int, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def evaluation(side: int = 16, **changes: Any) -> Evaluation:
    masks = {"a flag": block(side, 1, 2, 3, 4), "a flagpole": block(side, 4, 8, 9, 2)}
    examples = tuple(
        Example(index, picture(index, side), 0.9, index != 3, masks if index % 2 == 0 else {}) for index in range(5)
    )
    edits = tuple(
        EditExample(
            phrase, index, picture(index, side), picture(index + 10, side), picture(index + 20, side),
            masks[phrase], 0.98, 0.31, 0.97,
        )
        for phrase in masks
        for index in (0, 2)
    )  # fmt: skip
    known = Evaluation(
        found=Activation("found prompt", None, Estimate(0.97, 0.92, 0.99, 100), estimate(0.95, 0.03)),
        baselines=(
            Activation("class name", "a photo of a flagpole", estimate(0.6), estimate(0.55)),
            Activation("neutral", "a photo", estimate(0.06), estimate(0.07)),
        ),
        words=Words(
            nearest=(("flag", "banner"), ("pole", "mast")),
            candidates=(PhraseScore("flag pole", estimate(0.875, n=8), estimate(0.9, n=8)),),
            best=Activation("best phrase", "flag pole", estimate(0.85, n=40), estimate(0.8, n=40)),
        ),
        elements=(
            element("a flag", Verdict.SPURIOUS, 0.67),
            element("a flagpole", Verdict.CORE, 0.19),
            element("a person", Verdict.UNDECIDED, None),
            element("a cloud", Verdict.NOT_RELEVANT, -0.004),
            element("a dog", Verdict.NOT_SEEN, None),
        ),
        object_absent=Estimate(0.4, 0.31, 0.5, 100),
        object_absent_reason=None,
        activating_images=97,
        unit_threshold=None,
        images_generated=640,
        notes=(),
        examples=examples,
        edits=edits,
    )
    return replace(known, **changes)


def control(flag: float = 0.0) -> Control:
    """A control that is activated by 8 of 100 pictures and answers to the flag by so much."""
    share, mean = Estimate(0.08, 0.04, 0.15, 100), estimate(0.083, 0.001)
    activation = tuple(
        Activation(name, text, share, mean)
        for name, text in (("found prompt", None), ("class name", "a photo of a flagpole"), ("neutral", "a photo"))
    )
    verdict = Verdict.SPURIOUS if flag else Verdict.NOT_RELEVANT
    elements = (
        ControlledElement("a flag", verdict, estimate(flag, n=24), 0.001 if flag else 1.0),
        ControlledElement("a flagpole", Verdict.NOT_RELEVANT, estimate(0.0, n=24), 1.0),
    )
    return Control("random_weights", activation, elements)


COMPARISONS = (
    Comparison("found prompt", None, "class name", estimate(0.37), 0.0002),
    Comparison("neutral", "a photo", "class name", estimate(-0.54), 0.0001),
)


def silent() -> Evaluation:
    """The evaluation of a prompt that activates nothing."""
    few = "0 of 100 images of the found prompt activate the target, fewer than the 8 needed"
    elements = tuple(
        replace(known, verdict=Verdict.UNDECIDED, reason=few, **NO_NUMBERS) for known in evaluation().elements
    )
    return evaluation(
        found=Activation("found prompt", None, Estimate(0.0, 0.0, 0.037, 100), estimate(0.03, 0.01)),
        words=Words((("flag",),), (), None, "no phrase was tried"),
        elements=elements,
        object_absent=None,
        object_absent_reason=few,
        activating_images=0,
        examples=tuple(replace(example, activates=False) for example in evaluation().examples),
        edits=(),
    )


def run_in(directory: Path, **changes: Any) -> Run:
    config: Mapping[str, Any] = {
        "target": "class:flagpole",
        "seed": 3,
        "force": False,
        "paths": {"outputs": str(directory)},
        "classifier": {"name": "world_shortcut_cnn"},
        "explainer": {"name": "diffexplainer", "steps": 3},
        "evaluation": {"margin": 0.02},
        **changes,
    }
    directory.mkdir(parents=True, exist_ok=True)
    run = Run(directory, config, "class:flagpole")
    rows = [{"step": step, "score": 0.2 * step, "smoothed": 0.1 * step, "loss": 1.0} for step in range(3)]
    run.write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return run


def summary_of(run: Run, found: Evaluation, target: ResolvedTarget = FLAGPOLE, name: str | None = None) -> Summary:
    return summarise(
        found,
        run=run,
        target=target,
        classifier=Model(name or "world_shortcut_cnn", "embedded:classifiers/shortcut_cnn", {"classes": 12}),
        prior=Model("world", "embedded:prior", {"image_size": 64}),
        optimisation=Optimisation(steps=3, best_step=1, stopped=None),
        command="python run.py target=class:flagpole",
    )
