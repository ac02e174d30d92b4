"""What two attribute values do together: the same scene with both, with either alone and with neither.

A truth table cannot say it: there one value is put in at a time, and its partner is as rare as in any scene.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffexplain.world.render import choice, render_images
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, MAXIMUM_COMPANIONS, SUBJECTS, Scene
from experiments.shortcut_bench.specification import Shortcut, Value
from experiments.world.truth import MEASURES, Logits, Model, base_scenes, logits_of, paired_effect, weights_digest

PAIR_EFFECTS_FILE = "pair_effects.json"
CORNERS = {"both": (True, True), "first": (True, False), "second": (False, True), "neither": (False, False)}


def corners(scene: Scene, seed: int, pair: Shortcut) -> dict[str, Scene]:
    """The scene with both values, with the first, with the second, and with neither; `seed` draws what is open.

    Other companions go from all four where the pair needs both places.
    """
    kinds = {value.companion for value in pair if value.companion}
    if len(kinds) > 1:
        scene = replace(scene, companions=tuple(c for c in scene.companions if c.kind in kinds))
    found = {}
    for name, there in CORNERS.items():
        changed = scene
        for value, is_there in zip(pair, there, strict=True):
            changed = _changed(changed, seed, value, is_there)
        found[name] = changed
    return found


def _changed(scene: Scene, seed: int, value: Value, there: bool) -> Scene:
    """The scene with the value or without, as the truth table defines both."""
    kind = value.companion
    if not kind:
        others = [other for other in ATTRIBUTES[value.attribute] if other != value.value]
        drawn = value.value if there else others[choice(seed, f"no {value.value}", len(others))]
        return replace(scene, **{value.attribute: drawn})  # type: ignore[arg-type]
    absent = scene.without_companion(kind)
    if value.attribute == "companion" and not there:
        return absent
    subtypes = [s for s in COMPANIONS[kind] or ("",) if not value.subtype or (s == value.subtype) == there]
    old = scene.companion(kind)
    taken = {companion.slot for companion in absent.companions}
    free = [old.slot] if old else [slot for slot in range(MAXIMUM_COMPANIONS) if slot not in taken]
    subtype = subtypes[choice(seed, f"{kind} {there}", len(subtypes))]
    return absent.with_companion(kind, subtype, free[choice(seed, "free slot", len(free))])


def measure_corners(
    models: Mapping[str, Model], pair: Shortcut, subject: str, count: int, seed: int
) -> dict[str, dict[str, Logits]]:
    """Logits `(count, K)` at each corner, for each model, of the truth table's scenes that show the subject."""
    scenes, seeds = base_scenes(subject, count, seed)
    made = [corners(scene, scene_seed, pair) for scene, scene_seed in zip(scenes, seeds, strict=True)]
    images = {name: render_images([corner[name] for corner in made], seeds) for name in CORNERS}
    return {model: {name: logits_of(run, images[name]) for name in CORNERS} for model, run in models.items()}


AtStates = Mapping[str, NDArray[np.float64]]
"""One measure of the class in each state of the same scenes: `(n,)` each."""


def stratified(
    logits: Mapping[str, Mapping[str, Logits]], class_name: str, effects_of: Callable[[AtStates], dict[str, Any]]
) -> dict[str, Any]:
    """Effects in scenes that show the class and in scenes that do not.

    Args:
        logits: `(count, K)` by subject and state.
        class_name: the class that is measured.
        effects_of: from the states to the effects of one measure.

    Returns:
        `class`, and under `shows_target` and `without_target` the number `n` of scenes and the effects on each of
        `MEASURES`.
    """
    index = SUBJECTS.index(class_name)

    def stratum(subjects: Sequence[str]) -> dict[str, Any]:
        states = logits[subjects[0]]
        result: dict[str, Any] = {"n": sum(len(next(iter(logits[subject].values()))) for subject in subjects)}
        for measure, convert in MEASURES.items():
            at = {
                state: np.concatenate([convert(logits[subject][state])[:, index] for subject in subjects])
                for state in states
            }
            result[measure] = effects_of(at)
        return result

    others = [subject for subject in logits if subject != class_name]
    return {
        "class": class_name,
        "shows_target": stratum([class_name]),
        "without_target": stratum(others) if others else None,
    }


def pair_effects(logits: Mapping[str, Mapping[str, Logits]], class_name: str, pair: Shortcut) -> dict[str, Any]:
    """The row of one pair.

    Args:
        logits: of `measure_corners`, by subject, of one model.
        class_name: the class that is measured.
        pair: the two values.

    Returns:
        `pair`, and what `stratified` gives: the effect of both (`joint`) and of either alone, each over neither, and
        their `interaction`: the joint effect less the sum of the two.
    """

    def effects_of(at: AtStates) -> dict[str, Any]:
        return {
            "joint": paired_effect(at["both"], at["neither"]),
            "first_alone": paired_effect(at["first"], at["neither"]),
            "second_alone": paired_effect(at["second"], at["neither"]),
            "interaction": paired_effect(at["both"] - at["second"], at["first"] - at["neither"]),
        }

    return {"pair": [list(value) for value in pair], **stratified(logits, class_name, effects_of)}


def save_rows(file: Path, rows: Sequence[dict[str, Any]], seed: int) -> None:
    """Write the rows into a file beside the classifier's truth table."""
    folder = file.parent
    content = {"classifier": folder.name, "weights_sha256": weights_digest(folder), "seed": seed, "rows": list(rows)}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
