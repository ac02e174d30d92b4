"""Explain a class from Python, and read the run back as one would in a notebook.

python examples/explain_from_python.py [overrides, as on the command line]
"""

from __future__ import annotations

import sys

from diffexplain import explain, load_run


def main(*overrides: str, outputs: str = "outputs") -> None:
    """Explain the flagpole of the default classifier and print what was found."""
    # The same words as on the command line; a run that is finished already is only read.
    summary = explain("target=class:flagpole", f"paths.outputs={outputs}", *overrides)

    share = summary.found.share
    name = summary.target.class_name
    print(f"{summary.classifier.name} says {name} in {share.value:.0%} of {share.n} pictures.")
    for concept in summary.concepts:
        score = concept.over_all.score
        effect = f"{score.value:+.2f}, 95% interval {score.low:+.2f} to {score.high:+.2f}, n {score.n}"
        print(f"  {concept.text}: {concept.verdict}, {effect}")

    # Everything that a run leaves behind: summary, pictures with masks, curve and page.
    run = load_run(summary, outputs)
    height, width, _ = run.images[0].shape
    print(f"{len(run.images)} pictures of {width}x{height}, {len(run.curve)} steps. The page: {run.report}")


if __name__ == "__main__":
    main(*sys.argv[1:])
