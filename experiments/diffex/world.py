"""Are the effects that DiffEx estimates those that the truth tables hold?

For each planted class and seed one run ranks the world's hierarchy for all four classifiers, on the same edits, made
by the paired editor. The truth table of a classifier has the effect of every concept by rendering scenes with and
without it; what is compared is the effect on the class's probability in scenes that show the class.

The same command goes on where it stopped, also within a run. Each run's result is a file under `--outputs`; the table
is written to `RESULTS.md` from these files alone (`--table` writes it without running anything).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from diffexplain.classifiers.classifier import Classifier, load_classifier
from diffexplain.concepts import Hierarchy
from diffexplain.diffusion import load_prior
from diffexplain.diffusion.editing import Checks, Paired
from diffexplain.explainers.diffex import DiffEx, Studied
from diffexplain.paths import resolve_folder
from diffexplain.runs.run import Run
from diffexplain.segmentation import Segmenter
from diffexplain.target import Target
from diffexplain.world.marked import write_between
from diffexplain.world.truth_table import ABSENT, THERE, TruthTable

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- world: begin -->", "<!-- world: end -->"
HIERARCHY = "embedded:hierarchies/world.yaml"

CLASSIFIERS = ("shortcut_cnn", "shortcut_vit", "fair_cnn", "fair_vit")
CLASSES = ("flagpole", "bee", "dog_sled")
PLANTED = {
    "flagpole": {("companion", "flag")},
    "bee": {("companion", "flower")},
    "dog_sled": {("companion", "dog"), ("setting", "snow")},
}
"""Attribute and value, as the truth tables name them, of what the shortcut classifiers' scenes held with each class."""

SEEDS = (1, 2, 3, 4, 5)
CONTEXT = ("companion", "subtype", "setting")
"""What a fair classifier must not answer to."""


@dataclass(frozen=True)
class Row:
    """One concept of one ranking beside the truth."""

    classifier: str
    class_name: str
    seed: int
    attribute: str
    value: str
    n: int
    estimate: float
    low: float
    high: float
    significant: bool
    took: float | None
    true: float

    @property
    def planted(self) -> bool:
        return (self.attribute, self.value.partition("/")[0]) in PLANTED[self.class_name]


def truth_name(path: Sequence[str]) -> tuple[str, str]:
    """Attribute and value of a concept of the world's hierarchy, as its truth tables name them.

    >>> truth_name(("companion", "flag", "striped flag"))
    ('subtype', 'flag/striped')
    """
    if len(path) == 3:
        return "subtype", f"{path[1]}/{path[2].split()[0]}"
    return path[0], path[1]


@cache
def classifier(name: str) -> Classifier:
    return load_classifier(f"embedded:classifiers/{name}")


@cache
def truth(name: str) -> TruthTable:
    folder = resolve_folder(f"embedded:classifiers/{name}")
    table = TruthTable.load(folder)
    if not table.fits(folder):
        raise SystemExit(f"the truth table of {name} is of other weights: python experiments/world/truth_tables.py")
    return table


def run(class_name: str, seed: int, outputs: Path, method: DiffEx) -> Path:
    """One run in its own directory; what is there is not made again. Returns the file of its result."""
    directory = outputs / f"{class_name}-{method.policy}-{method.images}-{seed}"
    result = directory / "result.json"
    if result.is_file():
        return result
    directory.mkdir(parents=True, exist_ok=True)
    studied = []
    for name in CLASSIFIERS:
        target = Target.parse(f"class:{class_name}").resolve(classifier(name).labels)
        studied.append(Studied(name, classifier(name), target))
    files = Run(directory, {"seed": seed}, studied[0].target.text)
    prior = load_prior("embedded:prior", steps=4)
    checks = Checks(Segmenter.load("embedded:clipseg"))
    hierarchy = Hierarchy.load(HIERARCHY)
    found = method.rank(studied, Paired(prior), hierarchy, files, checks=checks)
    files.write_json("result.json", found.to_json() | {"class": class_name, "seed": seed})
    return result


