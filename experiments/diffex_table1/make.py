"""DiffEx's Table 1: how many attributes are found in a domain; on the embedded world, how many of those that are there.

python -m experiments.diffex_table1.make                     the embedded world
python -m experiments.diffex_table1.make --profile paper     CLIP without training, with Stable Diffusion's prior
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from diffexplain.effects.results import Ranking
from diffexplain.statistics.tests import wilson
from experiments.papers.paper_tables import NOTHING, Made, Sweep, head, main, row, shown
from experiments.papers.true_effects import concepts_of, rankings

HERE = Path(__file__).parent


def table(sweep: Sweep) -> str:
    """A line for each domain and classifier."""
    world = sweep.profile == "world"
    names = ["domain", "classifier", "published: DiffEx", "published: StylEx", "ours: concepts found", "in categories"]
    lines = head([*names, *(["of those there", "of those absent"] if world else [])])
    known = [sweep.published["attributes"][method] for method in ("DiffEx", "StylEx")]
    for group in sweep.groups:
        runs = sweep.of(group=group)
        if not runs:
            lines.append(row([group, NOTHING, *known, *[sweep.not_run] * (4 if world else 2)]))
        for run in runs:
            for ranking in rankings(run):
                values = [group, ranking.classifier, *known, *found(ranking)]
                lines.append(row([*values, *(true(run, ranking) if world else [])]))
    if world and sweep.made:
        lines += ["", *(pooled(sweep, kind) for kind in ("shortcut", "fair"))]
    return "\n".join([*lines, "", sweep.made_with()])


def found(ranking: Ranking) -> list[str]:
    """Concepts whose effect, adjusted for the whole tree, lies beyond the margin, and the categories they are in."""
    paths = [concept.path for concept in ranking.concepts if concept.over_all.significant]
    categories = {concept.path[0] for concept in ranking.concepts}
    return [f"{len(paths)} of {len(ranking.concepts)}", f"{len({path[0] for path in paths})} of {len(categories)}"]


def true(run: Made, ranking: Ranking) -> list[str]:
    """How many are found of the concepts that are there by the truth table, and of those that are absent."""
    name = ranking.classifier.removeprefix("world_")
    return coverage(row for row in concepts_of([run]) if row.classifier == name)


def coverage(rows: Iterable[Any]) -> list[str]:
    """Found of those there, and of those absent, with Wilson's intervals."""
    from experiments.world.truth import ABSENT, THERE

    rows = list(rows)
    groups = [one for one in rows if abs(one.true) >= THERE], [one for one in rows if abs(one.true) <= ABSENT]
    return [shown(wilson(sum(one.significant for one in mine), len(mine))) if mine else "none is" for mine in groups]


def pooled(sweep: Sweep, kind: str) -> str:
    """The same over all classes and classifiers of a kind."""
    there, absent = coverage(row for row in concepts_of(sweep.made) if row.classifier.startswith(kind))
    return f"All {kind} classifiers together: of those there {there}; of those absent {absent}.  "


if __name__ == "__main__":
    sys.exit(main(HERE, table))
