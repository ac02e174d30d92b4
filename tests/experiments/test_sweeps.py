"""A sweep that is killed comes through: the small version of the experiment."""

from pathlib import Path

import pytest

from experiments.sweeps.survive import survive, table

ROOT = Path(__file__).parents[2]


def test_a_shared_sweep_whose_processes_are_killed_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    outcome = survive(tmp_path / "sweep", targets=6, processes=2, kills=3)
    assert outcome.is_good and outcome.kills, table(outcome)
