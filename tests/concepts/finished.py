"""A finished run of DiffExplainer, as far as its summary goes: which concepts it tested, and what they came to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffexplain.effects.results import (
    Budget,
    ConceptEffect,
    Effect,
    EffectsResult,
    ObjectItself,
    Ranking,
    Untested,
    Verdict,
)
from diffexplain.evaluation.results import Activation, Evaluation, ObjectAbsence, Words
from diffexplain.report import Model, Optimisation, Summary, summarise
from diffexplain.runs.run import Run
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget

FLAGPOLE = ResolvedTarget("class", "class:flagpole", "class-flagpole", 0, "flagpole")
NEAREST = (("flag", "banner"), ("pole", "mast"))


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.02, value + 0.02, 24)


def concept(path: str, text: str, kind: str, value: float, verdict: Verdict) -> ConceptEffect:
    """An effect of ``value``; the path as "companion > flag"."""
    found = verdict not in (Verdict.NO_EFFECT, Verdict.UNDECIDED)
    p = 0.001 if found else 1.0
    effect = Effect(estimate(value), estimate(8 * value), estimate(value), p, p, found)
    return ConceptEffect(tuple(path.split(" > ")), text, kind, effect, None, None, None, verdict)


FLAG = concept("companion > flag", "a flag", "object", 0.6, Verdict.SPURIOUS)
STRIPED = concept("companion > flag > striped", "a striped flag", "attribute", 0.3, Verdict.SPURIOUS)
DOG = concept("companion > dog", "a dog", "object", -0.3, Verdict.SPURIOUS)
SNOW = concept("setting > snow", "in the snow", "setting", 0.03, Verdict.UNDECIDED)
LARGE = concept("size > large", "large", "attribute", 0.4, Verdict.APPEARANCE)
CLOUD = concept("companion > cloud", "a cloud", "object", 0.0, Verdict.NO_EFFECT)
TREE = Untested(("companion", "tree"), "a tree", "object", "its score in the screen is below those that were tested")


def finished(
    folder: Path,
    *concepts: ConceptEffect,
    untested: Sequence[Untested] = (TREE,),
    nearest: Sequence[tuple[str, ...]] = NEAREST,
    vocabulary: str = "embedded:vocabulary.yaml",
    command: str = "python run.py target=class:flagpole",
) -> Summary:
    """Write ``summary.json`` of a run that found these into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "target": FLAGPOLE.text,
        "seed": 3,
        "classifier": {"name": "world_shortcut_cnn", "vocabulary": vocabulary},
        "explainer": {"name": "diffexplainer", "steps": 3},
    }
    itself = ObjectItself("a flagpole", None, None, None, "this editor does not exchange the object")
    ranking = Ranking("world_shortcut_cnn", FLAGPOLE.text, concepts, estimate(0.3), None, (), itself, tuple(untested))
    evaluation = Evaluation(
        found=Activation("found prompt", None, estimate(0.9), estimate(0.9)),
        baselines=(),
        words=Words(tuple(nearest), (), None, "no phrase was tried"),
        object_absence=ObjectAbsence(estimate(0.4), None, estimate(0.95), estimate(0.95)),
        activating_images=90,
        unit_threshold=None,
        images_generated=640,
        notes=(),
        examples=(),
    )
    summary = summarise(
        evaluation,
        EffectsResult("a flagpole", (ranking,), (), Budget("screened", 100, 0, 200, 300, 400, 500, 96)),
        run=Run(folder, config, FLAGPOLE.text),
        target=FLAGPOLE,
        classifier=Model("world_shortcut_cnn", "embedded:classifiers/shortcut_cnn", {"classes": 12}),
        prior=Model("world", "embedded:prior", {"image_size": 64}),
        optimisation=Optimisation(steps=3, best_step=1, stopped=None),
        command=command,
    )
    (folder / "summary.json").write_text(summary.to_json())
    return summary
