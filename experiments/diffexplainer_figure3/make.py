"""DiffExplainer's Figure 3: what a classifier answers to beside the object, for dog sled, bee and flagpole.

python -m experiments.diffexplainer_figure3.make                     the embedded world
python -m experiments.diffexplainer_figure3.make --profile paper     CaffeNet with Stable Diffusion's prior
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from diffexplain.effects.results import ConceptEffect, Verdict
from diffexplain.weights.paths import resolve_folder
from experiments.papers.paper_tables import NOTHING, Cell, Made, Sweep, head, main, row, shown

HERE = Path(__file__).parent

MOST = 3
"""Concepts of a kind in a cell, the strongest."""


def table(sweep: Sweep) -> str:
    """A line for each classifier and class; on the world, how often that is right."""
    world = sweep.profile == "world"
    names = ["classifier", "class", "published: appears", "published: the object", "spurious, with the effect"]
    names += ["core, with the effect", "object absent", "activates"]
    lines = head([*names, "true effects of what was planted"] if world else names)
    right = []
    for cell in sweep.cells:
        run = next((one for one in sweep.made if one.cell == cell), None)
        values = [cell.config["classifier"]["name"], cell.target.class_name, *_published(sweep, cell)]
        values += [sweep.not_run] * 4 if run is None else _found(run)
        if world:
            values.append(_planted(cell))
        if world and run is not None:
            right.append((cell.group, bool(_judged(cell, run)["right"])))
        lines.append(row(values))
    for group in dict.fromkeys(group for group, _ in right):
        answers = [answer for name, answer in right if name == group]
        lines += ["", f"Right, {group}: {sum(answers)} of {len(answers)}."]
    return "\n".join([*lines, "", sweep.made_with()])


def _published(sweep: Sweep, cell: Cell) -> list[str]:
    """What appears, and whether the object does: of CaffeNet, so of nothing else than what stands for it."""
    if "fair" in cell.config["classifier"]["name"]:
        return [NOTHING, NOTHING]
    name = str(cell.target.class_name).replace(" ", "_").replace("dogsled", "dog_sled")
    return [sweep.published["appears"][name], sweep.published["main_object"]]


def _found(run: Made) -> list[str]:
    absence = run.summary.object_absence
    share = None if absence is None else absence.share
    kinds = [_concepts(run.summary.having(kind)) for kind in (Verdict.SPURIOUS, Verdict.CORE)]
    return [*kinds, shown(share), shown(run.summary.found.share)]


def _concepts(concepts: tuple[ConceptEffect, ...]) -> str:
    named = [f"{one.text} {shown(one.over_all.score, sign='+')}" for one in concepts]
    return "; ".join(named[:MOST]) or "none"


def _judged(cell: Cell, run: Made) -> dict[str, Any]:
    """By the rule of `experiments/world/shortcuts.py`."""
    from experiments.world import shortcuts

    assert run.summary.effects is not None
    ranking = run.summary.effects.rankings[0]
    found: dict[str, Any] = shortcuts.judged(_shortcut_cell(cell), ranking, run.summary.identity[:12])
    return found


def _planted(cell: Cell) -> str:
    """What was planted with the class, and what the classifier answers to it by its truth table."""
    from experiments.world import shortcuts
    from experiments.world.truth import TruthTable

    one = _shortcut_cell(cell)
    table = TruthTable.load(resolve_folder(f"embedded:classifiers/{one.world}_{one.architecture}"))
    planted = shortcuts.PLANTED[one.class_name]
    return ", ".join(f"{phrase} {table.effect(one.class_name, *where):+.2f}" for phrase, where in planted.items())


def _shortcut_cell(cell: Cell) -> Any:
    from experiments.world import shortcuts

    _, world, architecture = cell.config["classifier"]["name"].split("_")
    return shortcuts.Cell(world, architecture, str(cell.target.class_name), cell.config["seed"])


if __name__ == "__main__":
    sys.exit(main(HERE, table))
