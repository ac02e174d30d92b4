"""DiffExplainer's Figure 2: what a classifier looks for, by five methods; rows are classes, columns methods.

    python -m experiments.diffexplainer_figure2.make_figure                    the embedded world: minutes a cell
    python -m experiments.diffexplainer_figure2.make_figure --profile paper    CaffeNet with Stable Diffusion's prior

The same code for both: each cell is an ordinary run (`python run.py explainer=... classifier=... target=...`), whose
pictures are then read by classifiers that had no part in it. `--profile paper` needs weights; the command that brings
them is said before anything is computed. The same command goes on where it stopped: a run that is finished is read
back, and what was read of it is a file of `--outputs`. The table is written to `RESULTS.md` from these files alone
(`--table`).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from diffexplain import app
from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.config import configuration
from diffexplain.evaluation import EvaluationSettings
from diffexplain.evaluation.quality import QUALITY, SEMANTIC, features_of, preferences
from diffexplain.pipelines.parts import Parts
from diffexplain.report import load_run
from diffexplain.weights import atomic
from experiments.diffexplainer_figure2.figure import draw
from experiments.diffexplainer_figure2.table import write_table
from experiments.world import oracle

HERE = Path(__file__).parent
METHODS = ("yosinski", "mahendran_vedaldi", "nguyen", "maco", "diffexplainer")
SHOWN = 3
"""Pictures of each cell in the figure, the first ones whatever they came to."""
PLANTED = {"flagpole": ("companion:flag",), "bee": ("companion:flower",), "dog_sled": ("companion:dog", "setting:snow")}
"""What the oracle is asked about besides the class: what came along with it where the shortcut classifiers learned."""


@dataclass(frozen=True)
class Profile:
    """What is explained, and who else reads the pictures.

    Attributes:
        images: pictures of each cell.
        classifiers: explained ones.
        readers: all that read the pictures; the explained one is among them.
        overrides: of every run of a method.
    """

    images: int
    classifiers: tuple[str, ...]
    readers: tuple[str, ...]
    classes: tuple[str, ...]
    overrides: Mapping[str, tuple[str, ...]]


WORLD = ("world_shortcut_cnn", "world_shortcut_vit", "world_fair_cnn", "world_fair_vit")
SIDE = ("explainer.side=256",)  # CaffeNet's pictures are of 256 pixels before the crop, the prior's of 512
PROFILES = {
    "world": Profile(8, ("world_shortcut_cnn", "world_fair_cnn"), WORLD, tuple(PLANTED), {}),
    "paper": Profile(
        24,
        ("caffenet",),
        ("caffenet", "resnet50", "vit_b_16"),
        ("dog_sled", "bee", "flagpole"),
        {
            "yosinski": (*SIDE, "explainer.steps=500", "explainer.learning_rate=0.0015"),
            "mahendran_vedaldi": (*SIDE, "explainer.jitter=8"),
            "nguyen": ("explainer.steps=200", "explainer.batch_size=4"),
            "maco": (*SIDE, "explainer.steps=1000", "augmentation.views=6"),
            "diffexplainer": ("explainer.steps=1000", "memory=24gb"),
        },
    ),
}


@dataclass(frozen=True)
class Cell:
    """One run: a classifier, a class and a method."""

    profile: str
    classifier: str
    class_name: str
    method: str
    images: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.profile}-{self.classifier}-{self.class_name}-{self.method}-{self.images}-{self.seed}"

    def overrides(self, outputs: Path) -> list[str]:
        """What is typed to make the run. All pictures of a prompt are kept, and little else is measured of it."""
        if self.method == "diffexplainer":
            count = [f"evaluation.images={self.images}", f"evaluation.examples={self.images}", "evaluation=quick"]
        else:
            count = [f"explainer.images={self.images}"]
        return [
            f"explainer={self.method}", f"classifier={self.classifier}", f"target=class:{self.class_name}",
            f"seed={self.seed}", *count, *PROFILES[self.profile].overrides.get(self.method, ()), "logger=local",
            f"paths.outputs={outputs / 'runs'}",
        ]  # fmt: skip


def cells(profile: str, images: int, seed: int) -> list[Cell]:
    """Classifier by classifier and class by class, so that an unfinished figure has whole rows."""
    chosen = PROFILES[profile]
    return [
        Cell(profile, classifier, class_name, method, images, seed)
        for classifier in chosen.classifiers
        for class_name in chosen.classes
        for method in METHODS
    ]


def result_of(cell: Cell, outputs: Path, parts: Parts) -> dict[str, Any]:
    """What was read of the cell's pictures: from its file, or from its run, which is made if it is not there."""
    config = configuration.compose(cell.overrides(outputs))
    file = outputs / f"{cell.name}.json"
    began = time.perf_counter()
    outcome = app.make(config, parts)
    seconds = time.perf_counter() - began
    assert outcome.summary is not None
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if kept["identity"] == outcome.summary.identity:
            return kept
    examples = sorted(load_run(outcome.directory).examples, key=lambda example: example.index)
    pictures = np.stack([example.image for example in examples])
    Image.fromarray(np.concatenate(pictures[:SHOWN], axis=1)).save(outputs / f"{cell.name}.png")
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    result = {
        "classifier": cell.classifier, "class": cell.class_name, "method": cell.method, "seed": cell.seed,
        "n": len(images), "identity": outcome.summary.identity, "seconds": round(seconds, 1) if outcome.made else None,
        "machine": platform.machine(), "threads": int(config["threads"]),
        "read": {name: activates(name, cell, images, parts) for name in PROFILES[cell.profile].readers},
        "oracle": seen_by_oracle(cell.class_name, images) if cell.profile == "world" else {},
        **looked_at(config, cell.class_name, images, parts),
    }  # fmt: skip
    atomic.write_json(file, result)
    return result


