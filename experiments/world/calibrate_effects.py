"""How far effects on the embedded prior's pictures are off besides by chance: `effect_error.json` beside its weights.

    python -m experiments.world.calibrate_effects [--classes flagpole bee ...] [--outputs outputs/calibration]

Every concept of the hierarchy is put into the same pictures for classifiers whose true effects are known: the four
embedded ones, and some of ShortcutBench's development half. What a 95 % interval must allow for, on top of sampling, is
of each kind of concept the smallest standard deviation at which the intervals hold 95 of 100 true effects below 0.2; of
values (settings, looks) it has a part that grows with the largest effect among their rivals. Of the few larger effects,
and of sub-types of things with one, it is what squared errors leave besides, relative to that effect. A class that was
measured is not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path

import numpy as np
import torch

from diffexplain.classifiers import load_classifier
from diffexplain.concepts import Hierarchy
from diffexplain.diffusion import load_prior
from diffexplain.editing import Paired
from diffexplain.effects.engine import Engine, Studied, beside_of
from diffexplain.effects.estimation import PRIOR_ERROR_FILE, Beside, PriorError
from diffexplain.runs.run import Run
from diffexplain.target import Target
from diffexplain.weights import atomic, shipped
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.truth_table import truth_name
from experiments.shortcut_bench.bench import make_classifiers
from experiments.shortcut_bench.specification import ROOT, classifiers, halves
from experiments.world.common import WEIGHTS, prior_steps
from experiments.world.truth import ABSENT, THERE, TruthTable

CLASSES = ("flagpole", "bee", "dog_sled", "mushroom", "hourglass", "padlock", "yawl", "umbrella")
EMBEDDED = ("shortcut_cnn", "shortcut_vit", "fair_cnn", "fair_vit")
DEVELOPMENT = (
    "companion_dog_sled_cnn",
    "companion_dog_sled_vit",
    "subtype_bee_cnn",
    "subtype_dog_sled_vit",
    "setting_umbrella_cnn",
    "colour_bee_vit",
    "colour_hourglass_cnn",
    "texture_mushroom_cnn",
    "texture_mushroom_vit",
    "texture_umbrella_cnn",
    "texture_umbrella_vit",
    "weather_umbrella_vit",
    "weather_yawl_cnn",
    "place_padlock_cnn",
    "place_hourglass_vit",
)
"""Classifiers of ShortcutBench with something planted, of each kind but pairs."""
SEED = 31
IMAGES = 36
HOLDS = 0.95
NORMAL = 1.959964
SHARES = tuple(round(share, 3) for share in np.arange(0, 0.5, 0.025).tolist())
"""Of a rival's effect, that are tried."""


@dataclass(frozen=True)
class Case:
    """An effect: as measured, its true value, the half-width of its interval by sampling alone, and its concept.

    ``of_object``: the measured effect of the object that a sub-type is of; 0 of any other concept. ``of_rival``: of the
    values in a value's place, the largest measured effect in size, as `beside_of` bounds it; 0 of what has no rivals.
    """

    class_name: str
    classifier: str
    role: str
    name: str
    measured: float
    true: float
    half: float
    of_object: float
    of_rival: float

    @property
    def beside(self) -> Beside:
        """The effects beside this one."""
        return Beside(self.of_object, self.of_rival)

    def held(self, error: float) -> bool:
        """Whether the interval holds the true effect with so much error besides."""
        return abs(self.measured - self.true) <= self.width(error)

    def width(self, error: float) -> float:
        """Half of the interval with so much error besides."""
        return hypot(self.half, NORMAL * error)

    def error(self, absolute: float, of_rival: float) -> float:
        """Besides sampling, of a small effect."""
        return hypot(absolute, of_rival * self.of_rival)


