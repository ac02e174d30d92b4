"""Truth tables: the effect of every attribute value on every class of a classifier, by paired renders.

The effect of a value is `E[p | do(value)] - E[p | do(not value)]`, everything else and the seed equal. Taking
a companion out leaves it out; taking any other value out puts another one in, each as likely. Scenes come
from the independent world. They keep at most one companion, so that there is always room to put another in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from diffexplain.errors import UserError
from diffexplain.weights.checksums import read_sha256
from diffexplain.world import truth_table as read
from diffexplain.world.render import choice, render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, SUBJECTS, Companion, Scene

Logits = NDArray[np.float32]
Model = Callable[[torch.Tensor], torch.Tensor]
"""Images `(B, 3, H, W)` in [0, 1] to logits `(B, K)`."""

THERE, ABSENT = 0.2, 0.02
"""An effect is there from the one on, and absent within the other."""
Stratum = Literal["shows_target", "without_target"]
Measure = Literal["probability", "log_odds", "logit"]

VALUED_ATTRIBUTES = tuple(name for name in ATTRIBUTES if name != "subject")
CHUNK = 50
BATCH = 256
NORMAL_QUANTILE = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Contrast:
    """One effect to measure: the mean over some variants of a scene minus the mean over others.

    `attribute` is "companion", "subtype", "subject", or a field of the scene. A sub-type's value is written
    "flag/striped"; a subject's value is empty, since it is each class's own.
    """

    attribute: str
    value: str
    present: tuple[str, ...]
    absent: tuple[str, ...]


def contrasts() -> list[Contrast]:
    """Every attribute value of the world, in a fixed order."""
    found = []
    for kind, subtypes in COMPANIONS.items():
        present = tuple(f"{kind}/{subtype}" for subtype in subtypes or ("",))
        found.append(Contrast("companion", kind, present, (f"no {kind}",)))
        if subtypes:
            found += [Contrast("subtype", name, (name,), _others(name, present)) for name in present]
    for attribute in VALUED_ATTRIBUTES:
        names = tuple(f"{attribute}={value}" for value in ATTRIBUTES[attribute])
        for value, name in zip(ATTRIBUTES[attribute], names, strict=True):
            found.append(Contrast(attribute, value, (name,), _others(name, names)))
    found.append(Contrast("subject", "", ("as it is",), ("another subject",)))
    return found


def _others(name: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(other for other in names if other != name)


def variants(scene: Scene, seed: int) -> dict[str, Scene]:
    """The scene under every intervention that `contrasts` names; `seed` draws the other subject."""
    other_subjects = [subject for subject in SUBJECTS if subject != scene.subject]
    other = other_subjects[choice(seed, "another subject", len(other_subjects))]
    result = {"as it is": scene, "another subject": replace(scene, subject=other)}
    for attribute in VALUED_ATTRIBUTES:
        for value in ATTRIBUTES[attribute]:
            result[f"{attribute}={value}"] = replace(scene, **{attribute: value})  # type: ignore[arg-type]
    for kind, subtypes in COMPANIONS.items():
        absent = scene.without_companion(kind)
        result[f"no {kind}"] = absent
        there = scene.companion(kind)
        slot = there.slot if there else _free_slot(scene, seed)
        for subtype in subtypes or ("",):
            companions = (*absent.companions, Companion(kind, subtype, slot))
            result[f"{kind}/{subtype}"] = replace(absent, companions=companions)
    return result


def _free_slot(scene: Scene, seed: int) -> int:
    taken = {companion.slot for companion in scene.companions}
    free = [slot for slot in (0, 1) if slot not in taken]
    return free[choice(seed, "free slot", len(free))]


def base_scenes(subject: str, count: int, seed: int) -> tuple[list[Scene], list[int]]:
    """Scenes that show the subject, with at most one companion, and the seeds they are drawn with."""
    index = SUBJECTS.index(subject)
    scenes = World(subjects=(subject,)).sample(count, seed * 1000 + index)
    first = 1_000_000_000 + (seed * len(SUBJECTS) + index) * 1_000_000
    return [replace(s, companions=s.companions[:1]) for s in scenes], list(range(first, first + count))


@torch.no_grad()
def logits_of(model: Model, images: NDArray[np.uint8]) -> Logits:
    """Logits `(B, K)` of uint8 images `(B, H, W, 3)`."""
    parts = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(images[start : start + BATCH]).permute(0, 3, 1, 2).float().div_(255)
        parts.append(model(batch).numpy())
    return np.concatenate(parts)


def measure_logits(
    models: Mapping[str, Model], subject: str, count: int, seed: int, names: Sequence[str] | None = None
) -> dict[str, Logits]:
    """Logits of scenes that show the subject under every variant: `(count, variant, K)` for each model.

    Args:
        models: all see the same renders.
        subject: of the scenes.
        count: scenes.
        seed: of the scenes.
        names: variants to measure, all by default, in the order of `variant_names`.
    """
    names = names or variant_names()
    scenes, seeds = base_scenes(subject, count, seed)
    chunks: dict[str, list[Logits]] = {name: [] for name in models}
    for start in range(0, count, CHUNK):
        # A scene's own setting, colour, ... is the scene as it is: drawn and classified once.
        places: dict[tuple[Scene, int], int] = {}
        rows = []
        for scene, scene_seed in zip(scenes[start : start + CHUNK], seeds[start : start + CHUNK], strict=True):
            made = variants(scene, scene_seed)
            rows.append([places.setdefault((made[name], scene_seed), len(places)) for name in names])
        images = render_images([scene for scene, _ in places], [seed for _, seed in places])
        for name, model in models.items():
            chunks[name].append(logits_of(model, images)[np.array(rows)])
    return {name: np.concatenate(parts) for name, parts in chunks.items()}


def variant_names() -> list[str]:
    """The names of all variants, each once, in a fixed order."""
    return list(variants(Scene(SUBJECTS[0]), 0))


def softmax(logits: Logits) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def log_odds(logits: Logits) -> NDArray[np.float64]:
    """Each logit less the `logsumexp` of the others, over the last axis: `log(p / (1 - p))` of the softmax.

    It is finite where a probability rounds to one, and unlike a raw logit it does not move when all logits do.
    """
    own = logits.astype(np.float64)
    others = np.where(np.eye(own.shape[-1], dtype=bool), -np.inf, own[..., None, :])
    largest = others.max(axis=-1, keepdims=True)
    together: NDArray[np.float64] = largest[..., 0] + np.log(np.exp(others - largest).sum(axis=-1))
    return own - together


def raw_logits(logits: Logits) -> NDArray[np.float64]:
    """The logits as they are, in double precision."""
    return logits.astype(np.float64)


MEASURES: dict[str, Callable[[Logits], NDArray[np.float64]]] = {
    "probability": softmax,
    "log_odds": log_odds,
    "logit": raw_logits,
}
"""What effects are measured in, made of logits `(..., K)`: each `(..., K)`."""


def paired_effect(present: NDArray[np.float64], absent: NDArray[np.float64]) -> dict[str, float]:
    """Mean of the paired differences with its 95 % interval, and both means; both `(n,)`, n >= 2."""
    difference = present - absent
    effect = float(difference.mean())
    half = NORMAL_QUANTILE * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return {
        "effect": _rounded(effect),
        "low": _rounded(effect - half),
        "high": _rounded(effect + half),
        "present": _rounded(float(present.mean())),
        "absent": _rounded(float(absent.mean())),
    }


def _rounded(value: float) -> float:
    return round(value, 5) + 0.0  # no minus zero


def effects(
    logits: Mapping[str, Logits],
    class_names: Sequence[str],
    chosen: Sequence[Contrast] | None = None,
    names: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Effects on every class.

    Args:
        logits: for each subject, `(count, variant, K)`.
        class_names: the K classes; those that are subjects of `logits` are measured.
        chosen: the effects to give, all by default.
        names: the variants of `logits` in their order, `variant_names()` by default.

    Returns:
        One row for each class and attribute value: `class`, `attribute`, `value`, and under `shows_target`
        and `without_target` the number `n` of pairs and the effect on each of `MEASURES`. A subject's own row
        has no `without_target`.
    """
    columns = {name: index for index, name in enumerate(names or variant_names())}
    measures = {
        subject: {measure: convert(values) for measure, convert in MEASURES.items()}
        for subject, values in logits.items()
    }
    rows: list[dict[str, Any]] = []
    for class_name in logits:
        class_index = list(class_names).index(class_name)
        for contrast in chosen or contrasts():
            present = [columns[name] for name in contrast.present]
            absent = [columns[name] for name in contrast.absent]

            def stratum(
                subjects: Sequence[str],
                class_index: int = class_index,
                present: list[int] = present,
                absent: list[int] = absent,
            ) -> dict[str, Any]:
                result: dict[str, Any] = {"n": sum(len(logits[subject]) for subject in subjects)}
                for measure in MEASURES:
                    values = np.concatenate([measures[s][measure][:, :, class_index] for s in subjects])
                    result[measure] = paired_effect(values[:, present].mean(1), values[:, absent].mean(1))
                return result

            value = contrast.value or class_name
            row: dict[str, Any] = {"class": class_name, "attribute": contrast.attribute, "value": value}
            row["shows_target"] = stratum([class_name])
            others = [subject for subject in logits if subject != class_name]
            row["without_target"] = stratum(others) if contrast.attribute != "subject" and others else None
            rows.append(row)
    return rows


