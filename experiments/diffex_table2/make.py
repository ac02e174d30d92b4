"""DiffEx's Table 2, attributes of birds by a user study; here by kind of attribute, with truth tables for people.

python -m experiments.diffex_table2.make                     the embedded world
python -m experiments.diffex_table2.make --profile paper     CLIP without training, with Stable Diffusion's prior
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.diffex_table2.grad_cam_lifts import ELEMENTS, lifts
from experiments.papers.paper_tables import NOTHING, Sweep, head, main, row, shown
from experiments.papers.true_effects import clustered_share, concepts_of, rankings

HERE = Path(__file__).parent

APART = 0.1
"""Least difference of two true effects that a question is asked about; our choice."""
CATEGORIES = {
    "crest": "crest", "beak shape": "beak shape", "throat": "throat", "feather texture": "plumage", "eye": "eye",
    "beak colour": "beak colour", "head": "head", "upperparts": "upperparts",
}  # fmt: skip
"""Where our hierarchy of birds has the paper's attributes."""

Answers = Mapping[tuple[str, str], Sequence[bool]]
"""By classifier and class."""


def questions(rows: Sequence[Any], scores: Mapping[tuple[str, str, str, str], float]) -> Answers:
    """Of every two values of one kind whose true effects lie apart: does the larger score go with the larger effect?

    Args:
        rows: each with `classifier`, `class_name`, `attribute`, `value` and `true`.
        scores: by these four names; pairs without both scores are not asked about.
    """
    answers: dict[tuple[str, str], list[bool]] = {}
    for first, second in itertools.combinations(rows, 2):
        same = (first.classifier, first.class_name) == (second.classifier, second.class_name)
        if not same or _parent(first) != _parent(second) or abs(first.true - second.true) < APART:
            continue
        if not all(_key(one) in scores for one in (first, second)):
            continue
        right = (scores[_key(first)] - scores[_key(second)]) * (first.true - second.true) > 0
        answers.setdefault((first.classifier, first.class_name), []).append(right)
    return answers


def table(sweep: Sweep) -> str:
    """Published, and ours."""
    lines = world_table(sweep) if sweep.profile == "world" else paper_table(sweep)
    return "\n".join([*lines, "", sweep.made_with()])


def world_table(sweep: Sweep) -> list[str]:
    """The study's table as it is, and below it that of the truth tables, whose attributes are others."""
    methods = sweep.published["methods"]
    lines = head(["attribute of birds", *(f"published: {method}" for method in methods)])
    lines += [row([name, *values]) for name, values in sweep.published["attributes"].items()]
    lines += [row(["mean", *sweep.published["mean"]]), ""]
    lines += head(["kind of attribute, embedded world", "ours: Grad-CAM", "ours: DiffEx"])
    if not sweep.made:
        return [*lines, row(["all", sweep.not_run, sweep.not_run])]
    rows = [one for one in concepts_of(sweep.made) if one.classifier.startswith("shortcut")]
    effects = {_key(one): one.estimate for one in rows}
    places = {(one.classifier, one.class_name) for one in rows}
    maps = lifts(sorted(places), sweep.outputs / "grad_cam")
    for kind in dict.fromkeys(one.attribute for one in rows):
        mine = [one for one in rows if one.attribute == kind]
        seen = kind in {attribute for attribute, _ in ELEMENTS.values()}
        lines.append(row([kind, _percent(mine, maps) if seen else "has no mask", _percent(mine, effects)]))
    both = [one for one in rows if _key(one) in maps]
    lines.append(row(["companion and setting, where both have a score", _percent(both, maps), _percent(both, effects)]))
    return [*lines, row(["all", NOTHING, _percent(rows, effects)])]


def paper_table(sweep: Sweep) -> list[str]:
    """Each attribute of birds: what people answered, and what of it moves our classifier."""
    methods = sweep.published["methods"]
    lines = head(
        ["attribute", *(f"published: {method}, %" for method in methods), "ours: concepts found", "largest effect"]
    )
    runs = sweep.of(group="birds")
    for name, values in sweep.published["attributes"].items():
        ours = [sweep.not_run] * 2
        if runs:
            concepts = [one for one in rankings(runs[0])[0].ranked if one.path[0] == CATEGORIES[name]]
            found = sum(one.over_all.significant for one in concepts)
            largest = f"{concepts[0].path[-1]} {shown(concepts[0].over_all.adjusted, sign='+')}"
            ours = [f"{found} of {len(concepts)}", largest]
        lines.append(row([name, *values, *ours]))
    return [*lines, row(["mean", *sweep.published["mean"], NOTHING, NOTHING])]


def _percent(rows: Sequence[Any], scores: Mapping[tuple[str, str, str, str], float]) -> str:
    share = clustered_share(questions(rows, scores))
    if share is None:
        return "nothing to ask"
    return f"{100 * share.value:.0f} [{100 * share.low:.0f}, {100 * share.high:.0f}], n {share.n}"


def _parent(one: Any) -> tuple[str, str]:
    """What the values of a question have in common: their kind, and of a sub-type the thing."""
    return one.attribute, one.value.rpartition("/")[0]


def _key(one: Any) -> tuple[str, str, str, str]:
    return one.classifier, one.class_name, one.attribute, one.value


if __name__ == "__main__":
    sys.exit(main(HERE, table))
