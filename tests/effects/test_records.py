"""What two records say about an edit, by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.explainers.known_effects import BLUE, FLAG, GRASS, HIERARCHY, RED, SEA, SNOW

from diffexplain.editing import Composition
from diffexplain.editing.composition import Path
from diffexplain.effects.records import Record, shows, took

COMPOSITION = Composition(HIERARCHY, "a flagpole")
PLAIN = {(): 0.3, RED: 0.2, BLUE: 0.4, SNOW: 0.1, GRASS: 0.2, SEA: 0.0}
"""Of an image in which the words "blue" and "on the grass" fit best."""


def record(
    seen: Mapping[Path, bool] | None = None, fits: Mapping[Path, float] | None = None, strayed: float | None = None
) -> Record:
    return Record((0.5,), (True,), (0.0,), seen or {}, fits or {}, strayed)


def test_an_object_took_if_it_is_seen_with_and_not_without() -> None:
    there, gone = record({FLAG: True}, strayed=0.01), record({FLAG: False})
    assert took(COMPOSITION, FLAG, there, gone, 0.1) is True
    assert took(COMPOSITION, FLAG, there, there, 0.1) is False
    assert took(COMPOSITION, FLAG, there, gone, 0.005) is False
    assert took(COMPOSITION, FLAG, there, record(), 0.1) is None


def test_an_attribute_took_if_it_gained_most_even_where_another_word_fits_better() -> None:
    after = {**PLAIN, RED: 0.3, BLUE: 0.38}
    assert took(COMPOSITION, RED, record(fits=after), record(fits=PLAIN), 0.1) is True
    assert took(COMPOSITION, BLUE, record(fits=after), record(fits=PLAIN), 0.1) is False
    everything = {path: fit + 0.1 for path, fit in PLAIN.items()}
    assert took(COMPOSITION, RED, record(fits=everything), record(fits=PLAIN), 0.1) is False
    assert took(COMPOSITION, RED, record(fits={RED: 0.3}), record(fits=PLAIN), 0.1) is None


def test_a_setting_took_if_it_fits_best_with_and_not_without() -> None:
    after = {**PLAIN, SNOW: 0.3, SEA: 0.29}
    assert took(COMPOSITION, SNOW, record(fits=after), record(fits=PLAIN), 0.1) is True
    assert took(COMPOSITION, SEA, record(fits=after), record(fits=PLAIN), 0.1) is False
    assert took(COMPOSITION, SNOW, record(fits=after), record(fits=after), 0.1) is False


def test_a_combination_shows_what_it_was_given_and_what_was_there() -> None:
    null = record({FLAG: True}, PLAIN)
    assert shows(COMPOSITION, FLAG, record(), null) is True
    assert shows(COMPOSITION, FLAG, record({FLAG: False}), null) is False
    assert shows(COMPOSITION, GRASS, record(), null) is True
    assert shows(COMPOSITION, SNOW, record(fits={**PLAIN, SNOW: 0.5}), null) is True
    assert shows(COMPOSITION, RED, record(fits={**PLAIN, RED: 0.3}), null) is True
    assert shows(COMPOSITION, RED, record(fits={**PLAIN, BLUE: 0.5}), null) is False
    assert shows(COMPOSITION, BLUE, null, null) is True  # untouched: nothing is asked
    assert shows(COMPOSITION, RED, record(), record()) is None


@pytest.mark.parametrize("fits", [{}, PLAIN])
def test_a_record_is_read_back_as_it_was_written(fits: dict[Path, float]) -> None:
    made = record({FLAG: True}, fits, 0.25)
    assert Record.from_json(made.to_json()) == made
