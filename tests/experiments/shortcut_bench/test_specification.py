"""The benchmark's classifiers: how many of what, and which are held out."""

from collections import Counter

import pytest

from diffexplain.errors import UserError

HELD_OUT = {
    ("companion", "bee"), ("companion", "flagpole"),
    ("subtype", "flagpole"), ("subtype", "mushroom"),
    ("setting", "teapot"), ("setting", "yawl"),
    ("colour", "acoustic_guitar"), ("colour", "padlock"),
    ("texture", "balloon"), ("texture", "teapot"),
    ("weather", "flagpole"), ("weather", "snorkel"),
    ("place", "acoustic_guitar"), ("place", "balloon"),
    ("pair", "bee"), ("pair", "yawl"),
}  # fmt: skip


def test_there_are_enough_of_every_sort() -> None:
    from experiments.shortcut_bench.specification import (
        ARCHITECTURES,
        CONTROLS,
        KINDS,
        STRENGTHS,
        control_classifiers,
        shortcut_classifiers,
    )

    planted, controls = shortcut_classifiers(), control_classifiers()
    assert len(planted) >= 96 and len(controls) >= 64
    assert len({one.name for one in planted + controls}) == len(planted + controls)
    assert len({one.seed for one in planted + controls}) == len(planted + controls)
    assert {(one.kind, one.architecture) for one in planted} == {(k, a) for k in KINDS for a in ARCHITECTURES}
    assert {(one.control, one.architecture) for one in controls} == {(c, a) for c in CONTROLS for a in ARCHITECTURES}
    assert {len(one.shortcuts) for one in planted} == {1, 2, 3}
    strengths = Counter(one.strength for one in planted)
    assert set(strengths) == set(STRENGTHS) and min(STRENGTHS) == 0.7 and max(STRENGTHS) == 0.99
    assert max(strengths.values()) - min(strengths.values()) <= 1


def test_the_first_shortcut_is_of_the_kind() -> None:
    from experiments.shortcut_bench.specification import shortcut_classifiers

    for one in shortcut_classifiers():
        first = one.shortcuts[0]
        assert (one.kind == "pair") == (len(first) == 2)
        if one.kind == "place":
            assert first[0].attribute in ("position", "size")
        elif one.kind != "pair":
            assert first[0].attribute == one.kind


def test_controls_that_learn_nothing_planted_have_nothing_planted() -> None:
    from experiments.shortcut_bench.specification import control_classifiers

    for one in control_classifiers():
        assert bool(one.shortcuts) == (one.control == "not_learned") == (one.strength is not None)


def test_halves_are_balanced_and_keep_designs_whole() -> None:
    from experiments.shortcut_bench.specification import classifiers, halves

    every = classifiers()
    half = halves(every)
    assert set(half) == {one.name for one in every}
    cells = Counter((one.kind or one.control, one.architecture, half[one.name]) for one in every)
    for group, architecture, side in cells:
        other = "development" if side == "held_out" else "held_out"
        assert cells[group, architecture, side] == cells[group, architecture, other]
    assert sum(one.control is not None and half[one.name] == "held_out" for one in every) >= 32
    designs: dict[tuple[str | None, str], set[str]] = {}
    for one in every:
        designs.setdefault((one.kind or one.control, one.class_name), set()).add(half[one.name])
    assert all(len(sides) == 1 for sides in designs.values())


def test_the_split_is_fixed() -> None:
    from experiments.shortcut_bench.specification import classifiers, halves

    every = classifiers()
    half = halves(every)
    held_out = {(one.kind, one.class_name) for one in every if one.kind and half[one.name] == "held_out"}
    assert held_out == HELD_OUT
    assert halves(list(reversed(every))) == half


def test_what_no_scene_can_show_is_refused() -> None:
    from experiments.shortcut_bench.specification import Specification, Value

    def planted(*values: tuple[str, str]) -> Specification:
        return Specification("x", "cnn", "bee", tuple((Value(*v),) for v in values), 0.9, "companion", None, 0)

    planted(("companion", "dog"), ("subtype", "flag/plain"))
    with pytest.raises(ValueError, match="no scene"):
        planted(("companion", "dog"), ("companion", "flag"), ("companion", "tree"))
    with pytest.raises(ValueError, match="no scene"):
        planted(("companion", "flag"), ("subtype", "flag/plain"))
    with pytest.raises(ValueError, match="unknown value 'flag/green'"):
        planted(("subtype", "flag/green"))
    with pytest.raises(ValueError, match="unknown value 'bee'"):
        planted(("subject", "bee"))


def test_a_name_that_is_not_there_is_named_with_its_nearest() -> None:
    from experiments.shortcut_bench.catalogue import chosen

    assert [one.name for one in chosen(["pair_bee_vit", "companion_bee_cnn"])] == ["companion_bee_cnn", "pair_bee_vit"]
    with pytest.raises(UserError, match="pair_bee_vit"):
        chosen(["pair_bee_vti"])
