"""Explains the classifiers of the benchmark by every method: `python -m experiments.shortcut_bench.bench`.

Without options, the whole: classifiers are trained and their truth tables measured where they are missing, then each
method explains all classifiers of a class, class by class. `--slice` takes a few classifiers and the default methods,
for a look in some minutes; `--set` takes the designs that no method was tuned on. Every answer is a file under
`--outputs`; the same command goes on where it stopped. `RESULTS.md`, a CSV for each set and the plots are made from
these files alone (`--table` makes them and runs nothing); tables of a part are written beside the answers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from diffexplain.classifiers import load_classifier
from diffexplain.weights.atomic import write_json
from diffexplain.world.scenes import SUBJECTS
from experiments.shortcut_bench.catalogue import SETS, chosen, part
from experiments.shortcut_bench.explained import Explained, Studied
from experiments.shortcut_bench.methods import METHODS
from experiments.shortcut_bench.results import write_results
from experiments.shortcut_bench.specification import ROOT, Specification, classifiers, halves

HERE = Path(__file__).parent
SEED = 21
"""Of all methods; none that they were looked at with."""

OUTPUTS = ROOT.parent
SLICE = ("companion_flagpole_cnn", "subtype_bee_cnn", "fair_bee_cnn", "random_weights_flagpole_vit")
SLICE_METHODS = ("default", "diffex", "grad_cam", "correlation", "chance")


def answer_file(outputs: Path, seed: int, method: str, name: str) -> Path:
    """Where one answer is kept."""
    return outputs / "answers" / f"seed{seed}" / method / f"{name}.json"


def answers(outputs: Path, seed: int, method: str, names: Sequence[str]) -> dict[str, Explained]:
    """The answers there are, by classifier."""
    files = {name: answer_file(outputs, seed, method, name) for name in names}
    return {
        name: Explained.from_json(json.loads(file.read_text(encoding="utf-8")))
        for name, file in files.items()
        if file.is_file()
    }


def make_classifiers(names: Sequence[str], root: Path) -> None:
    """Train what is missing and measure its truth table, by the commands that do so."""
    missing = [name for name in names if not (root / name / "truth_table.json").is_file()]
    if missing:
        for script in ("train", "truth"):
            command = [sys.executable, "-m", f"experiments.shortcut_bench.{script}", "--root", str(root), *missing]
            subprocess.run(command, check=True)


def groups(specifications: Sequence[Specification]) -> Iterator[list[Specification]]:
    """Classifiers of the same class, in the order of the classes."""
    for class_name in SUBJECTS:
        group = [one for one in specifications if one.class_name == class_name]
        if group:
            yield group


def explain(group: Sequence[Specification], method: str, root: Path, outputs: Path, seed: int) -> None:
    """Make the answers that are missing for classifiers of one class."""
    names = [one.name for one in group]
    known = answers(outputs, seed, method, names)
    missing = [one for one in group if one.name not in known]
    earlier = {other: answers(outputs, seed, other, names) for other in METHODS[method].needs}
    missing = [one for one in missing if all(one.name in found for found in earlier.values())]
    if not missing:
        return
    started = time.monotonic()
    # The edits are shared by all classifiers of a class, so all of them are handed over.
    wanted = group if METHODS[method].shares_edits else missing
    studied = [Studied(one, root / one.name, load_classifier(str(root / one.name))) for one in wanted]
    left = {one.name for one in missing}
    for explained in METHODS[method].explain(studied, seed, outputs / "work", earlier):
        if explained.classifier in left:
            file = answer_file(outputs, seed, method, explained.classifier)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, explained.to_json())
    print(f"{method}, {group[0].class_name}: {len(missing)} in {time.monotonic() - started:.0f} s", flush=True)


def run(specifications: Sequence[Specification], methods: Sequence[str], options: argparse.Namespace) -> None:
    """Make what is missing: weights, truth tables, answers."""
    split = halves(classifiers())
    if not any(METHODS[method].shares_edits for method in methods):
        specifications = [one for one in specifications if options.half in (None, split.get(one.name))]
    make_classifiers([one.name for one in specifications], options.root)
    for group in groups(specifications):
        for method in methods:
            some = [one for one in group if options.half in (None, split.get(one.name))]
            wanted = group if METHODS[method].shares_edits else some
            explain(wanted, method, options.root, options.outputs, options.seed)


def run_in_processes(jobs: int, arguments: Sequence[str]) -> None:
    """Let so many processes do a part each.

    Raises:
        SystemExit: one of them failed.
    """
    commands = [
        [sys.executable, "-m", "experiments.shortcut_bench.bench", *arguments, "--shard", f"{place}/{jobs}"]
        for place in range(jobs)
    ]
    processes = [subprocess.Popen(command) for command in commands]
    statuses = [process.wait() for process in processes]  # of all, before any of them is judged
    if any(statuses):
        raise SystemExit("a part of the benchmark failed; the same command goes on with what is missing")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slice", action="store_true", help=f"{len(SLICE)} classifiers, {len(SLICE_METHODS)} methods")
    parser.add_argument("--set", choices=SETS, default="halves", help="of classifiers")
    parser.add_argument("--classifiers", nargs="+", metavar="NAME", help="these of the set alone")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--half", choices=("development", "held_out"), help="of the set `halves`, these alone")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the classifiers")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS)
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the classes")
    parser.add_argument("--shard", help="i/n: every n-th class from the i-th on, and no tables: one of n processes")
    parser.add_argument("--table", action="store_true", help="make the tables of what is there, run nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", message=".*num_workers.*")

    if options.half and options.set != "halves":
        parser.error(f"the set {options.set} has no halves")
    specifications = chosen(SLICE if options.slice else options.classifiers or (), options.set)
    methods = options.methods or (SLICE_METHODS if options.slice else tuple(METHODS))
    if options.shard:
        mine = part(list(groups(specifications)), options.shard)
        run([one for group in mine for one in group], methods, options)
        return
    if not options.table:
        if options.jobs > 1:
            run_in_processes(options.jobs, sys.argv[1:] if arguments is None else arguments)
        else:
            run(specifications, methods, options)
    names = [one.name for one in specifications]
    found = {method: answers(options.outputs, options.seed, method, names) for method in METHODS}
    is_part = options.slice or bool(options.classifiers) or options.half is not None
    write_results(found, options.root, options.seed, options.set, options.outputs / "part" if is_part else None)


if __name__ == "__main__":
    main()
