"""Which concepts get more images, and what becomes of their differences."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from diffexplain.effects.budget import Halving, Uniform, policy_named
from diffexplain.effects.estimation import Differences, Error, PriorError, estimate_effects, top, within
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws
from diffexplain.statistics.estimates import Estimate

DRAWS = Draws(0, "class:flagpole")


def noisy(mean: float, spread: float, count: int = 8, index: int = 0) -> NDArray[np.float64]:
    values = DRAWS.generator("test", 0, index).standard_normal(count)
    return mean + spread * (values - values.mean())


def test_uniform_tests_all_on_everything() -> None:
    assert (Uniform().choosing(48), Uniform().testing(48)) == ([], range(48))
    assert Uniform().survivors([noisy(0, 1), noisy(5, 1)]) == [0, 1]


def test_halving_doubles_up_to_a_quarter_and_tests_on_the_rest() -> None:
    halving = Halving(first=6)
    assert (halving.choosing(48), halving.testing(48)) == ([6, 12], range(12, 48))
    assert (halving.choosing(30), halving.testing(30)) == ([6], range(6, 30))
    assert (halving.choosing(20), halving.testing(20)) == ([], range(20))


def test_those_go_that_surely_are_not_among_the_best() -> None:
    values = [noisy(mean, 0.01, index=k) for k, mean in enumerate([0.5, -0.4, 0.3, 0.0, 0.01, -0.02, 0.0, 0.03])]
    assert Halving(keep=2).survivors(values) == [0, 1]  # by absolute mean


def test_what_is_not_known_yet_goes_on() -> None:
    values = [noisy(mean, 0.01, index=k) for k, mean in enumerate([0.5, 0.4, 0.3, 0.2, 0.0, 0.0, 0.0])]
    values.append(noisy(0.0, 2.0, index=9))
    assert Halving(keep=2).survivors(values) == [0, 1, 7]


def test_a_concept_that_surely_has_no_effect_goes_however_small_the_best_are() -> None:
    values = [noisy(mean, 0.05, index=k) for k, mean in enumerate([0.06, 0.05, 0.05, 0.04])]
    assert Halving(keep=2).survivors(values) == [0, 1]


def test_no_fewer_than_wanted_are_kept() -> None:
    values = [noisy(0.0, 0.01, index=k) for k in range(6)]
    assert len(Halving(keep=5).survivors(values)) == 5
    assert Halving(keep=5).survivors(values[:5]) == [0, 1, 2, 3, 4]


def test_policies_by_name() -> None:
    assert policy_named("halving") == Halving()
    with pytest.raises(UserError, match="policy"):
        policy_named("thirds")
    with pytest.raises(ValueError, match="two images"):
        Halving(first=1)


def test_effects_beyond_the_margin_and_within() -> None:
    pairs = {
        ("large",): Differences(noisy(0.4, 0.05), noisy(2.0, 0.5), None),
        ("none",): Differences(noisy(0.01, 0.001, index=1), None, None),
        ("unsure",): Differences(noisy(0.1, 0.2, index=2), None, None),
    }
    found = estimate_effects(pairs, margin=0.02, rate=0.05)
    assert [effect.significant for effect in found.values()] == [True, False, False]
    large = found["large",]
    assert large.score.value == pytest.approx(0.4) and large.n == 8
    assert large.adjusted.low > 0.02 and large.log_odds is not None and large.log_odds.value == pytest.approx(2.0)
    # One of three chosen: each adjusted interval is as wide as a 98.3 % one.
    assert large.adjusted.high - large.adjusted.low > large.score.high - large.score.low


def test_what_chose_a_concept_does_not_call_it() -> None:
    pairs = {(name,): Differences(noisy(0.4, 0.05, index=k), None, None) for k, name in enumerate("ab")}
    found = estimate_effects(pairs, 0.02, 0.05, tested={("a",)})
    assert found["a",].significant and not found["b",].significant
    assert (found["b",].p, found["b",].e) == (1.0, 0.0)
    assert found["b",].score.value == pytest.approx(0.4)  # what is known of it is still said


def test_the_priors_error_widens_intervals_and_tests() -> None:
    pairs = {("one",): Differences(noisy(0.1, 0.02), None, None)}
    error = PriorError(absolute={"object": 0.05}, relative=0.5, of_object=0.0, classifiers=1, effects=1, steps=4)
    errors = {("one",): error.of("object", 0.1)}
    (without,), (allowed,) = (estimate_effects(pairs, 0.02, 0.05, errors=e).values() for e in (None, errors))
    assert without.significant and not allowed.significant
    # The test asks for the error if there were no effect, which is not relative to what was measured.
    (tested,) = estimate_effects(pairs, 0.02, 0.05, errors={("one",): Error(0.5, 0.0)}).values()
    assert tested.p == without.p and tested.score.high > allowed.score.high
    spread = 1.959964 * np.hypot(0.05, 0.5 * 0.1)
    half = (without.score.high - without.score.low) / 2
    assert (allowed.score.high - allowed.score.low) / 2 == pytest.approx(np.hypot(half, spread))


def test_no_interval_of_probabilities_is_wider_than_they_can_differ() -> None:
    pairs = {("a",): Differences(np.asarray([1.0, 1.0, 0.5, 1.0, 0.2, 1.0]), None, None)}
    (found,) = estimate_effects(pairs, 0.02, 0.05).values()
    assert 0 < found.score.low < found.score.value < found.score.high == 1.0
    (of_unit,) = estimate_effects(pairs, 0.02, 0.05, bounded=False).values()
    assert of_unit.score.high > 1.0


def test_differences_that_took() -> None:
    pair = Differences(np.array([1.0, 2.0, 3.0]), None, np.array([True, False, True]))
    passed = pair.those_that_took()
    assert passed is not None and passed.score.tolist() == [1.0, 3.0]
    assert Differences(pair.score, None, np.array([True, False, False])).those_that_took() is None
    assert Differences(pair.score, None, None).those_that_took() is None


def test_within_the_noise() -> None:
    assert within(Estimate(0.01, -0.02, 0.04, 8), None) is None
    assert within(Estimate(0.01, -0.02, 0.04, 8), Estimate(-0.03, -0.05, -0.01, 8)) is True
    assert within(Estimate(0.03, 0.0, 0.06, 8), Estimate(-0.03, -0.05, -0.01, 8)) is False


def test_top_keeps_order_among_equals() -> None:
    assert top([1.0, 3.0, 3.0, 2.0], 3) == [1, 2, 3]


def test_a_weight_known_before_gives_one_test_more_of_the_rate_and_the_others_less() -> None:
    pairs = {("first",): Differences(noisy(0.1, 0.08), None, None)}
    pairs |= {(f"{k}",): Differences(noisy(0.0, 0.08, index=k + 2), None, None) for k in range(9)}
    weights = {path: 5.0 if path == ("first",) else 5.0 / 9 for path in pairs}
    alike, weighted = (estimate_effects(pairs, 0.02, 0.05, weights=some) for some in (None, weights))
    assert sum(weights.values()) == pytest.approx(len(pairs))
    assert weighted["first",].adjusted_p == pytest.approx(alike["first",].adjusted_p / 5)
    assert weighted["first",].p == alike["first",].p
    assert weighted["3",].adjusted_p >= alike["3",].adjusted_p
