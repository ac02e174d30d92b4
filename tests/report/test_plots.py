"""Charts put things where their numbers say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffexplain.report import plots
from diffexplain.statistics.estimates import Estimate


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=5))
def test_an_axis_holds_zero_and_all_values_at_a_few_round_marks(values: list[float]) -> None:
    axis = plots.axis_for(values)
    assert axis.low <= min(0.0, *values, 0.0) + 1e-6
    assert axis.high >= max(0.0, *values, 0.0) - 1e-6
    assert 2 <= len(axis.ticks) <= 6
    assert any(tick == 0 for tick in axis.ticks)


def test_positions_are_shares_of_the_axis_and_never_outside_it() -> None:
    axis = plots.Axis(-0.5, 0.5, (-0.5, 0.0, 0.5))
    assert [axis.at(value) for value in (-0.5, 0.0, 0.25, 0.5, 9.0)] == [0, 50, 75, 100, 100]


def test_a_bar_reaches_from_zero_to_its_value_with_its_interval() -> None:
    drawn = plots.bar(Estimate(0.5, 0.4, 0.75, 20), plots.UNIT_AXIS, "spurious", mark=0.02)
    assert '<rect class="spurious" x="0.0%" y="6.0" width="50.0%"' in drawn
    assert 'class="whisker" x1="40.0%" x2="75.0%"' in drawn
    assert 'class="mark" x1="2.0%"' in drawn
    assert "0.50, 95% interval 0.40 to 0.75" in drawn


def test_a_negative_bar_ends_at_zero() -> None:
    drawn = plots.bar(Estimate(-0.25, -0.5, 0.0, 20), plots.Axis(-0.5, 0.5, (-0.5, 0.0, 0.5)), "plain")
    assert 'x="25.0%" y="6.0" width="25.0%"' in drawn


def test_a_curve_goes_up_when_values_do_and_marks_the_step_that_was_kept() -> None:
    drawn = plots.curve([(0, 0.0), (1, 0.5), (2, 1.0)], [(0, 0.0), (1, 0.25), (2, 0.5)], 1, highest=1.0)
    assert f"M0.0 {plots.CURVE_HEIGHT}.0L500.0 {plots.CURVE_HEIGHT / 2}L1000.0 0.0" in drawn
    assert "kept: step 1" in drawn
    assert f'cy="{plots.CURVE_HEIGHT * 0.75}"' in drawn


@pytest.mark.parametrize("points", [[(0, 0.3)], [(5, 0.0), (6, 0.0)], [(0, -3.0), (1, 4000.0)]])
def test_a_short_flat_or_wide_curve_is_drawn(points: list[tuple[int, float]]) -> None:
    drawn = plots.curve(points, [], None)
    assert not re.search("nan|inf", drawn)
    assert "kept" not in drawn
