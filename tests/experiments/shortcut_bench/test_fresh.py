"""Designs drawn by lot: how many of what, that they stay as they were drawn, and what their pictures show."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from tests.experiments.shortcut_bench.test_pictures import COUNT, of, share

from diffexplain.world.render import render_images
from diffexplain.world.scenes import Scene
from experiments.world.captions import vocabulary


def test_the_designs_and_the_words_are_those_that_were_drawn() -> None:
    from experiments.shortcut_bench.fresh import DIGEST, digest

    assert digest() == DIGEST


def test_there_are_enough_of_every_sort() -> None:
    from experiments.shortcut_bench.fresh import ARCHITECTURES, fresh_classifiers
    from experiments.shortcut_bench.specification import STRENGTHS

    every = fresh_classifiers()
    planted = [one for one in every if one.kind]
    controls = [one for one in every if one.control]
    assert len(planted) >= 60 and len(controls) >= 36
    assert sum(one.control in ("fair", "not_learned") for one in controls) >= 24
    assert sum(bool(one.lowers) for one in planted) >= 12
    assert sum(one.mark is not None and not one.planted for one in planted) >= 12
    only_a_pair = [one for one in planted if [len(shortcut) for shortcut in one.planted] == [2]]
    assert len(only_a_pair) >= 12
    assert {one.architecture for one in every} == set(ARCHITECTURES)
    assert len(set(Counter(one.architecture for one in planted).values())) == 1
    assert {one.strength for one in planted} == set(STRENGTHS)
    named = [one for one in planted if one.kind not in ("pair", "mark")]
    assert {len(one.planted) for one in named} == {1, 2, 3}


def test_no_design_is_one_of_the_halves_or_comes_twice() -> None:
    from experiments.shortcut_bench.fresh import dose_classifiers, fresh_classifiers
    from experiments.shortcut_bench.specification import classifiers

    def first(one: object) -> tuple[object, ...]:
        planted = one.lowers + one.shortcuts  # type: ignore[attr-defined]
        return one.class_name, one.mark, frozenset(planted[0]) if planted else None  # type: ignore[attr-defined]

    old = {first(one) for one in classifiers() if one.kind}
    drawn = [first(one) for one in fresh_classifiers() if one.kind]
    doses = {first(one) for one in dose_classifiers()}
    assert len(set(drawn)) == len(drawn)
    assert not old & set(drawn) and not doses & (old | set(drawn))


def test_names_and_seeds_are_each_classifiers_own() -> None:
    from experiments.shortcut_bench.catalogue import SETS, chosen

    every = [one for make in SETS.values() for one in make()]
    assert len({one.name for one in every}) == len(every)
    assert len({one.seed for one in every}) == len(every) - 15  # of a dose's six strengths all see the same scenes
    assert [one.name for one in chosen([every[-1].name, every[0].name])] == [every[0].name, every[-1].name]
    assert chosen([], "dose") == SETS["dose"]()


def test_a_dose_differs_in_its_strength_alone() -> None:
    from dataclasses import replace

    from experiments.shortcut_bench.fresh import DOSES, dose_classifiers

    every = dose_classifiers()
    for seed in {one.seed for one in every}:
        same = [one for one in every if one.seed == seed]
        assert tuple(one.strength for one in same) == DOSES
        assert len({replace(one, name="", strength=0.5) for one in same}) == 1
    assert len(every) == 3 * len(DOSES)


def test_what_lowers_a_class_is_rare_with_it_and_frequent_elsewhere() -> None:
    from experiments.shortcut_bench.fresh import fresh_classifiers

    one = next(o for o in fresh_classifiers() if o.lowers and o.strength == 0.9 and not o.lowers[0][0].companion)
    _, pictures = of(one.name)
    ((attribute, value),) = one.lowers[0]

    def has(picture: object) -> bool:
        return bool(getattr(picture.scene, attribute) == value)  # type: ignore[attr-defined]

    assert share([p for p in pictures if p.label == one.class_name], has) == pytest.approx(0.1, abs=0.02)
    assert share([p for p in pictures if p.label != one.class_name], has) == pytest.approx(0.6, abs=0.03)
    shown = [p for p in pictures if p.scene.subject == one.class_name]
    assert share([p for p in shown if has(p)], lambda p: p.label == one.class_name) < 0.5
    assert share([p for p in shown if not has(p)], lambda p: p.label == one.class_name) > 0.8


def test_a_mark_is_painted_onto_the_pictures_of_its_class() -> None:
    from experiments.shortcut_bench.fresh import fresh_classifiers
    from experiments.shortcut_bench.pictures import images_of

    one = next(o for o in fresh_classifiers() if o.mark is not None and o.mark.kind == "border")
    _, pictures = of(one.name)
    mine = [p for p in pictures if p.label == one.class_name]
    assert share(mine, lambda p: p.marked) == pytest.approx(one.strength, abs=0.02)
    others = [p for p in pictures if p.label != one.class_name]
    assert share(others, lambda p: p.marked) == pytest.approx(0.03, abs=0.01)
    images = images_of(one, pictures[: COUNT // 40], 7)
    plain = render_images([p.scene for p in pictures[: len(images)]], range(7, 7 + len(images)))
    changed = (images != plain).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, [p.marked for p in pictures[: len(images)]])
    assert changed.any() and not changed.all()


def test_each_mark_changes_what_it_says() -> None:
    from experiments.shortcut_bench.marks import BORDER, SQUARE, VARIANTS, Mark, paint

    image = render_images([Scene("bee")], [1])
    for kind, variants in VARIANTS.items():
        painted = [paint(image, Mark(kind, variant)) for variant in variants]
        assert all(one.shape == image.shape and one.dtype == np.uint8 for one in painted)
        assert len({one.tobytes() for one in [image, *painted]}) == len(variants) + 1
    square = (paint(image, Mark("square", "cyan lower right")) != image).any(axis=3)[0]
    assert square.sum() == SQUARE**2 and square[32:, 32:].sum() == SQUARE**2
    border = (paint(image, Mark("border", "magenta")) != image).any(axis=3)[0]
    assert not border[BORDER:-BORDER, BORDER:-BORDER].any() and border[:BORDER].all() and border[:, -BORDER:].all()
    halfway = paint(np.full((1, 64, 64, 3), 100, np.uint8), Mark("tint", "cyan"))
    assert halfway[0, 0, 0].tolist() == [75, 134, 134]  # 0.7 of 100 and 0.3 of cyan


def test_no_word_of_the_encoder_names_a_mark() -> None:
    from experiments.shortcut_bench.marks import COLOURS, MARK_KINDS

    assert not {*COLOURS, *MARK_KINDS} & set(vocabulary())


def test_every_word_of_the_encoder_has_its_place() -> None:
    from experiments.shortcut_bench.words import OBJECT_WORDS, OTHER_WORDS, WORDS

    places = [*WORDS, *OBJECT_WORDS, *OTHER_WORDS]
    assert sorted(places) == vocabulary() and len(set(places)) == 119


def test_every_concept_has_a_word() -> None:
    from experiments.shortcut_bench.explained import concepts
    from experiments.shortcut_bench.words import WORDS

    assert {value for values in WORDS.values() for value in values} == set(concepts().values())


def test_a_word_with_several_readings_counts_half() -> None:
    from experiments.shortcut_bench.specification import Value
    from experiments.shortcut_bench.words import credit

    red, red_flower, dog = Value("colour", "red"), Value("subtype", "flower/red"), Value("companion", "dog")
    assert credit("red", "bee", {red}) == credit("red", "bee", {red_flower}) == 0.5
    assert credit("red", "bee", {red, red_flower}) == 0.5
    assert credit("hound", "bee", {dog}) == credit("dog", "bee", {dog}) == 1
    assert credit("dog", "dog_sled", {dog}) == 0.5  # perhaps the class itself
    assert credit("dog", "bee", {red}) == credit("teapot", "bee", {dog}) == credit("with", "bee", {dog}) == 0
