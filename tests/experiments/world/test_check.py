"""The gate check: its table, its exit status, and parts that are missing."""

import pytest

from diffexplain.errors import UserError
from experiments.world import check
from experiments.world.gates.row import Row, at_least, at_most, missing, table


def raises(error: Exception) -> list[Row]:
    raise error


@pytest.mark.parametrize(
    ("row", "passed"),
    [
        (at_least("p", "m", 0.95, 0.95, 10), True),
        (at_least("p", "m", 0.949, 0.95, 10), False),
        (at_most("p", "m", 0.02, 0.02, 10), True),
        (at_most("p", "m", 0.021, 0.02, 10), False),
        (at_least("p", "m", float("nan"), 0.5, 10), False),
        (at_least("p", "m", 0.0, 0.95, 0), True),
        (missing("p", "gone"), False),
        (Row("p", "m", 0.0, "report"), True),
    ],
)
def test_a_row_passes_when_its_value_reaches_the_gate(row: Row, passed: bool) -> None:
    assert row.passed is passed


def test_table_shows_every_row_with_its_verdict() -> None:
    lines = table([at_least("prior", "subject", 0.96, 0.95, 1000), missing("oracle", "gone\nhint")]).splitlines()
    assert lines[1].split() == ["prior", "subject", "0.9600", ">=", "0.95", "1000", "pass"]
    assert lines[2].split()[0] == "oracle"
    assert lines[2].endswith("FAIL  gone")


def test_exit_status_is_that_of_the_worst_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [at_least("good", "m", 1.0, 0.5, 3)]
    monkeypatch.setattr(check, "PARTS", {"good": lambda: good, "bad": lambda: [at_least("bad", "m", 0.0, 0.5, 3)]})
    assert check.main(["good"]) == 0
    assert "1 of 1 gates passed" in capsys.readouterr().out
    assert check.main([]) == 1
    assert "1 of 2 gates passed, 1 FAILED" in capsys.readouterr().out


@pytest.mark.parametrize("error", [UserError("no such folder"), OSError("half a folder")])
def test_missing_part_is_a_failing_row_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    parts = {"gone": lambda: raises(error), "good": lambda: [at_least("good", "m", 1.0, 0.5, 3)]}
    monkeypatch.setattr(check, "PARTS", parts)
    assert check.main([]) == 1
    printed = capsys.readouterr().out
    assert str(error) in printed
    assert "good" in printed


def test_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        check.main(["orakel"])
    assert raised.value.code == 2
    assert "orakel" in capsys.readouterr().err
