"""Intervals and tests against answers known by hand or printed in the literature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import (
    benjamini_hochberg,
    benjamini_hochberg_e,
    bootstrap_mean,
    e_mean_beyond,
    false_coverage_confidence,
    mean_interval,
    p_mean_above,
    p_mean_beyond,
    wilson,
)


def generator() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=1))


def test_wilson_of_newcombes_example() -> None:
    # Newcombe (1998), table I: 81 of 263.
    found = wilson(81, 263)
    assert (found.value, found.n) == (81 / 263, 263)
    assert found.low == pytest.approx(0.2553, abs=5e-5)
    assert found.high == pytest.approx(0.3662, abs=5e-5)


def test_wilson_at_the_ends_has_width() -> None:
    assert wilson(0, 20).low == 0
    assert wilson(0, 20).high == pytest.approx(0.1611, abs=5e-5)
    assert wilson(20, 20).low == pytest.approx(1 - 0.1611, abs=5e-5)
    assert wilson(20, 20).high == 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError):
        wilson(successes, n)


@given(some.integers(1, 200).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n))))
def test_wilson_holds_its_share(counts: tuple[int, int]) -> None:
    found = wilson(*counts)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_bootstrap_of_equal_values_is_a_point() -> None:
    assert bootstrap_mean([0.3] * 9, generator(), 100) == Estimate(pytest.approx(0.3), 0.3, 0.3, 9)


def test_bootstrap_agrees_with_the_normal_interval_of_normal_values() -> None:
    values = np.random.Generator(np.random.Philox(key=2)).standard_normal(200)
    found = bootstrap_mean(values, generator(), 4000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_bootstrap_follows_skew() -> None:
    found = bootstrap_mean([0.0] * 45 + [1.0] * 5, generator(), 4000)
    assert found.high - found.value > 1.2 * (found.value - found.low)


def test_bootstrap_is_repeatable() -> None:
    values = [0.1, 0.5, 0.9, 0.2]
    assert bootstrap_mean(values, generator(), 300) == bootstrap_mean(values, generator(), 300)


@pytest.mark.parametrize("values", [[], [0.1, float("nan")]])
def test_bootstrap_refuses_missing_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean(values, generator(), 10)


def test_p_of_a_mean_known_by_hand() -> None:
    # Mean 2, standard error 1, 2 degrees of freedom: t = 2, and P(T > t) = 1/2 - t / (2 sqrt(2 + t^2)).
    values = 2 + np.sqrt(3) * np.array([-1.0, 0.0, 1.0])
    assert p_mean_above(values, 0) == pytest.approx(0.5 - 2 / (2 * np.sqrt(6)))
    assert p_mean_above(values, 2) == pytest.approx(0.5)


def test_p_where_all_pairs_agree() -> None:
    assert p_mean_above([0.5, 0.5, 0.5], 0.02) < 1e-6
    assert p_mean_above([0.02, 0.02, 0.02], 0.02) == pytest.approx(0.5)
    assert p_mean_above([0.0, 0.0], 0.02) > 0.999


def test_p_is_careful_where_few_pairs_answer() -> None:
    # One of 24 answers fully: the mean drop is 0.04, but nothing is shown.
    assert p_mean_above([0.0] * 23 + [1.0], 0.02) > 0.3


def test_p_needs_two_pairs() -> None:
    with pytest.raises(ValueError, match="two pairs"):
        p_mean_above([0.5], 0.02)


def test_benjamini_hochberg_by_hand() -> None:
    # Sorted .01 .02 .03 .5 of 4: .04, .04, .04, .5.
    assert benjamini_hochberg([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.04, 0.5, 0.04, 0.04])
    assert benjamini_hochberg([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    assert benjamini_hochberg([]) == []


@given(some.lists(some.floats(0, 1), min_size=1, max_size=20))
def test_benjamini_hochberg_only_raises_and_keeps_order(p_values: list[float]) -> None:
    adjusted = benjamini_hochberg(p_values)
    assert all(p <= q + 1e-12 and q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.asarray(adjusted)[order]) >= -1e-12)


def test_p_beyond_is_two_sided_about_both_ends() -> None:
    values = [0.1, 0.3, 0.2, 0.4]
    above = p_mean_above(values, 0.1)
    assert p_mean_beyond(values, 0.1) == pytest.approx(2 * above)
    assert p_mean_beyond([-value for value in values], 0.1) == pytest.approx(2 * above)
    assert p_mean_beyond([0.0, 0.01, -0.01, 0.0], 0.02) == 1.0


def test_mean_interval_known_by_hand() -> None:
    # Mean 2, standard error 1/sqrt(3); the 97.5 % point of t with two degrees of freedom is 4.3027.
    interval = mean_interval([1.0, 2.0, 3.0])
    assert (interval.value, interval.n) == (2.0, 3)
    assert interval.high == pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-4)
    assert interval.low == pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-4)
    assert mean_interval([0.5, 0.5]).low == 0.5
    with pytest.raises(ValueError, match="two values"):
        mean_interval([1.0])


def test_false_coverage_confidence_by_hand() -> None:
    assert false_coverage_confidence([0.01, 0.04, 0.2, 0.9], 0.05) == pytest.approx(1 - 0.05 * 2 / 4)
    assert false_coverage_confidence([0.5, 0.9], 0.05) == pytest.approx(1 - 0.05 / 2)


@given(
    some.lists(some.lists(some.floats(-1, 1), min_size=3, max_size=8), min_size=1, max_size=8),
    some.sampled_from([0.0, 0.02, 0.3]),
)
def test_chosen_are_those_whose_adjusted_interval_lies_beyond(samples: list[list[float]], bound: float) -> None:
    p_values = [p_mean_beyond(sample, bound) for sample in samples]
    adjusted = benjamini_hochberg(p_values)
    confidence = false_coverage_confidence(adjusted, 0.05)
    for sample, p in zip(samples, adjusted, strict=True):
        interval = mean_interval(sample, confidence)
        if abs(p - 0.05) > 1e-9:
            beyond = interval.low > bound + 1e-11 or interval.high < -bound - 1e-11
            assert (p <= 0.05) == beyond or np.std(sample) < 1e-10


def test_an_e_value_is_what_bets_would_have_won() -> None:
    # By hand: 1 + b (x - bound), the largest stake being 1 / (1 + bound); the mean over stakes and both ways.
    stakes = np.asarray([0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9])
    assert e_mean_beyond([0.5], 0.0) == pytest.approx(np.mean([1 + stakes * 0.5, 1 - stakes * 0.5]))
    assert e_mean_beyond([0.0] * 50, 0.02) < 1
    assert e_mean_beyond([0.4] * 40, 0.02) > 1000
    assert e_mean_beyond([0.4] * 40, 0.02) == pytest.approx(e_mean_beyond([-0.4] * 40, 0.02))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        e_mean_beyond([1.5], 0.02)


def test_e_values_hold_where_the_t_test_errs() -> None:
    # Bulk 0.03, two pairs in a hundred 0.5 lower: the mean is exactly the bound.
    draws = generator()
    samples = 0.03 - 0.5 * (draws.random((2000, 25)) < 0.02)
    rejected_t = np.mean([p_mean_above(sample, 0.02) < 0.05 for sample in samples])
    rejected_e = np.mean([e_mean_beyond(sample, 0.02) >= 20 for sample in samples])
    assert rejected_t > 0.4
    assert rejected_e <= 0.05


def test_e_values_of_several_tests() -> None:
    assert benjamini_hochberg_e([100.0, 30.0, 1.0], 0.05) == [True, True, False]  # 60 for one, 30 each for two
    assert benjamini_hochberg_e([50.0, 25.0, 1.0], 0.05) == [False, False, False]
    assert benjamini_hochberg_e([], 0.05) == []
