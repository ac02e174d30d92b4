"""A run with known numbers: a flag that is spurious, a pole that is core, pictures of plain blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffexplain.effects.results import (
    Budget,
    ConceptEffect,
    Effect,
    EffectExample,
    EffectsResult,
    ObjectItself,
    Ranking,
    Untested,
    Verdict,
)
from diffexplain.effects.verdicts import WIDE
from diffexplain.evaluation.results import (
    Activation,
    Comparison,
    Control,
    Evaluation,
    Example,
    ObjectAbsence,
    PhraseScore,
    Words,
)
from diffexplain.report import Model, Optimisation, Summary, summarise, write_report
from diffexplain.runs.run import Run
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget

FLAGPOLE = ResolvedTarget("class", "class:flagpole", "class:flagpole", 0, "flagpole")
UNIT = ResolvedTarget("unit", "unit:layer4.2:12", "unit:layer4.2:12", module="layer4.2", channel=12)


def estimate(value: float, half: float = 0.05, n: int = 100) -> Estimate:
    return Estimate(value, value - half, value + half, n)


def effect(value: float, half: float = 0.05, n: int = 24, significant: bool | None = None) -> Effect:
    """Beyond doubt where the interval lies beyond the margin, unless said otherwise."""
    score = estimate(value, half, n)
    significant = abs(value) - half > 0.02 if significant is None else significant
    p = 0.0003 if significant else 0.5
    return Effect(score, estimate(8 * value, 8 * half, n), score, p, 3 * p if significant else 1.0, significant)


def concept(path: str, text: str, verdict: Verdict, value: float, half: float = 0.05, **changes: Any) -> ConceptEffect:
    """A concept at ``path``, written as "companion/flag", with an effect of this size."""
    inside = {Verdict.CORE: estimate(0.9), Verdict.SPURIOUS: estimate(0.0)}.get(verdict)
    reason = WIDE if verdict is Verdict.UNDECIDED else None
    known = ConceptEffect(
        tuple(path.split("/")),
        text,
        "object",
        effect(value, half),
        None,
        estimate(0.9, n=24),
        None,
        verdict,
        reason,
        inside,
        0.01,
    )
    return replace(known, **changes)


FLAG = concept("companion/flag", "a flag", Verdict.SPURIOUS, 0.67)
POLE = concept("part/pole", "a pole", Verdict.CORE, 0.19)
CLOUD = concept("companion/cloud", "a cloud", Verdict.NO_EFFECT, -0.004, 0.01)
PERSON = concept("companion/person", "a person", Verdict.UNDECIDED, 0.03, 0.1)
SMALL = concept("size/small", "small", Verdict.APPEARANCE, -0.47, kind="attribute")
LARGE = concept("size/large", "large", Verdict.APPEARANCE, 0.47, kind="attribute")
DOG = Untested(("companion", "dog"), "a dog", "object", "its score in the screen was not among the largest")
ITSELF = ObjectItself("a flagpole", effect(0.32), True, Estimate(0.5, 0.31, 0.69, 24), None)


def ranking(*concepts: ConceptEffect, **changes: Any) -> Ranking:
    known = Ranking("world_shortcut_cnn", "class:flagpole", concepts, estimate(0.5), None, (), ITSELF, (DOG,))
    return replace(known, **changes)


def effects(*concepts: ConceptEffect, **changes: Any) -> EffectsResult:
    """A flag that is spurious, a pole that is core, a cloud and a person; or the given concepts."""
    rankings = (ranking(*(concepts or (FLAG, POLE, CLOUD, PERSON))),)
    known = EffectsResult("a flagpole", rankings, (), Budget("screened", 96, 0, 120, 384, 96, 144, 96))
    return replace(known, **changes)


def effect_examples(side: int = 16) -> tuple[EffectExample, ...]:
    return tuple(
        EffectExample(path, index, picture(index + 10, side), picture(index, side), 0.31, 0.98)
        for path in (FLAG.path, POLE.path)
        for index in (0, 2)
    )


def picture(seed: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def block(side: int, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def evaluation(side: int = 16, **changes: Any) -> Evaluation:
    masks = {"a flag": block(side, 1, 2, 3, 4), "a pole": block(side, 4, 8, 9, 2)}
    examples = tuple(
        Example(index, picture(index, side), 0.9, index != 3, masks if index % 2 == 0 else {}) for index in range(5)
    )
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
        object_absence=ObjectAbsence(
            Estimate(0.4, 0.31, 0.5, 100), None, Estimate(0.96, 0.9, 0.99, 50), Estimate(0.94, 0.84, 0.98, 50)
        ),
        activating_images=97,
        unit_threshold=None,
        images_generated=640,
        notes=(),
        examples=examples,
    )
    return replace(known, **changes)


def control() -> Control:
    """A control that is activated by 8 of 100 pictures."""
    share, mean = Estimate(0.08, 0.04, 0.15, 100), estimate(0.083, 0.001)
    activation = tuple(
        Activation(name, text, share, mean)
        for name, text in (("found prompt", None), ("class name", "a photo of a flagpole"), ("neutral", "a photo"))
    )
    return Control("random_weights", activation)


def idle(flag: float = 0.0) -> Ranking:
    """What the control makes of the edits: it answers to the flag by so much, and to nothing else."""
    return ranking(
        replace(FLAG, over_all=effect(flag), verdict=Verdict.SPURIOUS if flag else Verdict.NO_EFFECT),
        replace(POLE, over_all=effect(0.0, 0.01), verdict=Verdict.NO_EFFECT),
        classifier="control",
        itself=None,
        untested=(),
    )


COMPARISONS = (
    Comparison("found prompt", None, "class name", estimate(0.37), 0.0002),
    Comparison("neutral", "a photo", "class name", estimate(-0.54), 0.0001),
)


def silent() -> Evaluation:
    """The evaluation of a prompt that activates nothing."""
    few = "0 of 100 images of the found prompt activate the target, fewer than the 8 needed"
    return evaluation(
        found=Activation("found prompt", None, Estimate(0.0, 0.0, 0.037, 100), estimate(0.03, 0.01)),
        words=Words((("flag",),), (), None, "no phrase was tried"),
        object_absence=ObjectAbsence(None, few),
        activating_images=0,
        examples=tuple(replace(example, activates=False) for example in evaluation().examples),
    )


def run_in(directory: Path, **changes: Any) -> Run:
    config: Mapping[str, Any] = {
        "target": "class:flagpole",
        "seed": 3,
        "force": False,
        "paths": {"outputs": str(directory)},
        "classifier": {"name": "world_shortcut_cnn"},
        "explainer": {"name": "diffexplainer", "steps": 3},
        "effects": {"name": "screened", "margin": 0.02},
        **changes,
    }
    directory.mkdir(parents=True, exist_ok=True)
    run = Run(directory, config, "class:flagpole")
    rows = [{"step": step, "score": 0.2 * step, "smoothed": 0.1 * step, "loss": 1.0} for step in range(3)]
    run.write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return run


TESTED = effects()
"""What was tested, where a test does not say otherwise."""


def summary_of(
    run: Run,
    found: Evaluation | None,
    target: ResolvedTarget = FLAGPOLE,
    name: str | None = None,
    effects: EffectsResult | None = TESTED,
) -> Summary:
    return summarise(
        found,
        effects,
        run=run,
        target=target,
        classifier=Model(name or "world_shortcut_cnn", "embedded:classifiers/shortcut_cnn", {"classes": 12}),
        prior=Model("world", "embedded:prior", {"image_size": 64}),
        optimisation=None if found is None else Optimisation(steps=3, best_step=1, stopped=None),
        command="python run.py target=class:flagpole",
        same_answer=None if found is None else found.same_answer,
    )


def written(run: Run, summary: Summary, found: Evaluation) -> Path:
    """The page of a run with pictures of both kinds."""
    return write_report(run, summary, examples=found.examples, effects=effect_examples() if summary.effects else ())
