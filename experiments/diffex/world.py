"""Are the effects that DiffEx estimates those that the truth tables hold?

For each planted class and seed one run ranks the world's hierarchy for the four shipped classifiers, and for those of
the benchmark that answer to a sub-type or to a pair of things, on the same edits, made by the paired editor. The truth
table of a classifier has the effect of every concept by rendering scenes with and without it; what is compared is the
effect on the class's probability in scenes that show the class.

Every concept is edited into every image (the policy `uniform`). What the policy `halving` would have done for one
classifier alone is then found on the same edits, and the search for combinations is made for the pairs' classifiers.

First, once: `python -m experiments.shortcut_bench.train NAMES` and `python -m experiments.shortcut_bench.truth NAMES`
with the names that this command prints where they are missing. The same command goes on where it stopped, also within
a run. Each run's result is a file under `--outputs`; the table is written to `RESULTS.md` from these files alone
(`--table` writes it without running anything).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from diffexplain.classifiers.classifier import Classifier, load_classifier
from diffexplain.concepts import Hierarchy
from diffexplain.diffusion import load_prior
from diffexplain.editing import Checks, Paired
from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.population import Images, Population
from diffexplain.explainers.diffex import DiffEx
from diffexplain.runs.run import Run
from diffexplain.segmentation import Segmenter
from diffexplain.target import Target
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.truth_table import truth_name
from experiments.marked import write_between
from experiments.world.common import prior_steps
from experiments.world.truth import ABSENT, THERE, TruthTable

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

BENCH = Path(__file__).parents[2] / "outputs" / "shortcut_bench" / "classifiers"
SUBTYPES = {"flagpole": "flag/striped", "bee": "flower/red"}
"""What the benchmark's classifiers `subtype_<class>_<architecture>` answer to."""
PAIRS = {
    "flagpole": {("companion", "flag"), ("companion", "tree")},
    "bee": {("companion", "flower"), ("setting", "night")},
}
"""What the classifiers `pair_<class>_<architecture>` answer to where it is there together."""

SEEDS = (11, 12, 13, 14, 15)
"""None of those that the method was looked at with, which are 1 to 3."""
TOP = 5
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


def classifiers_of(class_name: str) -> list[str]:
    """The names of all classifiers that are ranked with a class."""
    bench = [kind for kind, planted in (("subtype", SUBTYPES), ("pair", PAIRS)) if class_name in planted]
    return [*CLASSIFIERS, *(f"{kind}_{class_name}_{architecture}" for kind in bench for architecture in ("cnn", "vit"))]


def folder_of(name: str) -> str:
    return f"embedded:classifiers/{name}" if name in CLASSIFIERS else str(BENCH / name)


@cache
def classifier(name: str) -> Classifier:
    return load_classifier(folder_of(name))


@cache
def truth(name: str) -> TruthTable:
    folder = resolve_folder(folder_of(name))
    table = TruthTable.load(folder)
    if not table.fits(folder):
        raise SystemExit(f"the truth table of {name} is of other weights: python -m experiments.world.truth_tables")
    return table


def run(class_name: str, seed: int, outputs: Path, method: DiffEx, engine: Engine) -> Path:
    """One run in its own directory; what is there is not made again. Returns the file of its result."""
    directory = outputs / f"{class_name}-{engine.images}-{seed}"
    result = directory / "result.json"
    if result.is_file():
        return result
    directory.mkdir(parents=True, exist_ok=True)
    studied = []
    for name in classifiers_of(class_name):
        target = Target.parse(f"class:{class_name}").resolve(classifier(name).labels)
        studied.append(Studied(name, classifier(name), target))
    files = Run(directory, {"seed": seed}, studied[0].target.text)
    editor = Paired(load_prior("embedded:prior", steps=prior_steps()))
    checks = Checks(Segmenter.load("embedded:clipseg"))
    hierarchy = Hierarchy.load(HIERARCHY)
    edited = engine.population(studied, editor, hierarchy, files, largest=method.together, checks=checks)
    found = replace(method, beam=0).rank(edited, studied, engine).to_json()
    found |= {"class": class_name, "seed": seed}
    found["halving"] = {one.name: halved(engine, edited, who) for who, one in enumerate(studied)}
    shares = dict.fromkeys(edited.composition.concepts, Images(range(edited.count), True, rivals=edited.count))
    found["combinations"] = {
        one.name: [[list(path) for path in joint.paths] for joint in method.search(edited, who, engine).run(shares)]
        for who, one in enumerate(studied)
        if one.name.startswith("pair")
    }
    files.write_json("result.json", found)
    return result