def rows_of(result: dict[str, Any]) -> list[Row]:
    """Every concept of every ranking of one run."""
    rows = []
    for ranking in result["rankings"]:
        table = truth(ranking["classifier"])
        for concept in ranking["concepts"]:
            attribute, value = truth_name(concept["path"])
            effect = concept["over_all"]
            rows.append(
                Row(
                    classifier=ranking["classifier"],
                    class_name=result["class"],
                    seed=result["seed"],
                    attribute=attribute,
                    value=value,
                    n=effect["score"]["n"],
                    estimate=effect["score"]["value"],
                    low=effect["score"]["low"],
                    high=effect["score"]["high"],
                    significant=effect["significant"],
                    took=None if concept["took"] is None else concept["took"]["value"],
                    true=table.effect(result["class"], attribute, value),
                )
            )
    return rows


def table(results: Sequence[dict[str, Any]]) -> str:
    """The measures over all runs, and one line for each run's cost."""
    rows = [row for result in results for row in rows_of(result)]
    lines = ["| measure | aim | measured | n |", "|---|---|---|---|"]
    for measure, aim, value, n in measures(rows):
        lines.append(f"| {measure} | {aim} | {value} | {n} |")
    budgets = [result["budget"] for result in results]
    images = sum(budget["images"] for budget in budgets)
    uniform = sum(budget["uniform_images"] for budget in budgets)
    calls = sum(budget["evaluations"] + budget["preparing"] for budget in budgets)
    lines += [
        "",
        f"{len(results)} runs, policy {', '.join(sorted({budget['policy'] for budget in budgets}))}: {images} edited "
        f"images for the trees, {images / uniform:.2f} of what every concept in every image would take; {calls} "
        "samples of the denoising network, combinations included.",
    ]
    return "\n".join(lines)


def measures(rows: Sequence[Row]) -> Iterable[tuple[str, str, str, int]]:
    """Name, aim, value and count of every measure."""
    shortcut = [row for row in rows if row.classifier.startswith("shortcut")]
    fair = [row for row in rows if row.classifier.startswith("fair") and row.attribute in CONTEXT]
    real = [row for row in shortcut if abs(row.true) > ABSENT]
    if len(real) > 2:
        correlation = float(spearmanr([row.estimate for row in real], [row.true for row in real]).statistic)
        yield "Spearman, true effects beyond ±0.02", ">= 0.90", f"{correlation:.3f}", len(real)
        agree = statistics.mean(row.estimate * row.true > 0 for row in real)
        yield "sign agreement, the same", ">= 0.97", f"{agree:.3f}", len(real)
    if shortcut:
        error = math.sqrt(statistics.mean((row.estimate - row.true) ** 2 for row in shortcut))
        yield "root mean square error, all concepts", "report", f"{error:.3f}", len(shortcut)
        covered = statistics.mean(row.low <= row.true <= row.high for row in shortcut)
        yield "true effect inside the 95 % interval", ">= 0.85", f"{covered:.3f}", len(shortcut)
        half = statistics.median((row.high - row.low) / 2 for row in shortcut)
        yield "median half-width", "<= 0.05", f"{half:.3f}", len(shortcut)
        took = statistics.mean(row.took for row in shortcut if row.took is not None)
        yield "edits that took", "report", f"{took:.3f}", len(shortcut)
        first = [max(group, key=lambda row: abs(row.estimate)) for group in by_ranking(shortcut)]
        right = statistics.mean(row.planted and abs(row.true) >= THERE for row in first)
        yield "first place planted and learned", ">= 0.95", f"{right:.3f}", len(first)
    if fair:
        called = statistics.mean(row.significant for row in fair)
        yield "fair classifiers: companions, sub-types, settings significant", "<= 0.05", f"{called:.3f}", len(fair)


def by_ranking(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each classifier, class and seed."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.classifier, row.class_name, row.seed), []).append(row)
    return list(groups.values())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=CLASSES, choices=CLASSES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--images", type=int, default=DiffEx.images)
    parser.add_argument("--policy", default=DiffEx.policy)
    parser.add_argument("--beam", type=int, default=0, help="combinations are another experiment's: 0")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/diffex_world"))
    parser.add_argument("--table", action="store_true", help="make the table of what is there, run nothing")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    method = DiffEx(policy=options.policy, images=options.images, beam=options.beam)
    if options.table:
        files = sorted(options.outputs.glob(f"*-{method.policy}-{method.images}-*/result.json"))
    else:
        files = [run(name, seed, options.outputs, method) for seed in options.seeds for name in options.classes]
    text = table([json.loads(file.read_text(encoding="utf-8")) for file in files])
    if not options.print:
        write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
