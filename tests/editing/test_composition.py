"""What changes make of a state, and how a prompt says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.explainers.known_effects import (
    BLUE,
    DOG,
    FLAG,
    GRASS,
    HIERARCHY,
    PLACES,
    PLAIN,
    RED,
    SEA,
    SNOW,
    STRIPED,
    TREE,
)

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.editing.composition import Change, Composition, State
from diffexplain.editing.editor import changed_states
from diffexplain.runs.draws import Draws

WORLD = Composition(HIERARCHY, "a flagpole")
DRAWS = Draws(0, "class:flagpole")
NOBODY = DRAWS.generator("nobody")


def test_roles_follow_from_kind_and_place() -> None:
    assert [WORLD.role(path) for path in (FLAG, STRIPED, SNOW, RED)] == ["object", "sub-type", "setting", "attribute"]


def test_the_search_begins_below_the_categories() -> None:
    assert WORLD.tops() == (FLAG, TREE, DOG, SNOW, GRASS, SEA, RED, BLUE)


def test_a_value_gives_way_to_its_rival_and_an_object_to_none() -> None:
    assert WORLD.put(frozenset({GRASS, TREE}), SNOW) == {SNOW, TREE}
    assert WORLD.put(frozenset({TREE}), DOG) == {TREE, DOG}


def test_a_finer_concept_says_the_broader_one() -> None:
    assert WORLD.put(frozenset({FLAG}), STRIPED) == {STRIPED}
    assert WORLD.put(frozenset({STRIPED}), FLAG) == {STRIPED}
    assert WORLD.put(frozenset({STRIPED}), PLAIN) == {PLAIN}
    assert WORLD.shows(frozenset({STRIPED}), FLAG) and not WORLD.shows(frozenset({FLAG}), STRIPED)


def test_taking_an_object_out_takes_its_sub_type_along() -> None:
    assert WORLD.take(frozenset({STRIPED, TREE}), FLAG, NOBODY) == {TREE}


def test_without_a_sub_type_means_with_another_one() -> None:
    assert WORLD.take(frozenset({STRIPED}), STRIPED, NOBODY) == {PLAIN}
    assert WORLD.take(frozenset({TREE}), STRIPED, NOBODY) == {PLAIN, TREE}
    assert WORLD.take(frozenset({PLAIN}), STRIPED, NOBODY) == {PLAIN}


def test_rivals_are_drawn_alike_and_for_each_image_the_same() -> None:
    states: list[State] = [frozenset({SNOW})] * 600
    drawn = changed_states(WORLD, states, range(600), [Change(SNOW, reverse=True)], DRAWS)
    assert drawn == changed_states(WORLD, states, range(600), [Change(SNOW, reverse=True)], DRAWS)
    assert set(drawn) == {frozenset({GRASS}), frozenset({SEA})}
    assert 240 < drawn.count(frozenset({SEA})) < 360


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ((), "a photo of a flagpole"),
        ((RED, STRIPED, SNOW), "a photo of a red flagpole with a striped flag in the snow"),
        ((FLAG, DOG), "a photo of a flagpole with a flag and a dog"),
    ],
)
def test_sentences(state: tuple[tuple[str, ...], ...], sentence: str) -> None:
    assert WORLD.sentence(frozenset(state)) == sentence


def test_what_is_added_is_named_behind_what_was_there() -> None:
    assert WORLD.sentence(frozenset({FLAG, DOG}), frozenset({DOG})) == "a photo of a flagpole with a dog and a flag"
    # Another kind of what was there is no addition.
    assert (
        WORLD.sentence(frozenset({STRIPED, DOG}), frozenset({FLAG}))
        == "a photo of a flagpole with a striped flag and a dog"
    )


def test_words_are_said_last_have_no_rivals_and_are_left_out() -> None:
    words = tuple(Concept(text, text, "word") for text in ("banner", "flag", "snow"))
    others = (Concept("orange", "orange", "modifier"), Concept("dog", "a dog", "object"))
    composition = Composition(Hierarchy("", (*words, *others)), "a flagpole")
    banner, flag, snow, orange = composition.words()
    assert composition.sentence(frozenset({flag, orange})) == "a photo of an orange flagpole, flag"
    assert (composition.role(orange), composition.rivals(orange)) == ("word", ())
    assert composition.sentence(frozenset({flag, snow})) == "a photo of a flagpole, flag snow"
    assert composition.sentence(frozenset({snow, ("dog",)})) == "a photo of a flagpole with a dog, snow"
    assert (composition.role(flag), composition.phrase(flag), composition.rivals(flag)) == ("word", "flag", ())
    assert composition.choices() == ([], [("dog",)])
    assert composition.put(frozenset({flag}), banner) == {banner, flag}
    assert composition.take(frozenset({flag, snow}), flag, NOBODY) == {snow}


def test_a_phrase_of_place_stands_behind_the_noun_and_the_article_fits() -> None:
    hierarchy = Hierarchy(
        "a bee",
        (
            Concept("colour", "", "attribute", (Concept("orange", "orange", "attribute"),)),
            Concept("position", "", "attribute", (Concept("left", "on the left", "attribute"),)),
            Concept("flower", "a flower", "object"),
        ),
    )
    composition = Composition(hierarchy, "a bee", "a drawing of")
    state = frozenset(composition.concepts)
    assert composition.sentence(state) == "a drawing of an orange bee on the left with a flower"
    assert composition.phrase(("colour", "orange")) == "an orange bee"
    assert composition.phrase(("flower",)) == "a flower"
    # The only value of its kind has no rival: without it means nothing in its place.
    assert composition.take(state, ("colour", "orange"), NOBODY) == state - {("colour", "orange")}


@given(st.lists(st.tuples(st.sampled_from(list(PLACES)), st.booleans()), max_size=6))
def test_no_state_contradicts_itself(steps: list[tuple[tuple[str, ...], bool]]) -> None:
    changes = [Change(path, reverse) for path, reverse in steps]
    (state,) = changed_states(WORLD, [frozenset()], [0], changes, DRAWS)
    for one in state:
        assert all(WORLD.compatible(one, other) and other[: len(one)] != one for other in state - {one})
    if changes:
        last = changes[-1]
        assert WORLD.shows(state, last.path) != last.reverse