def halved(engine: Engine, edited: Population, who: int) -> dict[str, Any]:
    """What the policy `halving` finds for one classifier: its share of the images, and its first concepts."""
    halving = replace(engine, policy="halving")
    shares = halving.share_out(edited, [who])
    pairs = {path: halving.pairs(edited, who, path, those) for path, those in shares.items()}
    effects = {path: float(pair.score.mean()) for path, pair in pairs.items()}
    first = sorted(effects, key=lambda path: -abs(effects[path]))[:TOP]
    return {
        "share": sum(those.indices.stop for those in shares.values()) / (edited.count * len(shares)),
        "first": [list(path) for path in first],
    }


def require(classes: Sequence[str]) -> None:
    """End with the commands that make what is missing."""
    names = [name for one in classes for name in classifiers_of(one)]
    missing = [name for name in names if name not in CLASSIFIERS and not (BENCH / name / "truth_table.json").is_file()]
    if missing:
        scripts = [
            f"python -m experiments.shortcut_bench.{script} {' '.join(missing)}" for script in ("train", "truth")
        ]
        raise SystemExit("Make these classifiers and their truth tables first:\n" + "\n".join(scripts))


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
    for measure, aim, value, n in [*measures(rows), *bench_measures(rows, results), *halving_measures(rows, results)]:
        lines.append(f"| {measure} | {aim} | {value} | {n} |")
    lines += ["", "By kind of concept, shortcut classifiers:", ""]
    lines += ["| kind | Spearman beyond ±0.02 (n) | covered | mean error | n |", "|---|---|---|---|---|"]
    shortcut = [row for row in rows if row.classifier.startswith("shortcut")]
    for attribute in dict.fromkeys(row.attribute for row in shortcut):
        mine = [row for row in shortcut if row.attribute == attribute]
        real = [row for row in mine if abs(row.true) > ABSENT]
        error = statistics.mean(abs(row.estimate - row.true) for row in mine)
        covered = statistics.mean(row.low <= row.true <= row.high for row in mine)
        shown = f"{correlation(real):.2f} ({len(real)})" if len(real) > 2 else f"- ({len(real)})"
        lines.append(f"| {attribute} | {shown} | {covered:.2f} | {error:.3f} | {len(mine)} |")
    images = sum(result["budget"]["images"] for result in results)
    seeds = ", ".join(map(str, sorted({result["seed"] for result in results})))
    names = ", ".join(dict.fromkeys(result["class"] for result in results))
    lines += [
        "",
        f"{len(results)} runs: {names}; seeds {seeds}; {images} edited images for the trees. Machine: "
        f"{platform.machine()}, one thread, torch {torch.__version__.partition('+')[0]}. Correlations and shares are "
        "over all runs together; the seeds of a classifier and class share its truth table and are not independent.",
    ]
    return "\n".join(lines)


def correlation(rows: Sequence[Row]) -> float:
    """Spearman's, of estimated with true effects."""
    return correlation_of([row.estimate for row in rows], [row.true for row in rows])


def correlation_of(estimates: Sequence[float], true: Sequence[float]) -> float:
    """Spearman's."""
    return float(spearmanr(estimates, true).statistic)


