"""Does the main job find the shortcut that is there, and none where there is none?

Three planted classes x {cnn, vit} x 5 seeds on the shortcut classifiers, with the constrained prompt (the
default) and the free one, and the same cells on the fair classifiers with the default prompt. A run is right on a
shortcut classifier if its top spurious concept was planted and, by the truth table, learned (effect >= 0.2), and is
said to raise the class; on a fair classifier if it calls nothing spurious.

The same command goes on where it stopped. Each run's result is a line of `shortcuts.jsonl`; the table is written to
`RESULTS.md` from these lines alone (`--table` writes it without running anything).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from diffexplain import configuration, paths
from diffexplain.effects.results import Verdict
from diffexplain.report.summary import Summary
from diffexplain.world.marked import write_between
from diffexplain.world.truth_table import THERE, TruthTable, truth_name

HERE = Path(__file__).parent
RECORD = HERE / "shortcuts.jsonl"
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- shortcuts: begin -->", "<!-- shortcuts: end -->"

PLANTED: dict[str, dict[str, tuple[str, str]]] = {
    "flagpole": {"a flag": ("companion", "flag")},
    "bee": {"a flower": ("companion", "flower")},
    "dog_sled": {"a dog": ("companion", "dog"), "in the snow": ("setting", "snow")},
}
"""For each class what was planted: how it is said, and attribute and value of the truth table."""

ARCHITECTURES = ("cnn", "vit")
SEEDS = (1, 2, 3, 4, 5)
WANTED = 27


@dataclass(frozen=True)
class Cell:
    """One run of the experiment."""

    world: str
    architecture: str
    class_name: str
    prompt: str
    seed: int

    @property
    def overrides(self) -> list[str]:
        return [
            f"classifier=world_{self.world}_{self.architecture}", f"target=class:{self.class_name}",
            f"prompt={self.prompt}", f"seed={self.seed}", "logger=local",
        ]  # fmt: skip

    @property
    def key(self) -> str:
        return f"{self.world}_{self.architecture} {self.class_name} {self.prompt} {self.seed}"


def cells() -> list[Cell]:
    """The default prompt first, then seed by seed, so that an unfinished experiment has all cells equally often."""
    settings = [[("shortcut", "constrained"), ("fair", "constrained")], [("shortcut", "free")]]
    return [
        Cell(world, architecture, class_name, prompt, seed)
        for together in settings
        for seed in SEEDS
        for world, prompt in together
        for architecture in ARCHITECTURES
        for class_name in PLANTED
    ]


def learned(cell: Cell) -> dict[str, float]:
    """The planted phrases of the class whose true effect is there, with the effect."""
    folder = paths.resolve_folder(f"embedded:classifiers/{cell.world}_{cell.architecture}")
    table = TruthTable.load(folder)
    effects = {phrase: table.effect(cell.class_name, *where) for phrase, where in PLANTED[cell.class_name].items()}
    return {phrase: effect for phrase, effect in effects.items() if effect >= THERE}


def judged(cell: Cell, summary: Summary, seconds: float) -> dict[str, Any]:
    """The line of the record for one finished run."""
    spurious = summary.having(Verdict.SPURIOUS)
    found = summary.found
    true = learned(cell)
    if cell.world == "fair":
        right = not spurious
    else:
        # A sub-type counts for its kind: "a striped flag" for "a flag".
        places = {PLANTED[cell.class_name][phrase] for phrase in true}
        right = bool(spurious) and spurious[0].over_all.score.value > 0 and truth_name(spurious[0].path[:2]) in places
    return {
        "key": cell.key, "world": cell.world, "architecture": cell.architecture, "class": cell.class_name,
        "prompt": cell.prompt, "seed": cell.seed, "identity": summary.identity[:12], "right": right,
        "learned": {phrase: round(effect, 3) for phrase, effect in true.items()},
        "spurious": [[concept.text, round(concept.over_all.score.value, 3)] for concept in spurious],
        "core": [concept.text for concept in summary.having(Verdict.CORE)],
        "activation": round(found.share.value, 3), "activation_images": found.share.n,
        "class_name_activation": next(
            (round(b.share.value, 3) for b in summary.baselines if b.name == "class name"), None
        ),
        "object_absent": None if summary.object_absence.share is None
        else round(summary.object_absence.share.value, 3),
        "steps": summary.optimisation.steps, "seconds": round(seconds, 1),
    }  # fmt: skip


def read_record() -> dict[str, dict[str, Any]]:
    """The lines there are, by their keys."""
    if not RECORD.exists():
        return {}
    return {row["key"]: row for row in map(json.loads, RECORD.read_text(encoding="utf-8").splitlines())}


def write_record(rows: Iterable[dict[str, Any]]) -> None:
    """All lines, sorted, so that the file does not depend on the order of the runs."""
    lines = [json.dumps(row, sort_keys=True) for row in sorted(rows, key=lambda row: str(row["key"]))]
    RECORD.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(todo: Sequence[Cell], shard: int, shards: int) -> None:
    """Make the runs that are not in the record, or that the record has from another configuration."""
    from diffexplain.app import Parts, make
    from diffexplain.runs.identity import identity

    parts = Parts()
    for number, cell in enumerate(todo):
        if number % shards != shard:
            continue
        config = configuration.compose(cell.overrides)
        row = read_record().get(cell.key)
        if row is not None and row["identity"] == identity({**config, "target": f"class:{cell.class_name}"})[:12]:
            continue
        began = time.perf_counter()
        summary = make(config, parts).summary
        if summary is None:
            raise RuntimeError(f"{cell.key} gave no summary")
        row = judged(cell, summary, time.perf_counter() - began)
        with FileLock(RECORD.with_suffix(".lock")):
            write_record({**read_record(), cell.key: row}.values())
        top = row["spurious"][0] if row["spurious"] else "nothing spurious"
        print(f"{number + 1}/{len(todo)} {cell.key}: {'right' if row['right'] else 'WRONG'}, {top}, "
              f"activation {row['activation']:.2f}, {row['seconds']:.0f} s", flush=True)  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as text, from the record alone."""
    lines = [
        "| classifiers | prompt | runs | right | wanted | activation | class name's |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = (("shortcut", "constrained"), ("fair", "constrained"), ("shortcut", "free"))
    for world, prompt in groups:
        group = [row for row in rows if (row["world"], row["prompt"]) == (world, prompt)]
        if group:
            right = sum(row["right"] for row in group)
            wanted = f">= {WANTED} of 30" if prompt == "constrained" else "reported"
            lines.append(
                f"| {world} | {prompt} | {len(group)} | {right} | {wanted} | {_mean(group, 'activation')} "
                f"| {_mean(group, 'class_name_activation')} |"
            )
    lines += ["", "| classifier | class | prompt | learned (true effect) | right | top spurious, by seed |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for world, prompt in groups:
        for architecture in ARCHITECTURES:
            for class_name in PLANTED:
                wanted_cell = (world, prompt, architecture, class_name)
                group = [
                    row for row in rows
                    if (row["world"], row["prompt"], row["architecture"], row["class"]) == wanted_cell
                ]  # fmt: skip
                if group:
                    true = ", ".join(f"{phrase} {effect:.2f}" for phrase, effect in group[0]["learned"].items())
                    tops = ", ".join(
                        f"{row['spurious'][0][0]} {row['spurious'][0][1]:.2f}" if row["spurious"] else "none"
                        for row in sorted(group, key=lambda row: int(row["seed"]))
                    )
                    right = f"{sum(row['right'] for row in group)} of {len(group)}"
                    lines.append(
                        f"| {world}_{architecture} | {class_name} | {prompt} | {true or 'nothing'} | {right} | {tops} |"
                    )
    seconds = sorted(row["seconds"] for row in rows)
    lines += [
        "",
        "Right: on a shortcut classifier, the top spurious concept was planted and learned (true effect >= "
        f"{THERE}) and is said to raise the class; on a fair one, nothing is called spurious. The runs are six "
        "independent cells (two classifiers, three classes) with five seeds each, not thirty independent trials. "
        "Figures beside concepts: effect on the class probability. Median "
        f"{seconds[len(seconds) // 2]:.0f} s a run on one thread ({platform.machine()}, other work beside it).",
    ]
    return "\n".join(lines)


def _mean(rows: Sequence[dict[str, Any]], key: str) -> str:
    values = [row[key] for row in rows if row[key] is not None]
    return f"{sum(values) / len(values):.2f}" if values else "-"


def write_table() -> str:
    """Put the table between its marks in RESULTS.md; returns it."""
    rows = list(read_record().values())
    text = table(rows)
    write_between(RESULTS, BEGIN, END, text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="write the table from the record, run nothing")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th run from the i-th on, for n processes")
    options = parser.parse_args()
    shard, shards = map(int, options.shard.split("/"))
    if not 0 <= shard < shards:
        parser.error(f"--shard {options.shard}: i counts from 0 and is less than n")
    if not options.table:
        run(cells(), shard, shards)
    if read_record():
        print(write_table())


if __name__ == "__main__":
    main()
