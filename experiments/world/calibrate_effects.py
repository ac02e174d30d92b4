"""How far effects on the embedded prior's pictures are off besides by chance: `effect_error.json` beside its weights.

    python -m experiments.world.calibrate_effects [--classes flagpole bee dog_sled] [--outputs outputs]

Every concept of the hierarchy is put into the same pictures for the four embedded classifiers, whose true effects are
known. What a 95 % interval must allow for, on top of sampling, is of each kind of concept the smallest standard
deviation at which the intervals hold 95 of 100 true effects below 0.2, sub-types of things with a larger effect apart.
Of these and of the few larger effects, which are too few for that, it is what their squared errors leave besides,
relative to the thing's effect and to their own. Runs that are there are not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path

import numpy as np

from diffexplain.app import make
from diffexplain.concepts import Hierarchy
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.config import configuration
from diffexplain.editing import Composition
from diffexplain.effects.estimation import PRIOR_ERROR_FILE, PriorError
from diffexplain.pipelines.parts import Parts
from diffexplain.weights import atomic
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.truth_table import truth_name
from experiments.world.common import WEIGHTS
from experiments.world.truth import THERE, TruthTable

CLASSES = ("flagpole", "bee", "dog_sled")
CLASSIFIERS = ("shortcut_cnn", "shortcut_vit", "fair_cnn", "fair_vit")
SEED = 31
IMAGES = 36
HOLDS = 0.95
NORMAL = 1.959964


@dataclass(frozen=True)
class Case:
    """An effect: as measured, its true value, the half-width of its interval by sampling alone, and its concept.

    ``of_object``: the measured effect of the object that a sub-type is of; 0 of any other concept.
    """

    class_name: str
    classifier: str
    role: str
    name: str
    measured: float
    true: float
    half: float
    of_object: float

    def held(self, error: float) -> bool:
        """Whether the interval holds the true effect with so much error besides."""
        return abs(self.measured - self.true) <= hypot(self.half, NORMAL * error)


def cases_of(class_name: str, outputs: Path, parts: Parts) -> list[Case]:
    """All effects on one class's pictures."""
    first, *others = (f"world_{name}" for name in CLASSIFIERS)
    config = configuration.compose(
        [
            f"target=class:{class_name}",
            f"classifier={first}",
            f"compare=[{','.join(others)}]",
            "explainer=diffex",
            "explainer.beam=0",
            "effects.policy=uniform",
            f"effects.images={IMAGES}",
            f"seed={SEED}",
            "logger=local",
            f"paths.outputs={outputs}",
        ]
    )
    summary = make(config, parts).summary
    assert summary is not None
    assert summary.effects is not None
    composition = Composition(Hierarchy.load("embedded:hierarchies/world.yaml"), class_phrase(class_name))
    found = []
    for name, ranking in zip(CLASSIFIERS, summary.effects.rankings, strict=True):
        table = TruthTable.load(resolve_folder(f"embedded:classifiers/{name}"))
        effect_of = {concept.path: concept.over_all.score.value for concept in ranking.concepts}
        for concept in ranking.concepts:
            score = concept.over_all.score
            found.append(
                Case(
                    class_name,
                    name,
                    composition.role(concept.path),
                    concept.path[-1],
                    score.value,
                    table.effect(class_name, *truth_name(concept.path)),
                    (score.high - score.low) / 2,
                    effect_of.get(composition.object_of(concept.path) or (), 0.0),
                )
            )
    return found


def smallest(cases: Sequence[Case]) -> float:
    """The smallest of a hundred values at which the intervals hold as they should; the largest if none does."""
    grid = np.linspace(0, 0.2, 101)
    for value in grid:
        if np.mean([case.held(float(value)) for case in cases]) >= HOLDS:
            return float(round(value, 4))
    return float(grid[-1])


def calibrated(cases: Sequence[Case], steps: int) -> PriorError:
    """The error of each role from small effects, then the relative ones from large effects."""
    roles = sorted({case.role for case in cases})
    known = [case for case in cases if abs(case.true) < THERE]
    kinds = [case for case in known if abs(case.of_object) >= THERE]
    small = [case for case in known if abs(case.of_object) < THERE]
    absolute = {role: smallest([case for case in small if case.role == role]) for role in roles}
    large = [case for case in cases if abs(case.true) >= THERE]
    relative = share(large, [case.measured for case in large], absolute)
    of_object = share(kinds, [case.of_object for case in kinds], absolute)
    return PriorError(absolute, relative, of_object, len(CLASSIFIERS), len(cases), steps)


def share(cases: Sequence[Case], sizes: Sequence[float], absolute: Mapping[str, float]) -> float:
    """What squared errors leave besides sampling and the absolute error, as a share of these sizes."""
    left = sum((c.measured - c.true) ** 2 - (c.half / NORMAL) ** 2 - absolute[c.role] ** 2 for c in cases)
    return round((max(0.0, left) / sum(size**2 for size in sizes)) ** 0.5, 4) if cases else 0.0


def main() -> None:
    """Measure, fit, write, and print what the intervals would have held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=list(CLASSES), metavar="class")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/calibration"))
    options = parser.parse_args()
    place = WEIGHTS / "prior" / PRIOR_ERROR_FILE
    place.unlink(missing_ok=True)  # A calibration is measured without one.
    parts = Parts()
    cases = [case for name in options.classes for case in cases_of(name, options.outputs, parts)]
    steps = int(configuration.compose([])["diffusion"]["steps"])
    error = calibrated(cases, steps)
    atomic.write_text(place, json.dumps(asdict(error), indent=2, sort_keys=True) + "\n")
    print(f"{place}\n{json.dumps(asdict(error), indent=2)}")
    for name in options.classes:  # What the others' calibration holds of this class.
        left = [case for case in cases if case.class_name == name]
        rest = [case for case in cases if case.class_name != name]
        other = calibrated(rest, steps) if rest else error
        held = [case.held(other.of(case.role, case.measured, case.of_object).measured) for case in left]
        large = [hold for case, hold in zip(left, held, strict=True) if abs(case.true) >= THERE]
        print(
            f"{name}: {np.mean(held):.3f} of {len(held)} intervals hold, calibrated on the other classes; "
            f"of effects of {THERE} or more {sum(large)} of {len(large)}"
        )


if __name__ == "__main__":
    main()
