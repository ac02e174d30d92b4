"""Measures the truth tables of the embedded classifiers: `python -m experiments.world.truth_tables`.

All classifiers see the same renders. Each table is written beside its weights, and the model card anew.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from diffexplain.classifiers import load_classifier
from diffexplain.weights.paths import EMBEDDED_ROOT
from diffexplain.world.scenes import SUBJECTS
from diffexplain.world.truth_table import TRUTH_TABLE_FILE
from experiments.world.model_cards import write_classifier_card
from experiments.world.truth import Logits, measure_logits, truth_table
from experiments.world.worlds import CLASSIFIER_WORLDS

DEFAULT_SEED = 1


def main() -> None:
    """Measure the classifiers named on the command line, all that exist by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(CLASSIFIER_WORLDS))
    parser.add_argument("--root", type=Path, default=EMBEDDED_ROOT / "classifiers", help="folder of the classifiers")
    parser.add_argument("--scenes", type=int, default=500, help="scenes that show each subject")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the scenes")
    arguments = parser.parse_args()
    names = arguments.names or [
        name for name in CLASSIFIER_WORLDS if (arguments.root / name / "model.safetensors").is_file()
    ]
    models = {name: load_classifier(str(arguments.root / name)) for name in names}

    started = time.monotonic()
    logits: dict[str, dict[str, Logits]] = {name: {} for name in names}
    for subject in SUBJECTS:
        measured = measure_logits(models, subject, arguments.scenes, arguments.seed)
        for name in names:
            logits[name][subject] = measured[name]
        print(f"{subject}: {time.monotonic() - started:.0f} s", flush=True)
    for name, model in models.items():
        folder = arguments.root / name
        truth_table(folder, logits[name], model.labels.names, arguments.seed).save(folder)
        write_classifier_card(folder)
        print(f"{folder / TRUTH_TABLE_FILE}")


if __name__ == "__main__":
    main()
