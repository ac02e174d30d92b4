"""What is read off the output of a network, of every kind, with answers known by hand."""

from __future__ import annotations

import math
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from diffexplain.classifiers.output import (
    Scoring,
    assigned,
    at_limit,
    columns,
    described,
    log_odds,
    log_probability,
    probabilities,
    scores,
)
from diffexplain.errors import UserError

SOFTMAX, SIGMOID = Scoring("softmax", True), Scoring("sigmoid", False)
PARTED, APART = Scoring("probabilities", True), Scoring("probabilities", False)
THIRDS = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])


def every(table: Tensor, exclusive: bool) -> Tensor:
    return torch.stack([log_odds(table, index, exclusive) for index in range(table.shape[1])], dim=1)


@pytest.mark.parametrize(
    ("given", "scoring"),
    [
        (THIRDS.log() + 7, SOFTMAX),
        (THIRDS, PARTED),
        (THIRDS.double(), PARTED),
        (THIRDS.logit(), SIGMOID),
        (THIRDS, APART),
    ],
)
def test_probabilities_and_log_odds_are_the_same_however_they_come(given: Tensor, scoring: Scoring) -> None:
    read = scores(given, scoring, 3)
    assert read.dtype == torch.float32
    torch.testing.assert_close(probabilities(read, scoring.exclusive), THIRDS)
    torch.testing.assert_close(every(read, scoring.exclusive), THIRDS.logit(), rtol=1e-5, atol=1e-5)
    for index in range(3):
        expected = THIRDS[:, index].log()
        torch.testing.assert_close(log_probability(read, index, scoring.exclusive), expected, rtol=1e-5, atol=1e-5)


def test_classes_that_exclude_each_other_are_given_to_the_likeliest_and_others_above_one_half() -> None:
    assert assigned(scores(THIRDS, PARTED, 3), True).tolist() == [[True, False, False], [False, False, True]]
    several = torch.tensor([[0.7, 0.9, 0.2], [0.4, 0.1, 0.3]])
    assert assigned(scores(several, APART, 3), False).tolist() == [[True, True, False], [False, False, False]]


@pytest.mark.parametrize(
    ("given", "scoring"), [(torch.tensor([[2.0]]), SIGMOID), (torch.tensor([[2.0]]).sigmoid(), APART)]
)
def test_of_one_logit_the_other_class_is_what_it_is_not(given: Tensor, scoring: Scoring) -> None:
    torch.testing.assert_close(scores(given, scoring, 2), torch.tensor([[-2.0, 2.0]]))
    torch.testing.assert_close(scores(given, scoring, 1), torch.tensor([[2.0]]))


def test_log_odds_keep_what_a_rounded_probability_loses() -> None:
    sure = torch.tensor([[40.0, 0.0, 0.0]])
    assert probabilities(sure, True)[0, 0] == 1
    assert log_odds(sure, 0, True).item() == pytest.approx(40 - math.log(2), abs=1e-4)


def test_probabilities_of_0_and_1_end_where_float32_does_and_that_can_be_told() -> None:
    certain = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert every(scores(certain, PARTED, 2), True).isfinite().all()
    alone = scores(certain, APART, 2)
    assert alone[0].tolist() == pytest.approx([24 * math.log(2), -126 * math.log(2)], rel=1e-3)
    assert at_limit(certain, PARTED).tolist() == at_limit(certain, APART).tolist() == [True, False]
    assert not at_limit(100 * certain, SOFTMAX).any()


def test_gradients_pass_through_every_kind() -> None:
    for scoring in (SOFTMAX, SIGMOID, PARTED, APART):
        given = THIRDS.clone().requires_grad_()
        log_odds(scores(given, scoring, 3), 0, scoring.exclusive).sum().backward()
        assert given.grad is not None and given.grad.isfinite().all() and (given.grad[:, 0] > 0).all()


Both = namedtuple("Both", ["features", "logits"])
ANSWER, FEATURES = torch.rand(4, 3), torch.rand(4, 9)


@pytest.mark.parametrize(
    "given",
    [
        ANSWER,
        ANSWER[:, :, None, None],
        (ANSWER, FEATURES),
        [FEATURES, ANSWER],
        {"logits": ANSWER, "features": FEATURES},
        {"features": FEATURES, "out": ANSWER},
        Both(FEATURES, ANSWER),
        SimpleNamespace(logits=ANSWER),
        (None, "text", ANSWER),
    ],
)
def test_the_answer_is_found_in_any_container(given: Any) -> None:
    assert torch.equal(columns(given, 4, 3, "mine"), ANSWER)


@pytest.mark.parametrize("given", [torch.rand(4), torch.rand(4, 1), torch.rand(4, 1, 1, 1), (FEATURES, torch.rand(4))])
@pytest.mark.parametrize("classes", [1, 2])
def test_one_logit_may_come_in_any_shape_for_one_class_or_two(given: Any, classes: int) -> None:
    assert columns(given, 4, classes, "mine").shape == (4, 1)


def test_of_one_picture_the_batch_may_be_squeezed_away() -> None:
    assert columns(torch.rand(3), 1, 3, "mine").shape == (1, 3)
    assert columns(torch.tensor(0.5), 1, 2, "mine").shape == (1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.rand(4, 5), "3 names, and mine gives 5 columns"),
        (torch.rand(4, 1), "3 names, and mine gives 1 column"),
        (torch.rand(4, 3, 2, 2), "one tensor of 4 rows"),
        ((FEATURES, torch.rand(4, 5)), "one tensor of 4 rows"),
        ({"logits": FEATURES, "out": ANSWER}, "gives 9 columns"),
        (None, "one tensor of 4 rows"),
        (torch.zeros(4, 3, dtype=torch.long), "a score for each class"),
    ],
)
def test_what_is_no_score_for_each_class_is_refused_with_what_came(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        columns(given, 4, 3, "mine")
    assert caught.value.given == described(given)


def test_what_came_is_said_by_types_and_shapes() -> None:
    assert described((ANSWER, {"a": None})) == "tuple of (Tensor (4, 3), dict of 1)"
    assert described([0] * 20).endswith("int, and 12 more)")
