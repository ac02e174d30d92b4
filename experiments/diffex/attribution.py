"""Would attribution maps have told what DiffEx tells? Grad-CAM, the paper's baseline, and three others, on the world.

For each planted class and seed, 100 scenes that show the class are drawn from the independent world and rendered. Each
method maps them for all four classifiers; an element's score is its lift, the share of attribution on it over its share
of the pixels, in the images in which the segmenter sees it. What has a mask can be scored: companions and settings. The
score is compared with the truth tables' effect on the class's probability in scenes that show the class.

The same command goes on where it stopped: the scores of a class and seed are a file under `--outputs`; the table is
written to `RESULTS.md` from these files alone (`--table` writes it without running anything).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import mannwhitneyu, spearmanr

from diffexplain.classifiers.classifier import Classifier
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import detect
from diffexplain.target import Target
from diffexplain.weights.atomic import write_json
from diffexplain.world.held_out import renderings, scenes_and_seeds
from diffexplain.world.sampler import World
from experiments.attribution import (
    AttentionRollout,
    Attribution,
    GradCAM,
    IntegratedGradients,
    SmoothGrad,
    element_scores,
)
from experiments.diffex.world import CLASSES, CLASSIFIERS, PLANTED, RESULTS, SEEDS, classifier, truth
from experiments.marked import write_between
from experiments.world.captions import COMPANION_NOUNS, SETTING_PHRASES, article
from experiments.world.truth import ABSENT, THERE

BEGIN, END = "<!-- attribution: begin -->", "<!-- attribution: end -->"
IMAGES = 100
FIRST_STREAM = 1_000
"""Of the held-out scenes; the gates use the first few streams."""

METHODS: dict[str, Callable[[Classifier], Attribution]] = {
    "Grad-CAM": GradCAM,
    "integrated gradients": lambda model: IntegratedGradients(model, steps=20),
    "SmoothGrad": lambda model: SmoothGrad(model, samples=20),
    "attention roll-out": AttentionRollout,
}
NETWORKS = {"Grad-CAM": ("cnn", "vit"), "integrated gradients": ("cnn", "vit"), "SmoothGrad": ("cnn", "vit")} | {
    "attention roll-out": ("vit",)
}
ELEMENTS = {article(nouns[0]): ("companion", kind) for kind, nouns in COMPANION_NOUNS.items()} | {
    phrases[0]: ("setting", name) for name, phrases in SETTING_PHRASES.items()
}
"""What the segmenter is asked for, and what the truth tables call it."""


@dataclass(frozen=True)
class Row:
    """One element's score beside the truth."""

    method: str
    classifier: str
    class_name: str
    seed: int
    element: tuple[str, str]
    lift: float
    found: bool
    true: float

    @property
    def there(self) -> bool:
        return abs(self.true) >= THERE

    @property
    def right(self) -> bool:
        """Planted and learned."""
        return self.element in PLANTED[self.class_name] and self.there


@cache
def segmenter() -> Segmenter:
    return Segmenter.load("embedded:clipseg")


def run(class_name: str, seed: int, outputs: Path) -> Path:
    """The scores of all methods and classifiers on one set of images; what is there is not made again."""
    result = outputs / f"{class_name}-{seed}.json"
    if result.is_file():
        return result
    stream = FIRST_STREAM + 100 * CLASSES.index(class_name) + seed
    images, _ = renderings(*scenes_and_seeds(IMAGES, stream, World(subjects=(class_name,))))
    sight = detect(segmenter(), images, ELEMENTS, IMAGES)
    found = []
    for name in CLASSIFIERS:
        target = Target.parse(f"class:{class_name}").resolve(classifier(name).labels)
        for method, make in METHODS.items():
            if name.rpartition("_")[2] not in NETWORKS[method]:
                continue
            maps = make(classifier(name)).maps(images, target)
            for score in element_scores(maps, sight, list(ELEMENTS)):
                if score.lift is not None:
                    entry = {"classifier": name, "method": method, "phrase": score.phrase}
                    found.append(entry | {"lift": score.lift.value, "n": score.lift.n, "found": score.found})
    outputs.mkdir(parents=True, exist_ok=True)
    write_json(result, {"class": class_name, "seed": seed, "scores": found})
    return result


def rows_of(result: dict[str, Any]) -> list[Row]:
    """Every score of one run beside its truth."""
    rows = []
    for score in result["scores"]:
        element = ELEMENTS[score["phrase"]]
        true = truth(score["classifier"]).effect(result["class"], *element)
        labels = (score["method"], score["classifier"], result["class"], result["seed"])
        rows.append(Row(*labels, element, score["lift"], score["found"], true))
    return rows