def cases_of(class_name: str, outputs: Path) -> list[Case]:
    """All effects on one class's pictures; those that were measured before are read."""
    file = outputs / f"{class_name}.json"
    if file.is_file():
        return [Case(**case) for case in json.loads(file.read_text(encoding="utf-8"))]
    known = {one.name: one.class_name for one in classifiers()}
    folders = [ROOT / name for name in DEVELOPMENT if known[name] == class_name]
    folders += [resolve_folder(f"embedded:classifiers/{name}") for name in EMBEDDED]
    models = [load_classifier(str(folder)) for folder in folders]
    studied = [
        Studied(folder.name, model, Target.parse(f"class:{class_name}").resolve(model.labels))
        for folder, model in zip(folders, models, strict=True)
    ]
    engine, hierarchy = Engine(policy="uniform", images=IMAGES), Hierarchy.load("embedded:hierarchies/world.yaml")
    directory = outputs / "work" / class_name
    directory.mkdir(parents=True, exist_ok=True)
    editor = Paired(load_prior(folder="embedded:prior", steps=prior_steps()))
    population = engine.population(studied, editor, hierarchy, Run(directory, {"seed": SEED}, f"class:{class_name}"))
    shares = engine.share_out(population, range(len(studied)))
    composition, found = population.composition, []
    for who, (one, folder) in enumerate(zip(studied, folders, strict=True)):
        table = TruthTable.load(folder)
        ranking = engine.ranking(population, who, one, shares)
        scores = {concept.path: concept.over_all.score for concept in ranking.concepts}
        effects = {path: score.value for path, score in scores.items()}
        for path, score in scores.items():
            found.append(
                Case(
                    class_name,
                    one.name,
                    composition.role(path),
                    path[-1],
                    score.value,
                    table.effect(class_name, *truth_name(path)),
                    (score.high - score.low) / 2,
                    *beside_of(composition, path, effects.__getitem__),
                )
            )
    atomic.write_text(file, json.dumps([asdict(case) for case in found], indent=1) + "\n")
    return found


def smallest(cases: Sequence[Case], of_rival: float = 0.0) -> float:
    """The smallest of a hundred values at which the intervals hold as they should; the largest if none does."""
    grid = np.linspace(0, 0.2, 101)
    for value in grid:
        if np.mean([case.held(case.error(float(value), of_rival)) for case in cases]) >= HOLDS:
            return float(round(value, 4))
    return float(grid[-1])


def calibrated(cases: Sequence[Case]) -> PriorError:
    """The errors that small effects have, then the relative ones from large effects.

    Of values, what a rival's effect adds is that with which the intervals are the narrowest that hold.
    """
    small = [case for case in cases if abs(case.true) < THERE and abs(case.of_object) < THERE]
    of_role = {role: [case for case in small if case.role == role] for role in sorted({case.role for case in cases})}
    values = [role for role, those in of_role.items() if any(case.of_rival for case in those)]

    def width(of_rival: float) -> float:
        errors = {role: smallest(of_role[role], of_rival) for role in values}
        widths = [c.width(c.error(errors[role], of_rival)) for role in values for c in of_role[role]]
        return float(np.mean(widths))

    of_rival = min(SHARES, key=width)
    absolute = {role: smallest(those, of_rival) for role, those in of_role.items()}
    kinds = [case for case in cases if abs(case.true) < THERE <= abs(case.of_object)]
    large = [case for case in cases if abs(case.true) >= THERE]
    return PriorError(
        absolute,
        relative=share(large, [case.measured for case in large], absolute),
        of_object=share(kinds, [case.of_object for case in kinds], absolute),
        of_rival=of_rival,
        classifiers=len({case.classifier for case in cases}),
        effects=len(cases),
        steps=prior_steps(),
    )


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
    torch.set_num_threads(1)
    split = halves(classifiers())
    assert all(split[name] == "development" for name in DEVELOPMENT)
    make_classifiers(DEVELOPMENT, ROOT)
    cases = [case for name in options.classes for case in cases_of(name, options.outputs)]
    place, error = WEIGHTS / "prior" / PRIOR_ERROR_FILE, calibrated(cases)
    atomic.write_text(place, json.dumps(asdict(error), indent=2, sort_keys=True) + "\n")
    shipped.main()  # the list of checksums, by which runs know the file
    print(f"{place}\n{json.dumps(asdict(error), indent=2)}")
    told: list[tuple[Case, float]] = []  # with the error that the other classes' calibration gives it
    for name in options.classes:
        other = calibrated([case for case in cases if case.class_name != name])
        own = [case for case in cases if case.class_name == name]
        told += [(case, other.of(case.role, case.measured, case.beside).measured) for case in own]
    print("Calibrated on the other classes:")
    for name in options.classes:
        say(name, [pair for pair in told if pair[0].class_name == name])
    for name, low, high in (
        (f"within {ABSENT}", -1.0, ABSENT),
        ("between", ABSENT, THERE),
        (f"beyond {THERE}", THERE, 9.0),
    ):
        say(name, [pair for pair in told if low < abs(pair[0].true) <= high])


def say(name: str, told: Sequence[tuple[Case, float]]) -> None:
    """Print what the intervals hold, and how wide they are."""
    held, widths = [case.held(error) for case, error in told], [case.width(error) for case, error in told]
    print(f"{name}: {np.mean(held):.3f} of {len(held)} intervals hold, median half-width {np.median(widths):.3f}")


if __name__ == "__main__":
    main()