def activates(name: str, cell: Cell, images: Tensor, parts: Parts) -> list[bool]:
    """For each picture, whether a classifier takes it for the class."""
    config = configuration.compose([f"classifier={name}", f"target=class:{cell.class_name}"])
    classifier = parts.classifier(config["classifier"], (), name)
    reader = TargetReader(classifier, app.resolve_target(config), 24, torch.device("cpu"))
    return [bool(value) for value in reader.read(images).activates]


def seen_by_oracle(class_name: str, images: Tensor) -> dict[str, list[bool]]:
    """For each picture, whether the oracle answers with the class, and with what was planted beside it."""
    answers = oracle.read(oracle.load_oracle(), images)
    seen = {class_name: answers["subject"] == oracle.QUESTIONS["subject"].index(class_name)}
    for planted in PLANTED[class_name]:
        kind, _, value = planted.partition(":")
        if kind == "companion":
            seen[value] = answers[planted] == 1
        else:
            seen[value] = answers[kind] == oracle.QUESTIONS[kind].index(value)
    return {name: [bool(value) for value in values] for name, values in seen.items()}


def looked_at(config: Mapping[str, Any], class_name: str, images: Tensor, parts: Parts) -> dict[str, Any]:
    """The pictures' features, by the CLIP of the profile's segmenter, and CLIP-IQA where that knows the words."""
    clip = parts.build("segmenter", config["segmenter"], ()).to("cpu")
    features = features_of(clip, images, EvaluationSettings())
    found: dict[str, Any] = {"features": [[round(value, 5) for value in row] for row in features.tolist()]}
    if all(clip.knows(word) for word in ("good", "bad")):
        semantic = [pattern.format(class_phrase(class_name)) for pattern in SEMANTIC]
        for name, pair in (("clip_iqa", QUALITY), ("semantic_clip_iqa", semantic)):
            found[name] = preferences(features, clip.text_features(pair).double().cpu()).tolist()
    return found


def rendered(cells: Sequence[Cell]) -> tuple[Tensor, Tensor]:
    """Features of rendered scenes, by the embedded CLIP: of the fair world and, apart, others of the same kind."""
    from diffexplain.segmentation import Segmenter
    from diffexplain.world.render import render_images
    from experiments.world.worlds import FAIR_WORLD

    count = cells[0].images * len({cell.class_name for cell in cells})
    scenes = FAIR_WORLD.sample(2 * count, cells[0].seed + 1)
    pictures = torch.from_numpy(render_images(scenes, range(2 * count))).permute(0, 3, 1, 2).float() / 255
    clip = Segmenter.load("embedded:clipseg")
    features = features_of(clip, pictures, EvaluationSettings())
    return features[:count], features[count:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=tuple(PROFILES), default="world")
    parser.add_argument("--images", type=int, help="of each cell; 8 on the embedded world, else 24")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--classifier", action="append", help="only this explained classifier; may be given again")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/diffexplainer_figure2"))
    parser.add_argument("--table", action="store_true", help="figure and table from the files there are, run nothing")
    options = parser.parse_args()
    outputs = options.outputs.absolute()
    todo = cells(options.profile, options.images or PROFILES[options.profile].images, options.seed)
    todo = [cell for cell in todo if cell.classifier in (options.classifier or PROFILES[options.profile].classifiers)]
    parts, results = Parts(), []
    outputs.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(todo):
        file = outputs / f"{cell.name}.json"
        if options.table:
            results += [json.loads(file.read_text(encoding="utf-8"))] if file.is_file() else []
            continue
        result = result_of(cell, outputs, parts)
        results.append(result)
        own = sum(result["read"][cell.classifier])
        print(f"{number + 1}/{len(todo)} {cell.name}: {own} of {result['n']} activate", flush=True)
    if not results:
        raise SystemExit(f"there is no result of this profile in {outputs}")
    for classifier in {result["classifier"] for result in results}:
        target = HERE / f"{classifier}.png"
        draw([cell for cell in todo if cell.classifier == classifier], outputs, target)
    references = rendered(todo) if options.profile == "world" else None
    print(write_table(HERE / "RESULTS.md", options.profile, results, references, METHODS))


if __name__ == "__main__":
    main()
