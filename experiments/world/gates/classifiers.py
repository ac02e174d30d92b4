"""The classifiers' gates: accuracy, and what the truth tables say they learned."""

from __future__ import annotations

import numpy as np

from diffexplain.classifiers import Classifier, load_classifier
from diffexplain.errors import UserError
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.held_out import scenes_and_seeds
from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import SUBJECTS
from experiments.world.gates.row import Row, at_least, at_most, missing
from experiments.world.truth import TruthTable, contrasts, effects, logits_of, measure_logits
from experiments.world.worlds import CLASSIFIER_WORLDS

SCENES = 2000
ACCURACY_GATE = 0.97
LARGEST_FAIR_EFFECT = 0.02
SHORTCUT_GATE = 0.25
PLANTED = (
    ("flagpole", (("companion", "flag"),)),
    ("bee", (("companion", "flower"),)),
    ("dog_sled", (("setting", "snow"), ("companion", "dog"))),
)
"""Class and the attribute values of which at least one must have been learned."""
AGAIN_SCENES = 60
AGAIN_SEED = 77
AGAIN_TOLERANCE = 0.1
"""Between effects measured from 500 and from 60 pairs: 95 % intervals of 60 pairs reach about that far."""


def accuracy(classifier: Classifier, world: World) -> float:
    """Share of held-out scenes of a world that the classifier gives their class."""
    scenes, seeds = scenes_and_seeds(SCENES, stream=6, world=world)
    truth = np.array([SUBJECTS.index(scene.subject) for scene in scenes])
    return float((logits_of(classifier, render_images(scenes, seeds)).argmax(1) == truth).mean())


def classifier_rows() -> list[Row]:
    """The rows of all four; one that cannot be loaded is reported and does not hide the others."""
    rows: list[Row] = []
    for name, world in CLASSIFIER_WORLDS.items():
        try:
            rows += rows_of(name, world)
        except UserError as error:
            rows.append(missing(name, str(error)))
    return rows


def rows_of(name: str, world: World) -> list[Row]:
    """One classifier's accuracy, gated effects, and whether its truth table still holds."""
    folder = resolve_folder(f"embedded:classifiers/{name}")
    classifier = load_classifier(str(folder))
    table = TruthTable.load(folder)
    rows = [at_least(name, "accuracy in its own world", accuracy(classifier, world), ACCURACY_GATE, SCENES)]
    rows += shortcut_rows(name, table) if world.shortcuts else [fair_row(name, table)]
    rows += again_rows(name, classifier, table)
    rows.append(at_least(name, "truth table is of these weights", float(table.fits(folder)), 1.0, 1))
    return rows


def fair_row(name: str, table: TruthTable) -> Row:
    """The largest effect of any companion or setting on any class."""
    found = [
        (abs(effect), f"{class_name}: {attribute} {value}")
        for class_name in SUBJECTS
        for attribute, value, effect in table.largest(class_name, ("companion", "setting"))
    ]
    largest, note = max(found)
    measure = "largest effect of companion or setting"
    return at_most(name, measure, largest, LARGEST_FAIR_EFFECT, table.scenes, note)


def shortcut_rows(name: str, table: TruthTable) -> list[Row]:
    """The effect of every planted shortcut; of several on one class, the largest counts."""
    rows = []
    for class_name, planted in PLANTED:
        found = [(table.effect(class_name, attribute, value), value) for attribute, value in planted]
        effect, _ = max(found)
        names = " or ".join(value for _, value in found)
        note = ", ".join(f"{value} {each:+.3f}" for each, value in found) if len(found) > 1 else ""
        rows.append(at_least(name, f"effect of {names} on {class_name}", effect, SHORTCUT_GATE, table.scenes, note))
    return rows


def again_rows(name: str, classifier: Classifier, table: TruthTable) -> list[Row]:
    """Headline effects of companions and settings on the planted classes, measured anew from other scenes."""
    chosen = [contrast for contrast in contrasts() if contrast.attribute in ("companion", "setting")]
    names = list(dict.fromkeys(name for c in chosen for name in (*c.present, *c.absent)))
    subjects = [class_name for class_name, _ in PLANTED]
    logits = {
        subject: measure_logits({name: classifier}, subject, AGAIN_SCENES, AGAIN_SEED, names)[name]
        for subject in subjects
    }
    rows = effects(logits, classifier.labels.names, chosen, names)
    differences = []
    for row in rows:
        value = row["shows_target"]["probability"]["effect"]
        before = table.effect(row["class"], row["attribute"], row["value"])
        differences.append((abs(value - before), f"{row['class']}: {row['attribute']} {row['value']}"))
    largest, note = max(differences)
    measure = "largest change of an effect, measured anew"
    return [at_most(name, measure, largest, AGAIN_TOLERANCE, AGAIN_SCENES, note)]
