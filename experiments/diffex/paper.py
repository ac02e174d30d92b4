"""DiffEx's published figures beside those of finished runs: `python experiments/diffex/paper.py <run> [<run> ...]`.

Each run is the directory of a run with `explainer=diffex`, on whatever classifier, prior and images: the paper's own
classifiers were not released. With a GPU and photographs of birds, for example:

    python run.py experiment=diffex_released images=<folder> classifier=clip \\
        'classifier.labels=[a hummingbird, a sparrow]' target=class:0 concepts.hierarchy=birds

People rated the paper's edits; ours are measured by proxies, which are not the same thing: for the quality of edits the
share that took, for disentanglement how far the rest of the image moved. The table is written to `RESULTS.md`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from diffexplain.evaluation.effect_results import Ranking
from diffexplain.report import LoadedRun, load_run
from diffexplain.world.marked import write_between

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- paper: begin -->", "<!-- paper: end -->"

PUBLISHED = {
    "attributes found": "10 in each domain (StylEx: 3 to 8)",
    "quality of edits": "rated 1 to 5: birds 3.386 ± .223, faces 3.659 ± .248",
    "disentanglement": "rated 1 to 5: birds 3.163 ± .197, faces 3.204 ± .213",
    "best combination": "shown in figures, without intervals",
}
"""DiffEx (arXiv 2412.18604), as reproduced in public slides of a seminar; not checked against the paper itself."""


def first(run: LoadedRun) -> Ranking:
    """The ranking of the run's own classifier."""
    if run.summary.effects is None:
        raise SystemExit(f"{run.directory} is no run of DiffEx: explainer=diffex makes one")
    return run.summary.effects.rankings[0]


def found(run: LoadedRun) -> str:
    """How many concepts move the first classifier beyond the margin, of how many."""
    concepts = first(run).concepts
    return f"{sum(concept.over_all.significant for concept in concepts)} of {len(concepts)} concepts"


def took(run: LoadedRun) -> str:
    """The share of checked edits that took."""
    shares = [concept.took for concept in first(run).concepts if concept.took is not None]
    pairs = sum(share.n for share in shares)
    return (
        f"{sum(share.value * share.n for share in shares) / pairs:.2f} took (n = {pairs})" if pairs else "not checked"
    )


def strayed(run: LoadedRun) -> str:
    """How far edits moved the rest of the image."""
    files = [json.loads(file.read_text(encoding="utf-8")) for file in run.directory.glob("diffex/edits-*.json")]
    records = [edit["record"] for file in files for edit in file["edits"]]
    far = [record["strayed"] for record in records if record["strayed"] is not None]
    return f"rest moved by {statistics.mean(far):.3f} of [0, 1] (n = {len(far)})" if far else "not checked"


def combination(run: LoadedRun) -> str:
    """The best joint combination of the first classifier, and its gain."""
    joint = [one for one in first(run).combinations if len(one.paths) > 1]
    if not joint:
        return "none beats its parts"
    names = " + ".join(path[-1] for path in joint[0].paths)
    gain = joint[0].gain
    return f"{names}: {gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"


MEASURES = {
    "attributes found": found,
    "quality of edits": took,
    "disentanglement": strayed,
    "best combination": combination,
}


def table(runs: Sequence[LoadedRun]) -> str:
    """One row for each measure: published, then each run."""
    heads = [f"{run.summary.classifier.name}, {run.summary.target.text}" for run in runs]
    lines = ["| | published | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(runs)]
    lines += [
        f"| {name} | {PUBLISHED[name]} | " + " | ".join(measure(run) for run in runs) + " |"
        for name, measure in MEASURES.items()
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    text = table([load_run(run) for run in options.runs])
    if not options.print:
        write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
