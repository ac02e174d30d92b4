"""A screen of one concept at a time: what it finds where answers are known, and what it makes for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.editing import Composition, State
from diffexplain.effects.records import Record
from diffexplain.errors import UserError
from diffexplain.explainers import OneAtATime

WORDS = ("banner", "bird", "flag", "fog", "kite", "moon", "red", "sea", "snow", "tree")
COMPOSITION = Composition(Hierarchy("", tuple(Concept(word, word, "word") for word in WORDS)), "a flagpole")
SCREEN = OneAtATime(noises=3, tested=2)


class Pictures:
    """Of each classifier, by word: how far it moves the probability; the noise moves it ten times as far."""

    composition = COMPOSITION
    images = None

    def __init__(self, *effects: Mapping[str, float]) -> None:
        self.effects = effects
        self.asked: list[tuple[State, int]] = []

    def drawn(self, states: Sequence[State], noises: Sequence[int]) -> list[Record]:
        self.asked += zip(states, noises, strict=True)
        return [self.record(state, noise) for state, noise in zip(states, noises, strict=True)]

    def record(self, state: State, noise: int) -> Record:
        own = np.random.default_rng(noise).random() / 2
        moved = [sum(effects.get(word, 0.0) for (word,) in state) for effects in self.effects]
        return Record(tuple(own + one / 10 for one in moved), (), tuple(own + one for one in moved), {}, {}, None)


def screens(*effects: Mapping[str, float]) -> tuple[list[Any], Pictures]:
    made = Pictures(*effects)
    population: Any = made
    return SCREEN.screens(population, len(effects)), made


def test_what_moves_the_class_comes_first_with_its_sign_whatever_the_noise() -> None:
    (found,), made = screens({"flag": 1.0, "fog": -0.8, "sea": 0.3})
    assert found.ordered()[:3] == [("flag",), ("fog",), ("sea",)]
    assert found.single["flag",] > 0 > found.single["fog",]
    assert found.single["kite",] == pytest.approx(found.single["moon",]) and not found.pairs
    assert made.asked == [(frozenset({(word,)}), noise) for word in WORDS for noise in (0, 1, 2)]
    assert len(made.asked) == SCREEN.screened(len(WORDS))


def test_each_classifier_is_told_what_it_would_be_told_alone() -> None:
    one, other = {"flag": 1.0, "fog": -0.8, "sea": 0.1}, {"kite": 0.5, "moon": 0.4, "flag": -0.1}
    assert screens(one, other)[0] == [*screens(one)[0], *screens(other)[0]]


def test_where_nothing_moves_the_class_all_scores_are_0() -> None:
    (found,), _ = screens({})
    assert list(found.single.values()) == pytest.approx([0.0] * len(WORDS), abs=1e-6)


@pytest.mark.parametrize("name", ["noises", "tested"])
def test_nothing_of_something_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="at least one"):
        OneAtATime(**{name: 0})
