"""Files that are read, damaged in every way: one line, a warning, or the answer as it was; more in experiments."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import pytest

from experiments.reliability import corruptions
from experiments.reliability.corruptions import BAD, DAMAGES, _answer, tried

ROOT = Path(__file__).parents[2]
"""The paths in tests/conf are relative to it."""
SLOW = ("a photograph", "a run that goes on", "kept checksums", "a network of torchvision's, fetched")
"""Those that the tests of runs and stores damage by themselves."""


Made = tuple[corruptions.Reading, Path, Path, tuple[str, str]]
"""What is read, whole and where it is to be damaged, and what is read there undamaged."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    every = chain(corruptions._own_files(), corruptions._runs(), corruptions._kept())
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for reading in every:
            if reading.name not in SLOW:
                folder = tmp_path_factory.mktemp("read")
                whole, place = folder / "whole", folder / "tried"
                place.mkdir()
                reading.make(place)
                shutil.copytree(place, whole)
                found.append((reading, whole, place, _answer(reading, place)))
    return found


@pytest.mark.parametrize("kind", DAMAGES)
def test_no_damaged_file_is_a_traceback_or_another_answer_without_a_word(
    kind: str, made: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    came = {
        (reading.name, name): tried(reading, whole, place, name, kind, expected)
        for reading, whole, place, expected in made
        for name in reading.files
    }
    assert not {what: text for what, text in came.items() if text.startswith(BAD)}
    assert sum(text.startswith("refused") for text in came.values()) >= 5
