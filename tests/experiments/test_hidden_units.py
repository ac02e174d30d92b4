"""The hidden units' tables, made of a record; and the truth about a unit, from renders whose answer is set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

METHODS = ["blind", "sharp"]


def result(class_name: str, half: str, truths: list[str | None]) -> dict[str, Any]:
    """`sharp` has 0.8 of the attribution inside for a core unit and 0.1 for a spurious one; `blind` always 0.4."""
    units = []
    for truth in truths:
        inside = {"core": 0.8, "spurious": 0.1, None: 0.5}[truth]
        shares = {"blind": [0.4, 0.4], "sharp": [inside - 0.01, inside + 0.01]}
        units += [{"classifier": f"{name}_cnn", "half": half, "truth": truth, "shares": shares} for name in ("a", "b")]
    seen = [
        {"shows": True, "segmenter": True, "clip": False},
        {"shows": True, "segmenter": True, "clip": True},
        {"shows": False, "segmenter": True, "clip": False},
    ]
    return {"class": class_name, "units": units, "seen": seen}


def test_the_method_is_chosen_on_one_half_and_reported_on_the_other() -> None:
    from experiments.hidden_units.verdict_tables import table

    results = [
        result("flagpole", "development", ["core", "spurious"]),
        result("bee", "held_out", ["core", "core", "spurious", None]),
    ]
    lines = table(results, METHODS, "Settings.").splitlines()
    (chosen,) = [line for line in lines if "(chosen)" in line]
    assert chosen.startswith("| **sharp** (chosen) | 1.000 [1.000, 1.000], n 4 | 1.000 [1.000, 1.000], n 6 ")
    (blind,) = [line for line in lines if line.startswith("| blind")]
    assert "0.500 [0.500, 0.500], n 6" in blind
    # Halfway between 0.8 and 0.1; both core units of both classifiers, and the spurious one, get their verdict.
    assert any(line.startswith("Bound of the mean share: 0.450") for line in lines)
    (core,) = [line for line in lines if line.startswith("| truly core")]
    (spurious,) = [line for line in lines if line.startswith("| truly spurious")]
    assert core.startswith("| truly core | 4 | 0 | 0 | 1.000")
    assert spurious.startswith("| truly spurious | 0 | 0 | 2 | 1.000")
    assert any("2 truly spurious (of 2 pairs" in line and "2 neither for sure" in line for line in lines)
    # CLIP closes the gate on what the segmenter marks: in 2 images without the object, and in 2 of 4 with it.
    (both,) = [line for line in lines if line.startswith("| both")]
    assert both.startswith("| both | 0.500") and "| 0.000" in both


def test_nothing_is_chosen_without_units_of_both_kinds() -> None:
    from experiments.hidden_units.verdict_tables import table

    assert "nothing can be chosen" in table([result("bee", "development", ["core"])], METHODS, "")


@pytest.mark.parametrize(("subject", "flag", "truth"), [(1.0, 3.0, "spurious"), (3.0, 1.0, "core"), (2.0, 2.0, None)])
def test_a_unit_is_truly_what_moves_it_most(subject: float, flag: float, truth: str | None) -> None:
    from experiments.hidden_units import units

    noise = np.random.default_rng(0).normal(size=(40, 1)) * 0.1
    added = np.tile(noise, (1, len(units.VARIANTS)))
    added[:, units.VARIANTS.index("another subject")] -= subject
    added[:, units.VARIANTS.index("no flag")] -= flag
    added[::2, units.VARIANTS.index("no flag")] += 0.1
    added[1::2, units.VARIANTS.index("no flag")] -= 0.1
    found = units.truth(added)
    assert (found["truth"], found["context_value"]) == (truth, "companion flag")
    assert found["subject"] == pytest.approx(subject)
    assert found["context"] == pytest.approx(flag)


def test_every_class_is_in_one_half() -> None:
    from experiments.hidden_units import units

    halves = {one.class_name: one.half for one in units.cases(bench=False)}
    assert sorted(halves.values()) == ["development"] * 6 + ["held_out"] * 6
    planted = {halves[name] for name in ("flagpole", "bee", "dog_sled")}
    assert planted == {"development", "held_out"}