class TruthTable(read.TruthTable):
    """A truth table, with what measures and looks things up need of it."""

    def save(self, folder: Path) -> None:
        """Write the table into a classifier's folder, one row a line."""
        head = {
            "schema_version": self.schema_version,
            "definition": "E[p | do(value)] - E[p | do(not value)], paired renders, 95 % intervals",
            "classifier": self.classifier,
            "weights_sha256": self.weights_sha256,
            "seed": self.seed,
            "scenes": self.scenes,
        }
        rows = ",\n".join(" " + json.dumps(row) for row in self.rows)
        text = json.dumps(head, indent=1).removesuffix("\n}") + f',\n "rows": [\n{rows}\n ]\n}}\n'
        (folder / read.TRUTH_TABLE_FILE).write_text(text, encoding="utf-8")

    def fits(self, folder: Path) -> bool:
        """Whether the weights in the folder are those that were measured."""
        return weights_digest(folder) == self.weights_sha256

    def row(self, class_name: str, attribute: str, value: str) -> dict[str, Any]:
        """The row of one class and attribute value, e.g. `("flagpole", "companion", "flag")`.

        Raises:
            KeyError: nothing of that name was measured.
        """
        for row in self.rows:
            if (row["class"], row["attribute"], row["value"]) == (class_name, attribute, value):
                return row
        raise KeyError(f"no effect of {attribute}={value} on {class_name} in the truth table")

    def effect(
        self,
        class_name: str,
        attribute: str,
        value: str,
        stratum: Stratum = "shows_target",
        measure: Measure = "probability",
    ) -> float:
        """One effect; the headline by default.

        Raises:
            KeyError: nothing of that name was measured.
            UserError: the table is of schema 1, which has no log-odds.
        """
        measured = self.row(class_name, attribute, value)[stratum]
        if measure not in measured:
            raise UserError(
                f"The truth table of {self.classifier} has schema {self.schema_version}, without effects on {measure}.",
                hint="python -m experiments.world.truth_tables",
            )
        return float(measured[measure]["effect"])

    def largest(self, class_name: str, attributes: Sequence[str]) -> list[tuple[str, str, float]]:
        """Headline effects of these attributes on a class: (attribute, value, effect), largest first."""
        found = [
            (row["attribute"], row["value"], float(row["shows_target"]["probability"]["effect"]))
            for row in self.rows
            if row["class"] == class_name and row["attribute"] in attributes
        ]
        return sorted(found, key=lambda entry: -abs(entry[2]))


def weights_digest(folder: Path) -> str:
    """SHA-256 of the classifier's weights, as hex."""
    return read_sha256(folder / "model.safetensors")


def truth_table(folder: Path, logits: Mapping[str, Logits], class_names: Sequence[str], seed: int) -> TruthTable:
    """The table of the classifier in `folder`, from `measure_logits` of every subject."""
    return TruthTable(
        classifier=folder.name,
        weights_sha256=weights_digest(folder),
        seed=seed,
        scenes=min(len(values) for values in logits.values()),
        rows=tuple(effects(logits, class_names)),
    )