Measured = tuple[float, int] | None
"""A value and the number of what it rests on; None where that is too little."""


def signed(rows: Sequence[Row]) -> Measured:
    real = [row for row in planted(rows) if abs(row.true) > ABSENT]
    if len(real) < 3:
        return None
    return float(spearmanr([row.lift for row in real], [row.true for row in real]).statistic), len(real)


def unsigned(rows: Sequence[Row]) -> Measured:
    real = [row for row in planted(rows) if abs(row.true) > ABSENT]
    if len(real) < 3:
        return None
    return float(spearmanr([row.lift for row in real], [abs(row.true) for row in real]).statistic), len(real)


def auroc(rows: Sequence[Row]) -> Measured:
    there = [row.lift for row in planted(rows) if row.there]
    absent = [row.lift for row in planted(rows) if abs(row.true) <= ABSENT]
    if not there or not absent:
        return None
    return float(mannwhitneyu(there, absent).statistic) / (len(there) * len(absent)), len(there) + len(absent)


def first(rows: Sequence[Row]) -> Measured:
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in planted(rows):
        groups.setdefault((row.classifier, row.class_name, row.seed), []).append(row)
    tops = [max(group, key=lambda row: row.lift) for group in groups.values()]
    return share(row.right for row in tops)


def recall(rows: Sequence[Row]) -> Measured:
    return share(row.found for row in planted(rows) if row.there)


def false_alarms(rows: Sequence[Row]) -> Measured:
    return share(row.found for row in planted(rows) if abs(row.true) <= ABSENT)


def false_discoveries(rows: Sequence[Row]) -> Measured:
    return share(row.found for row in rows if row.classifier.startswith("fair"))


def planted(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.classifier.startswith("shortcut")]


def share(answers: Iterable[bool]) -> Measured:
    values = list(answers)
    return (statistics.mean(values), len(values)) if values else None


MEASURES: dict[str, Callable[[Sequence[Row]], Measured]] = {
    "Spearman with effects beyond ±0.02": signed,
    "the same, their magnitude": unsigned,
    "AUROC, there or absent": auroc,
    "first place planted and learned": first,
    "lift above 1: of what is there": recall,
    "lift above 1: of what is absent": false_alarms,
    "lift above 1: fair classifiers": false_discoveries,
}


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each method and kind of network; under each value its range over the seeds, and n."""
    rows = [row for result in results for row in rows_of(result)]
    lines = [f"| method | network | {' | '.join(MEASURES)} |", "|---|---|" + "---|" * len(MEASURES)]
    for method, networks in NETWORKS.items():
        for network in networks:
            mine = [row for row in rows if row.method == method and row.classifier.endswith(network)]
            if mine:
                cells = [cell(function, mine) for function in MEASURES.values()]
                lines.append(f"| {method} | {network} | {' | '.join(cells)} |")
    seeds = sorted({result["seed"] for result in results})
    classes = list(dict.fromkeys(result["class"] for result in results))
    lines += [
        "",
        f"{len(results)} sets of {IMAGES} rendered scenes: {', '.join(classes)}; seeds {', '.join(map(str, seeds))}. "
        f"In brackets the least and the most of a single seed; n counts elements, in first place rankings, of all "
        f"seeds. Machine: {platform.machine()}, one thread, torch {torch.__version__.split('+')[0]}.",
    ]
    return "\n".join(lines)


def cell(function: Callable[[Sequence[Row]], Measured], rows: Sequence[Row]) -> str:
    whole = function(rows)
    if whole is None:
        return "–"
    parts = [function([row for row in rows if row.seed == seed]) for seed in sorted({row.seed for row in rows})]
    values = np.array([part[0] for part in parts if part is not None])
    spread = f" ({values.min():.2f} to {values.max():.2f})" if len(values) else ""
    return f"{whole[0]:.2f}{spread}, n {whole[1]}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=CLASSES, choices=CLASSES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--outputs", type=Path, default=Path("outputs/diffex_attribution"))
    parser.add_argument("--table", action="store_true", help="make the table of what is there, run nothing")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.table:
        files = sorted(options.outputs.glob("*.json"))
    else:
        files = [run(name, seed, options.outputs) for seed in options.seeds for name in options.classes]
    text = table([json.loads(file.read_text(encoding="utf-8")) for file in files])
    if not options.print:
        write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
