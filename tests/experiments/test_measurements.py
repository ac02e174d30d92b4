"""What the measurements of speed and of gradients rest on; they are made by hand."""

from __future__ import annotations

from dataclasses import replace

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
