"""Files that are read, damaged in every way: one line, a warning, or the answer as it was; more in experiments."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import pytest

from experiments.reliability import corruptions
from experiments.reliability.corruptions import BAD, DAMAGES, _answer, tried

SLOW = ("a photograph", "a run that goes on", "kept checksums")
"""Those that the tests of runs and stores damage by themselves."""


@pytest.fixture(scope="module")
def readings() -> dict[str, corruptions.Reading]:
    every = chain(corruptions._own_files(), corruptions._runs(), corruptions._kept())
    return {reading.name: reading for reading in every if reading.name not in SLOW}


@pytest.mark.parametrize("kind", DAMAGES)
def test_no_damaged_file_is_a_traceback_or_another_answer_without_a_word(
    kind: str, readings: dict[str, corruptions.Reading], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])  # The paths in tests/conf are relative.
    came = {}
    for number, reading in enumerate(readings.values()):
        whole, place = tmp_path / f"whole {number}", tmp_path / "tried"
        place.mkdir()
        reading.make(place)
        shutil.copytree(place, whole)
        expected = _answer(reading, place)
        for name in reading.files:
            came[reading.name, name] = tried(reading, whole, place, name, kind, expected)
        shutil.rmtree(place)
    assert not {what: text for what, text in came.items() if text.startswith(BAD)}
    assert sum(text.startswith("refused") for text in came.values()) >= 5
