"""Labelled photographs, in which a classifier takes a flag for the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.explainers.known_effects import FLAG, HIERARCHY, RED, SNOW
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetScores
from diffexplain.editing import Composition
from diffexplain.effects import accuracy
from diffexplain.effects.results import LabelledPhotographs

COMPOSITION = Composition(HIERARCHY, "a pole")
ROWS = (
    # (of the class, shows a flag, in the snow)
    *[(True, True, True)] * 4,
    *[(True, False, False)] * 3,
    *[(False, True, False)] * 2,
    *[(False, False, False)] * 5,
)


class Reader:
    """Gives the class to what shows a flag; the later photograph is the surer answer."""

    def read(self, images: Tensor, names: Sequence[str]) -> TargetScores:
        flag = images[:, 0, 0, 0].numpy() > 0.5
        certainty = 0.6 + 0.02 * images[:, 2, 0, 0].numpy().astype(np.float64)
        return TargetScores(np.where(flag, certainty, 1 - certainty), flag, None, None)


class Look:
    """Sees the flag in the first channel and the snow in the second."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def seen(self, path: tuple[str, ...]) -> np.ndarray:
        assert path == FLAG
        return self.images[:, 0, 0, 0].numpy() > 0.5

    def fits(self, place: int) -> dict[tuple[str, ...], float]:
        snow = float(self.images[place, 1, 0, 0])
        return {SNOW: snow, **dict.fromkeys(COMPOSITION.rivals(SNOW), 0.5)}


class Checks:
    def look(self, composition: Composition, images: Tensor, *_: object) -> Look:
        return Look(images)


def measured(rows: Sequence[tuple[bool, bool, bool]], lots: int = 2) -> LabelledPhotographs | None:
    images = torch.zeros(len(rows), 3, 2, 2)
    for place, (_, flag, snow) in enumerate(rows):
        images[place, 0], images[place, 1], images[place, 2] = float(flag), float(snow), float(place)
    names, own = [f"{place}.png" for place in range(len(rows))], np.array([row[0] for row in rows])
    some = [slice(k, None, lots) for k in range(lots)] if len(rows) else []
    made = [accuracy.Lot(tuple(names[part]), own[part], images[part]) for part in some]
    raises = {FLAG: True, SNOW: True, RED: True}
    return accuracy.measure(made, Reader(), Checks(), COMPOSITION, raises, {})  # type: ignore[arg-type]


def test_the_classifier_is_right_by_what_is_shown() -> None:
    found = measured(ROWS)
    assert found is not None and found.own is not None and found.others is not None
    assert (found.own.value, found.own.n) == (pytest.approx(4 / 7), 7)
    assert (found.others.value, found.others.n) == (pytest.approx(5 / 7), 7)
    flag, snow, red = found.concepts
    shares = [flag.own.shown, flag.own.not_shown, flag.others.shown, flag.others.not_shown]
    assert [(one.value, one.n) for one in shares if one] == [(1, 4), (0, 3), (0, 2), (1, 5)]
    # Of the class without the flag, and others with it; the surest mistakes first.
    assert flag.failures == ("8.png", "7.png", "6.png", "5.png", "4.png")
    assert snow.own.shown is not None and snow.own.shown.n == 4 and snow.others.shown is None
    assert red.own.shown is None and red.reason == accuracy.NOT_SEEN


def test_a_concept_that_no_photograph_shows_or_every_one_is_said_to_tell_nothing() -> None:
    bare, full = measured([(True, False, False)] * 3), measured([(True, True, True)] * 3)
    assert bare is not None and bare.concepts[0].reason == accuracy.NOT_THERE and bare.others is None
    assert full is not None and full.concepts[0].reason == accuracy.NOT_WITHOUT


def test_without_labelled_photographs_nothing_is_said() -> None:
    assert measured([]) is None


def test_sight_counts_what_is_seen_with_it_and_without_it() -> None:
    found = accuracy.sight(np.array([True, True, False, True]), np.array([False, False]))
    assert (found.seen.value, found.imagined.value, found.imagined.n) == (0.75, 0, 2)
