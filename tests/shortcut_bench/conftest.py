"""The benchmark's scripts can be imported."""

from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "world"))
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "shortcut_bench"))
