"""DiffEx's Figures 4 to 7: trees of attributes by the effect of editing them in, and the best joint combinations.

python -m experiments.diffex_figures4_7.make                     the embedded world
python -m experiments.diffex_figures4_7.make --profile paper     CLIP without training, with Stable Diffusion's prior
"""

from __future__ import annotations

import sys
from pathlib import Path

from diffexplain.effects.results import ConceptEffect, Ranking
from experiments.papers.paper_tables import Sweep, main, shown
from experiments.papers.true_effects import rankings

HERE = Path(__file__).parent

COMBINATIONS = 2
"""Joint combinations that are shown, the best."""


def table(sweep: Sweep) -> str:
    """A tree for each domain and classifier."""
    lines = [f"Published: {sweep.published['shown']}; {sweep.published['smallest']}.", ""]
    for group in sweep.groups:
        lines += [f"### {group}", ""]
        runs = sweep.of(group=group)
        if not runs:
            lines += [f"{sweep.not_run[0].upper()}{sweep.not_run[1:]}.", ""]
        for run in runs:
            for ranking in rankings(run):
                lines += [*tree(ranking), ""]
    return "\n".join([*lines, sweep.made_with()])


def tree(ranking: Ranking) -> list[str]:
    """What is significant as nested lines, the largest effect of a category first, and what is best together."""
    kept = [concept for concept in ranking.ranked if concept.over_all.significant]
    count = f"{len(kept)} of {len(ranking.concepts)} concepts beyond the margin"
    lines = [f"**{ranking.classifier}**, {ranking.target}: {count}; null edit {shown(ranking.null_score)}", ""]
    for category in dict.fromkeys(concept.path[0] for concept in kept):
        mine = [concept for concept in kept if concept.path[0] == category]
        if all(len(concept.path) > 1 for concept in mine):
            lines.append(f"- {category}")
        lines += _below(mine, (category,))
    if not kept:
        lines.append("- nothing")
    joint = [one for one in ranking.combinations if len(one.paths) > 1][:COMBINATIONS]
    for one in joint:
        names = " + ".join(path[-1] for path in one.paths)
        more = "" if one.over_parent is None else f"; beyond its best part {shown(one.over_parent, sign='+')}"
        lines.append(f"- together: {names} {shown(one.gain, sign='+')}{more}")
    return lines


def _below(concepts: list[ConceptEffect], above: tuple[str, ...]) -> list[str]:
    """Concepts of a category: parents before what is below them, else the largest effect first."""
    lines = []
    for concept in concepts:
        parents = [
            other for other in concepts if other.path == concept.path[: len(other.path)] and other is not concept
        ]
        if parents:
            continue
        lines.append(_line(concept, len(concept.path) - len(above)))
        children = [
            other for other in concepts if other is not concept and other.path[: len(concept.path)] == concept.path
        ]
        lines += [_line(child, len(child.path) - len(above)) for child in children]
    return lines


def _line(concept: ConceptEffect, depth: int) -> str:
    return f"{'  ' * depth}- {concept.path[-1]} {shown(concept.over_all.adjusted, sign='+')}"


if __name__ == "__main__":
    sys.exit(main(HERE, table))
