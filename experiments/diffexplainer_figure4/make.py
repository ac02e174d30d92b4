"""DiffExplainer's Figure 4: what drives a class where the prompt begins with "a texture of" or "a shape of".

python -m experiments.diffexplainer_figure4.make                     the embedded world
python -m experiments.diffexplainer_figure4.make --profile paper     robust ResNet-50 with Stable Diffusion's prior
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from diffexplain.report import load_run
from diffexplain.weights.paths import resolve_folder
from experiments.papers.paper_tables import Cell, Made, Sweep, head, main, row, shown

HERE = Path(__file__).parent

SHOWN = 4
"""Pictures of a run in the figure, the first ones whatever they came to."""
SIDE = 128
"""Of a picture in the figure, in pixels."""
ATTRIBUTES = {"a texture of": "texture", "a shape of": "size"}
"""What the truth tables call that which the prefix says on the embedded world."""


def table(sweep: Sweep) -> str:
    """The figure, and a line for each class and prefix."""
    world = sweep.profile == "world"
    names = [
        "class",
        "published prefix",
        "it shows (published)",
        "our prefix",
        "nearest words",
        "activates",
        "class name",
    ]
    lines = head([*names, "object absent", *(["true effect of what the prefix says"] if world else [])])
    for cell in sweep.cells:
        run = next((one for one in sweep.made if one.cell == cell), None)
        prefix = cell.config["prompt"]["prefix"]
        values = [cell.target.class_name, cell.method, sweep.published["prefixes"][cell.method], prefix]
        values += [sweep.not_run] * 4 if run is None else _found(run)
        lines.append(row([*values, *([_true(cell)] if world else [])]))
    picture = HERE / f"{sweep.profile}.png"
    if sweep.made:
        figure(sweep).save(picture)
        columns = ", ".join(f"{SHOWN} of {method!r}" for method in sweep.methods)
        classes = ", ".join(dict.fromkeys(one.class_name for one in sweep.made))
        lines = [
            f"![Pictures by class and prefix]({picture.name})",
            "",
            f"Rows: {classes}. In each: {columns}.",
            "",
            *lines,
        ]
    return "\n".join([*lines, "", sweep.made_with()])


def figure(sweep: Sweep) -> Image.Image:
    """Rows are classes, in each the first pictures of every prefix; what is not made is grey."""
    rows = []
    for target in dict.fromkeys(cell.target.text for cell in sweep.cells):
        mine = {one.cell.method: one for one in sweep.made if one.cell.target.text == target}
        rows.append([picture for method in sweep.methods for picture in _pictures(mine.get(method))])
    size = (SIDE * len(rows[0]), SIDE * len(rows))
    whole = Image.new("RGB", size, "grey")
    for down, pictures in enumerate(rows):
        for right, picture in enumerate(pictures):
            if picture is not None:
                whole.paste(picture, (right * SIDE, down * SIDE))
    return whole


def _pictures(run: Made | None) -> list[Image.Image | None]:
    if run is None:
        return [None] * SHOWN
    examples = sorted(load_run(run.directory).examples, key=lambda one: one.index)[:SHOWN]
    nearest = Image.Resampling.NEAREST
    found: list[Image.Image | None] = [
        Image.fromarray(np.asarray(one.image)).resize((SIDE, SIDE), nearest) for one in examples
    ]
    return found + [None] * (SHOWN - len(found))


def _found(run: Made) -> list[str]:
    summary = run.summary
    assert summary.words is not None
    named = next(one for one in summary.baselines if one.name == "class name")
    absent = None if summary.object_absence is None else summary.object_absence.share
    words = ", ".join(nearest[0] for nearest in summary.words.nearest)
    return [words, shown(summary.found.share), shown(named.share), shown(absent)]


def _true(cell: Cell) -> str:
    from experiments.world.truth import TruthTable

    value = cell.config["prompt"]["prefix"].removeprefix("a ")
    table = TruthTable.load(resolve_folder(cell.config["classifier"]["folder"]))
    return f"{value} {table.effect(str(cell.target.class_name), ATTRIBUTES[cell.method], value):+.2f}"


if __name__ == "__main__":
    sys.exit(main(HERE, table))
