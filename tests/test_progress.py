"""How far a loop is: lines now and then, of the outermost loop alone, and nothing of a short one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from diffexplain import progress
from diffexplain.memory import MicroBatches


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each look at the clock is four seconds later."""
    now = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    with progress.shown_as("lines"):
        yield


@pytest.mark.usefixtures("_clock")
def test_a_long_loop_says_now_and_then_how_long_it_still_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.progress(range(8), "phrases")) == list(range(8))
    assert capsys.readouterr().err.splitlines() == [
        "phrases: 3 of 8, 00:20 left",
        "phrases: 6 of 8, 00:08 left",
    ]


@pytest.mark.usefixtures("_clock")
def test_what_was_done_before_says_nothing_of_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    meter = progress.Meter("optimise", 40, before=30)
    for step in range(31, 41):
        meter.say(step, "; score 0.5")
    assert capsys.readouterr().err.splitlines()[0] == "optimise: 33 of 40, 00:28 left; score 0.5"


@pytest.mark.usefixtures("_clock")
def test_the_outermost_loop_speaks_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress.progress(range(4), "concepts"):
        MicroBatches(1).run(9, lambda part: part)
    with progress.inside():
        MicroBatches(1).run(9, lambda part: part)
    assert {line.partition(":")[0] for line in capsys.readouterr().err.splitlines()} == {"concepts"}
    MicroBatches(1).run(9, lambda part: part)
    assert "micro-batches of pictures: 3 of 9" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["none", "auto"])
def test_a_short_loop_and_a_silent_one_say_nothing(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown_as(how):
        assert sum(progress.progress(iter([1, 2]), "short", 2)) == 3
    assert capsys.readouterr().err == ""


def test_a_loop_that_fails_leaves_no_trace() -> None:
    def fails(part: slice) -> None:
        raise ValueError(part)

    for _ in range(2):
        with pytest.raises(ValueError), progress.shown_as("lines"):
            MicroBatches(1).run(2, fails)
    assert progress._speaks
