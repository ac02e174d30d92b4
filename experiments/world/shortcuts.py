"""Does the main job find the shortcut that is there, and none where there is none?

Three planted classes x {cnn, vit} x 3 seeds on the shortcut classifiers, and the same cells on the fair ones: the
default run's verdicts, in which the optimised prompt has no part (`explainer=randomised_prompts`). A verdict is right
on a shortcut classifier if its top spurious concept was planted and, by the truth table, learned (effect >= 0.2), and
is said to raise the class; on a fair classifier if nothing is called spurious.

Every concept is compared with its true effect, too, and so it is on the nine other classes, with one seed. The prior's
error is calibrated on the planted classes and five of the nine, with another seed (`calibrate_effects.py`).

The same command goes on where it stopped. Each verdict is a line of `shortcuts.jsonl`; the table is written to
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

from diffexplain.config import configuration
from diffexplain.effects.results import ConceptEffect, Ranking, Verdict
from diffexplain.statistics.tests import wilson
from diffexplain.weights import paths
from diffexplain.world.scenes import SUBJECTS
from diffexplain.world.truth_table import truth_name
from experiments.marked import write_between
from experiments.world.truth import ABSENT, THERE, TruthTable

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

WORLDS, ARCHITECTURES = ("shortcut", "fair"), ("cnn", "vit")
SEEDS = (1, 2, 3)
WANTED = 0.9
CALLED = {True: "right", False: "WRONG", None: "nothing planted"}
OTHERS = tuple(subject for subject in SUBJECTS if subject not in PLANTED)
"""Classes with which nothing was planted."""
GROUPS = {f"{THERE} and more": (THERE, 9.0), "between": (ABSENT, THERE), f"within {ABSENT}": (0.0, ABSENT)}
"""Sizes of true effects: from the first bound on, to the second."""


@dataclass(frozen=True)
class Cell:
    """One run of the experiment."""

    world: str
    architecture: str
    class_name: str
    seed: int

    @property
    def classifier(self) -> str:
        return f"world_{self.world}_{self.architecture}"

    @property
    def overrides(self) -> list[str]:
        return [
            f"classifier={self.classifier}", f"target=class:{self.class_name}", "explainer=randomised_prompts",
            f"seed={self.seed}", "logger=local",
        ]  # fmt: skip

    @property
    def key(self) -> str:
        return f"{self.world}_{self.architecture} {self.class_name} {self.seed}"


def cells() -> list[Cell]:
    """Seed by seed, so that an unfinished experiment has all classes equally often."""
    return [
        Cell(world, architecture, class_name, seed)
        for seed in SEEDS
        for class_name in (*PLANTED, *(OTHERS if seed == SEEDS[0] else ()))
        for world in WORLDS
        for architecture in ARCHITECTURES
    ]


def learned(cell: Cell) -> dict[str, float]:
    """The planted phrases of the class whose true effect is there, with the effect."""
    folder = paths.resolve_folder(f"embedded:classifiers/{cell.world}_{cell.architecture}")
    table = TruthTable.load(folder)
    planted = PLANTED.get(cell.class_name, {})
    effects = {phrase: table.effect(cell.class_name, *where) for phrase, where in planted.items()}
    return {phrase: effect for phrase, effect in effects.items() if effect >= THERE}


def judged(cell: Cell, ranking: Ranking, identity: str) -> dict[str, Any]:
    """The line of the record for what was said of one classifier."""
    spurious = [concept for concept in ranking.ranked if concept.verdict is Verdict.SPURIOUS]
    true = learned(cell)
    right: bool | None = None
    if cell.world == "fair":
        right = not spurious
    elif true:
        # A sub-type counts for its kind: "a striped flag" for "a flag".
        places = {PLANTED[cell.class_name][phrase] for phrase in true}
        right = bool(spurious) and spurious[0].over_all.score.value > 0 and truth_name(spurious[0].path[:2]) in places
    itself = None if ranking.itself is None or ranking.itself.effect is None else ranking.itself.effect.score
    recognised = None if ranking.itself is None else ranking.itself.recognised
    return {
        "key": cell.key, "world": cell.world, "architecture": cell.architecture, "class": cell.class_name,
        "seed": cell.seed, "identity": identity, "right": right,
        "learned": {phrase: round(effect, 3) for phrase, effect in true.items()},
        "spurious": [[concept.text, round(concept.over_all.score.value, 3)] for concept in spurious],
        "appearance": [
            [concept.text, round(concept.over_all.score.value, 3)]
            for concept in ranking.ranked if concept.verdict is Verdict.APPEARANCE
        ],
        "itself": None if itself is None else [round(end, 3) for end in (itself.value, itself.low, itself.high)],
        "recognised": None if recognised is None else [round(recognised.value, 4), recognised.n],
        "concepts": {" > ".join(concept.path): _beside_the_truth(cell, concept) for concept in ranking.concepts},
        "untested": len(ranking.untested),
    }  # fmt: skip


def _beside_the_truth(cell: Cell, concept: ConceptEffect) -> list[Any]:
    """True effect, the measured one, its interval, the verdict, and whether it is said to be there."""
    table = TruthTable.load(paths.resolve_folder(f"embedded:classifiers/{cell.world}_{cell.architecture}"))
    score, true = concept.over_all.score, table.effect(cell.class_name, *truth_name(concept.path))
    numbers = [round(number, 4) for number in (true, score.value, score.low, score.high)]
    return [*numbers, concept.verdict.value, concept.over_all.significant]


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
    """Make the runs that are not in the record, or that the record has from another configuration.

    The classifiers of one class and seed are tested on the same pictures, each as it would be alone.
    """
    from diffexplain.app import make
    from diffexplain.config.digests import known
    from diffexplain.config.identity import identity
    from diffexplain.pipelines.parts import Parts

    parts = Parts()
    together: dict[tuple[str, int], list[Cell]] = {}
    for cell in todo:
        together.setdefault((cell.class_name, cell.seed), []).append(cell)
    for number, ((class_name, seed), group) in enumerate(together.items()):
        if number % shards != shard:
            continue
        first, *others = group
        compared = f"compare=[{','.join(cell.classifier for cell in others)}]"
        config = configuration.compose([*first.overrides, compared])
        expected = identity(known({**config, "target": f"class:{class_name}"}))[:12]
        if all(read_record().get(cell.key, {}).get("identity") == expected for cell in group):
            continue
        began = time.perf_counter()
        summary = make(config, parts).summary
        if summary is None or summary.effects is None:
            raise RuntimeError(f"{class_name}, seed {seed}, gave no effects")
        seconds = (time.perf_counter() - began) / len(group)
        rows = {
            cell.key: judged(cell, ranking, expected)
            for cell, ranking in zip(group, summary.effects.rankings, strict=True)
        }
        with FileLock(RECORD.with_suffix(".lock")):
            write_record({**read_record(), **rows}.values())
        for key, row in rows.items():
            top = row["spurious"][0] if row["spurious"] else "nothing spurious"
            print(
                f"{key}: {CALLED[row['right']]}, {top}, {seconds:.0f} s",
                flush=True,
            )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as text, from the record alone."""
    lines = ["| classifiers | verdicts | right | wanted |", "|---|---|---|---|"]
    planted = [row for row in rows if row["class"] in PLANTED]
    for world in WORLDS:
        group = [row for row in planted if row["world"] == world]
        if group:
            right = sum(row["right"] for row in group)
            lines.append(f"| {world} | {len(group)} | {shown(right, len(group))} | >= {WANTED} |")
    lines += ["", "| classifier | class | learned (true effect) | right | top spurious, by seed | the object itself |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for world in WORLDS:
        for architecture in ARCHITECTURES:
            for class_name in PLANTED:
                wanted = (world, architecture, class_name)
                group = [row for row in planted if (row["world"], row["architecture"], row["class"]) == wanted]
                if group:
                    group.sort(key=lambda row: int(row["seed"]))
                    true = ", ".join(f"{phrase} {effect:.2f}" for phrase, effect in group[0]["learned"].items())
                    tops = ", ".join(
                        f"{row['spurious'][0][0]} {row['spurious'][0][1]:+.2f}" if row["spurious"] else "none"
                        for row in group
                    )
                    itself = ", ".join(f"{row['itself'][0]:+.2f}" for row in group if row["itself"])
                    right = f"{sum(row['right'] for row in group)} of {len(group)}"
                    name = f"{world}_{architecture}"
                    lines.append(f"| {name} | {class_name} | {true or 'nothing'} | {right} | {tops} | {itself} |")
    lines += [
        "",
        "Right: on a shortcut classifier, the top spurious concept was planted and learned (true effect >= "
        f"{THERE}) and is said to raise the class; on a fair one, nothing is called spurious. Six cells (two "
        "classifiers, three classes), whose pictures all four classifiers of a class share, with three seeds each: no "
        f"independent trials. Figures beside concepts: effect on the class probability ({platform.machine()}).",
        "",
        *_calibration(rows),
    ]
    return "\n".join(lines)


def _calibration(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Intervals and verdicts beside true effects, by the size of these; the classes of the calibration apart."""
    head = ("classes", "true effect", "effects", "intervals that hold it", "median half-width",
            "said to be there, right sign", "wrong sign", "no effect", "undecided")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, classes in (("planted", tuple(PLANTED)), ("the other nine", OTHERS)):
        for label, (low, high) in GROUPS.items():
            some = [
                one for row in rows if row["class"] in classes for one in row["concepts"].values()
                if low <= abs(one[0]) < high or (low == 0 and abs(one[0]) == high)
            ]  # fmt: skip
            if not some:
                continue
            holds = sum(one[2] <= one[0] <= one[3] for one in some)
            halves = sorted((one[3] - one[2]) / 2 for one in some)
            said = [one for one in some if one[5]]
            right = sum(one[0] * one[1] > 0 for one in said)
            counts = [sum(one[4] == verdict for one in some) for verdict in ("no effect", "undecided")]
            shares = [f"{count / len(some):.2f}" for count in (right, len(said) - right, *counts)]
            lines.append(
                f"| {name} | {label} | {len(some)} | {shown(holds, len(some))} | {halves[len(halves) // 2]:.3f} | "
                + " | ".join(shares)
                + " |"
            )
    return lines


def shown(count: int, of: int) -> str:
    """A share with its Wilson interval, which takes the concepts of one classifier for independent."""
    share = wilson(count, of)
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"


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