def bench_measures(rows: Sequence[Row], results: Sequence[dict[str, Any]]) -> Iterable[tuple[str, str, str, int]]:
    """The classifiers that answer to one sub-type, and those that answer to a pair."""
    right = []
    for group in by_ranking([row for row in rows if row.classifier.startswith("subtype")]):
        planted = SUBTYPES[group[0].class_name]
        siblings = [row for row in group if row.attribute == "subtype" and row.value.startswith(planted.split("/")[0])]
        right.append(max(siblings, key=lambda row: row.estimate).value == planted)
    if right:
        yield "the planted sub-type above its siblings", ">= 0.9", f"{statistics.mean(right):.3f}", len(right)
    found = []
    for result in results:
        for combinations in result["combinations"].values():
            best = combinations[0] if combinations else []
            found.append({truth_name(path[:2]) for path in best} == PAIRS[result["class"]])
    if found:
        yield "pairs: the best combination is the planted one", ">= 0.8", f"{statistics.mean(found):.3f}", len(found)


def halving_measures(rows: Sequence[Row], results: Sequence[dict[str, Any]]) -> Iterable[tuple[str, str, str, int]]:
    """How many images halving takes, and whether it finds what all images find."""
    same, shares = [], []
    for group in by_ranking(rows):
        there = {(row.attribute, row.value) for row in group if abs(row.true) >= THERE}
        if not there:
            continue
        (result,) = (r for r in results if (r["class"], r["seed"]) == (group[0].class_name, group[0].seed))
        mine = result["halving"][group[0].classifier]
        first = sorted(group, key=lambda row: -abs(row.estimate))[:TOP]
        uniform = {(row.attribute, row.value) for row in first} & there
        same.append({truth_name(path) for path in mine["first"]} & there == uniform)
        shares.append(mine["share"])
    if same:
        median = f"{statistics.median(shares):.2f} (largest {max(shares):.2f})"
        yield "images that halving takes, share of uniform's, median", "<= 0.5", median, len(shares)
        yield (
            "halving has the same true effects >= 0.2 in its top five",
            "report",
            f"{statistics.mean(same):.3f}",
            len(same),
        )


def measures(rows: Sequence[Row]) -> Iterable[tuple[str, str, str, int]]:
    """Name, aim, value and count of every measure."""
    shortcut = [row for row in rows if row.classifier.startswith("shortcut")]
    fair = [row for row in rows if row.classifier.startswith("fair") and row.attribute in CONTEXT]
    real = [row for row in shortcut if abs(row.true) > ABSENT]
    if len(real) > 2:
        yield "Spearman, true effects beyond ±0.02", ">= 0.90", f"{correlation(real):.3f}", len(real)
        for name in dict.fromkeys(row.classifier for row in real):
            mine = [row for row in real if row.classifier == name]
            yield f"the same, {name} alone", "report", f"{correlation(mine):.3f}", len(mine)
        agree = statistics.mean(row.estimate * row.true > 0 for row in real)
        yield "sign agreement, the same", ">= 0.97", f"{agree:.3f}", len(real)
    if shortcut:
        error = math.sqrt(statistics.mean((row.estimate - row.true) ** 2 for row in shortcut))
        yield "root mean square error, all concepts", "report", f"{error:.3f}", len(shortcut)
        covered = statistics.mean(row.low <= row.true <= row.high for row in shortcut)
        yield "true effect inside the 95 % interval", ">= 0.85", f"{covered:.3f}", len(shortcut)
        half = statistics.median((row.high - row.low) / 2 for row in shortcut)
        yield "median half-width", "<= 0.05", f"{half:.3f}", len(shortcut)
        took = [row.took for row in shortcut if row.took is not None]
        yield "edits that took, where that is checked", "report", f"{statistics.mean(took):.3f}", len(took)
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
    parser.add_argument("--images", type=int, default=Engine.images)
    parser.add_argument("--outputs", type=Path, default=Path("outputs/diffex_world"))
    parser.add_argument("--table", action="store_true", help="make the table of what is there, run nothing")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    method, engine = DiffEx(), Engine(policy="uniform", images=options.images)
    if options.table:
        files = [
            file
            for seed in options.seeds
            for file in sorted(options.outputs.glob(f"*-{engine.images}-{seed}/result.json"))
        ]
    else:
        require(options.classes)
        files = [run(name, seed, options.outputs, method, engine) for seed in options.seeds for name in options.classes]
    text = table([json.loads(file.read_text(encoding="utf-8")) for file in files])
    if not options.print:
        write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
