"""Measures the truth tables of the benchmark: `python -m experiments.shortcut_bench.truth [name ...]`.

The renders do not depend on the classifier: those of a class are made once and scored by all classifiers that it is
planted in. Only that class is measured. Beside the truth table stand the effects of planted pairs and of marks, which
it has no rows for. The same command goes on where it stopped, class by class.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from diffexplain.classifiers import load_classifier
from diffexplain.world.scenes import SUBJECTS
from diffexplain.world.truth_table import SCHEMA_VERSION, TRUTH_TABLE_FILE
from experiments.shortcut_bench.catalogue import SETS, chosen, part
from experiments.shortcut_bench.mark_effects import MARK_EFFECTS_FILE, mark_effects, measure_mark
from experiments.shortcut_bench.pairs import PAIR_EFFECTS_FILE, measure_corners, pair_effects, save_rows
from experiments.shortcut_bench.specification import ROOT, Shortcut, Specification
from experiments.world.truth import Logits, Model, TruthTable, effects, measure_logits, weights_digest

SEED = 2
SHOWING = 400
"""Scenes that show the class."""
WITHOUT = 24
"""Scenes that show each of the others."""


def pairs_of(one: Specification) -> list[Shortcut]:
    """The shortcuts of two values."""
    return [shortcut for shortcut in one.planted if len(shortcut) == 2]


def is_measured(folder: Path) -> bool:
    """Whether the weights in the folder have their tables; those from before the log-odds are to be made again."""
    # The truth table is written last.
    if not (folder / TRUTH_TABLE_FILE).is_file():
        return False
    table = TruthTable.load(folder)
    return table.schema_version == SCHEMA_VERSION and table.fits(folder)


def measure(root: Path, together: Sequence[Specification], showing: int = SHOWING, without: int = WITHOUT) -> None:
    """Write the tables of trained classifiers that share their class.

    Args:
        root: folder of the classifiers.
        together: the classifiers.
        showing: scenes that show the class.
        without: scenes that show each of the others.
    """
    (class_name,) = {one.class_name for one in together}
    models: dict[str, Model] = {one.name: load_classifier(str(root / one.name)) for one in together}
    counts = {subject: showing if subject == class_name else without for subject in SUBJECTS}
    logits: dict[str, dict[str, Logits]] = {name: {} for name in models}
    for subject, count in counts.items():
        for name, values in measure_logits(models, subject, count, SEED).items():
            logits[name][subject] = values
    for one in together:
        folder = root / one.name
        model = {one.name: models[one.name]}
        if pairs := pairs_of(one):
            at_corners = {
                pair: {s: measure_corners(model, pair, s, n, SEED)[one.name] for s, n in counts.items()}
                for pair in pairs
            }
            rows = [pair_effects(values, class_name, pair) for pair, values in at_corners.items()]
            save_rows(folder / PAIR_EFFECTS_FILE, rows, SEED)
        if one.mark is not None:
            painted = {s: measure_mark(model, one.mark, s, n, SEED)[one.name] for s, n in counts.items()}
            save_rows(folder / MARK_EFFECTS_FILE, [mark_effects(painted, class_name, one.mark)], SEED)
        table = tuple(row for row in effects(logits[one.name], SUBJECTS) if row["class"] == class_name)
        TruthTable(one.name, weights_digest(folder), SEED, showing, table).save(folder)


def main() -> None:
    """Measure the classifiers named on the command line, all that are trained by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--set", choices=SETS, default="halves", help="of classifiers, where none is named")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the classifiers")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th class from the i-th on, for n processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    trained = [
        one for one in chosen(options.names, options.set) if (options.root / one.name / "training.json").is_file()
    ]
    left = [one for one in trained if not is_measured(options.root / one.name)]
    for class_name in part(SUBJECTS, options.shard):
        together = [one for one in left if one.class_name == class_name]
        if together:
            started, spent = time.monotonic(), time.process_time()
            measure(options.root, together)
            print(
                f"{class_name}: {len(together)} classifiers, {time.monotonic() - started:.0f} s, "
                f"{time.process_time() - spent:.0f} s of one core",
                flush=True,
            )


if __name__ == "__main__":
    main()
