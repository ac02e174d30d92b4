"""DEXTER's Table 3: how often pictures of a text activate the class: class name, found prompts, captions, random words.

python -m experiments.dexter_table3.make                     the embedded world
python -m experiments.dexter_table3.make --profile paper     robust ResNet-50 with Stable Diffusion's prior
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffexplain.evaluation.results import Activation
from diffexplain.statistics.tests import bootstrap_mean
from experiments.papers.paper_tables import NOTHING, Made, Sweep, head, main, row, shown, spread

HERE = Path(__file__).parent

RESAMPLES = 2000
TEXTS: dict[str, tuple[str, str]] = {
    "class name": ("DiffExplainer", "class name"),
    "DiffExplainer captions": ("DiffExplainer", "captions"),
    "DiffExplainer, the prompt itself": ("DiffExplainer", "found prompt"),
    "DEXTER": ("DEXTER", "found prompt"),
    "random words": ("DiffExplainer", "random words"),
    "neutral": ("DiffExplainer", "neutral"),
}
"""Which method's run, and which prompt of its summary, a row of the table is. DEXTER's prompt is of words: a text."""


def activation(run: Made, name: str) -> Activation | None:
    """Of one prompt of a run; None if the run has none of that name."""
    return next((one for one in run.summary.activation if one.name == name), None)


def scores(runs: Sequence[Made], name: str) -> list[float]:
    """The share of each class, in percent; no captions, as where hardly a picture activates, are no share."""
    found = [activation(run, name) for run in runs]
    return [100 * one.share.value for one in found if one is not None]


def text_rows(sweep: Sweep) -> list[str]:
    """Published and ours for each kind of text: mean ± deviation over classes, and the interval of all of ours."""
    names = ["text", "spurious: published", "ours", "core: published", "ours", "mean: published", "ours [95 %], n"]
    lines = head(names)
    known = sweep.published["texts"]
    for name in dict.fromkeys([*known, *TEXTS]):
        method, prompt = TEXTS.get(name, (None, None))
        values: list[object] = [name]
        for group in ("spurious", "core"):
            values.append("{:.2f} ± {:.2f}".format(*known[name][group]) if name in known else NOTHING)
            values.append(_ours(sweep, method, prompt, group))
        values.append(f"{known[name]['mean']:.2f}" if name in known else NOTHING)
        values.append(_mean(sweep, method, prompt))
        lines.append(row(values))
    return lines


def class_rows(sweep: Sweep) -> list[str]:
    """Each class: its name's score and DEXTER's, published and ours, and the words that DEXTER's masks were given."""
    names = ["group", "class", "class name: published", "ours", "DEXTER: published", "ours"]
    lines = head([*names, "DiffExplainer captions", "DEXTER's words"])
    known = sweep.published["classes"]
    for cell in sweep.cells:
        if cell.method != "DiffExplainer":
            continue
        first, other = (
            next((run for run in sweep.of(method, cell.group) if run.cell.target == cell.target), None)
            for method in ("DiffExplainer", "DEXTER")
        )
        said = (
            known.get(cell.target.class_index, (NOTHING, NOTHING)) if sweep.profile == "paper" else (NOTHING, NOTHING)
        )
        values = [cell.group, cell.target.class_name, said[0], _share(sweep, first, "class name")]
        values += [said[1], _share(sweep, other, "found prompt"), _share(sweep, first, "captions")]
        lines.append(row([*values, NOTHING if other is None else _words(other)]))
    return lines


def table(sweep: Sweep) -> str:
    """Both tables."""
    return "\n".join([*text_rows(sweep), "", *class_rows(sweep), "", sweep.made_with()])


def _ours(sweep: Sweep, method: str | None, prompt: str | None, group: str) -> str:
    if method is None or prompt is None:
        return "not made"
    runs = sweep.of(method, group)
    return spread(scores(runs, prompt)) if runs else sweep.not_run


def _mean(sweep: Sweep, method: str | None, prompt: str | None) -> str:
    """Over the classes of both groups, the interval by bootstrap over classes."""
    if method is None or prompt is None:
        return "not made"
    runs = sweep.of(method)
    if not runs:
        return sweep.not_run
    groups = [scores(sweep.of(method, group), prompt) for group in sweep.groups]
    values = [value for group in groups for value in group]
    if not all(groups):
        return sweep.not_run
    estimate = bootstrap_mean(values, np.random.default_rng(0), RESAMPLES)
    images = sum(one.share.n for run in runs if (one := activation(run, prompt)) is not None)
    mean = statistics.mean(statistics.mean(group) for group in groups)
    return f"{mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}], {len(values)} classes, {images} images"


def _share(sweep: Sweep, run: Made | None, name: str) -> str:
    if run is None:
        return sweep.not_run
    found = activation(run, name)
    return NOTHING if found is None else shown(found.share)


def _words(run: Made) -> str:
    """The word of each mask."""
    assert run.summary.words is not None
    return ", ".join(nearest[0] for nearest in run.summary.words.nearest)


if __name__ == "__main__":
    sys.exit(main(HERE, table))
