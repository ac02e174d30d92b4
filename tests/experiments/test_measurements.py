"""What the measurements of speed and of gradients rest on; they are made by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch


def test_operations_are_counted_from_shapes_alone_and_waste_costs() -> None:
    from experiments.speed.steps import VARIANTS, operations

    dexter, equal, _, one_step, _ = VARIANTS
    few = [replace(variant, steps=2) for variant in (dexter, equal)]
    wasteful, plain, cheap = operations("least", [*few, one_step])
    assert wasteful > plain > cheap > 0


def test_a_step_of_every_kind_runs_on_small_networks_and_its_memory_is_seen() -> None:
    from experiments.speed.models import SIZES, Models
    from experiments.speed.steps import BEGIN, END, RESULTS, VARIANTS, measured

    models = Models(SIZES["least"], "cpu", torch.float32)
    few = [replace(variant, steps=min(variant.steps, 2), batch=min(variant.batch, 2)) for variant in VARIANTS]
    costs = measured(models, models, "cpu", 1, few)
    assert len(costs) == len(VARIANTS)
    assert all(len(cost.seconds) == 1 and cost.memory > 0 for cost in costs)
    assert costs[0].memory > costs[1].memory
    assert BEGIN in RESULTS.read_text()
    assert END in RESULTS.read_text()


def test_the_table_of_estimators_is_made_of_the_record() -> None:
    from experiments.gradients.estimators import BEGIN, END, ESTIMATORS, RESULTS, table

    rows = [
        {"estimator": name, "class": c, "seed": 1, "steps": 9, "cosines": [1.0, 0.5], "activation": score}
        for name in ("exact", "2 leaps")
        for c, score in (("bee", 0.5), ("flagpole", 1.0))
    ]
    costs = {name: {"seconds": 2.0, "bytes": 2**20} for name in ESTIMATORS}
    lines = table(rows, costs).splitlines()
    assert "activation, flagpole | activation, bee | mean" in lines[0]
    assert lines[2] == "| exact | 2.00 | 1 | 0.750 (0.500) | 9 | 1.00 | 0.50 | 0.75 |"
    assert lines[3].startswith("| 2 leaps |")
    assert BEGIN in RESULTS.read_text()
    assert END in RESULTS.read_text()


def test_what_did_not_reach_its_aim_is_later_than_all_that_did() -> None:
    from experiments.speed.quality import BEGIN, CLASSIFIERS, END, METHODS, RESULTS, Cell, Cost, cells, table

    assert len(cells()) == len(set(cells())) == 3 * 12 * 2 * 2
    dexter, ours = (method.name for method in METHODS)

    def line(cell: Cell, calls: int | None) -> dict[str, Any]:
        reached = None if calls is None else asdict(Cost(calls, 32, 5.0))
        return asdict(cell) | {"reached": reached, "discovery": asdict(Cost(300, 0, 3.0)), "share": 0.4, "machine": "M"}

    calls = {dexter: (64, None, None), ours: (320, 340, None)}
    lines = [
        line(Cell(seed, "bee", CLASSIFIERS[0], name), count)
        for name, counts in calls.items()
        for seed, count in enumerate(counts)
    ]
    rows = [row.split(" | ") for row in table(lines).splitlines()]
    assert rows[2][2:] == ["1 of 3", *["too few reached"] * 3, "0.40, n 2 |"]
    assert rows[4][2:] == ["2 of 3", "340", "32", "5.0", "0.40, n 1 |"]
    assert rows[5][2:5] == ["2 of 3", "40", "32"]
    assert rows[3][2:] == ["0 of 0", *["not run"] * 3, "– |"]
    assert "6 of 144 runs" in table(lines)
    assert BEGIN in RESULTS.read_text()
    assert END in RESULTS.read_text()
