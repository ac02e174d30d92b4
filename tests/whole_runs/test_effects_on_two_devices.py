"""A run that ranks effects, shared by two processes, is the run of one."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests import pretend
from tests.pretend import ACCIDENT
from tests.whole_runs.test_app import artefacts

import diffexplain
from diffexplain.errors import RetryableError
from diffexplain.report import Summary

ROOT = Path(__file__).parents[2]
SHARED = ["paths.configs=[tests/conf]", "plugins=[tests]", "effects.images=7", "effects.chunk=3"]
"""Of three images one device has two; the seventh belongs to the first device alone."""


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv(ACCIDENT, raising=False)


def explain_on_two(
    outputs: Sequence[Path], accidents: Sequence[str] = ("", ""), experiment: str = "pretend_effects"
) -> list[int]:
    """Make the run in two processes as a cluster's launcher would, and give their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank, (folder, accident) in enumerate(zip(outputs, accidents, strict=True)):
        child = os.fork()
        if child == 0:
            group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
            os.environ.update(group | {ACCIDENT: accident})
            status = 1
            try:
                diffexplain.explain(*SHARED, f"experiment={experiment}", "trainer.devices=2", f"paths.outputs={folder}")
                status = 0
            except SystemExit as end:  # How a helping process ends.
                status = int(end.code or 0)
            except RetryableError as error:
                status = error.exit_status
            finally:
                os._exit(status)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def records(folder: Path) -> tuple[dict[str, Any], list[float]]:
    """What the run's files of edits say, its fractions apart."""
    fractions: list[float] = []
    contents = {
        path.name: json.loads(path.read_text(), parse_float=lambda text: fractions.append(float(text)))
        for path in sorted(folder.rglob("effects/*.json"))
    }
    return contents, fractions


def summary(folder: Path) -> Summary:
    (path,) = folder.rglob("summary.json")
    return Summary.load(path.parent)


def test_two_devices_make_the_run_of_one_and_the_second_writes_nothing(tmp_path: Path) -> None:
    one = diffexplain.explain(*SHARED, "experiment=pretend_effects", f"paths.outputs={tmp_path}/one").effects
    # What the second knows it was told: it looks for files where there are none.
    assert explain_on_two([tmp_path / "two", tmp_path / "helper"]) == [0, 0]
    assert not (tmp_path / "helper").exists()

    two = summary(tmp_path / "two").effects
    assert one is not None and two is not None
    assert two.budget == one.budget
    for first, second in zip(one.rankings, two.rankings, strict=True):
        assert [concept.path for concept in second.ranked] == [concept.path for concept in first.ranked]
        values = [[concept.over_all.score.value for concept in ranking.ranked] for ranking in (first, second)]
        assert values[1] == pytest.approx(values[0], abs=1e-6)
        assert [found.paths for found in second.combinations] == [found.paths for found in first.combinations]
    (alone, fractions), (shared, others) = records(tmp_path / "one"), records(tmp_path / "two")
    assert shared == alone
    assert others == pytest.approx(fractions, abs=1e-6)  # A batch of another size may change the last bits.


def test_killed_and_started_again_on_two_devices_gives_the_bytes_of_an_uninterrupted_run(tmp_path: Path) -> None:
    whole, killed = [tmp_path / "whole"] * 2, [tmp_path / "killed"] * 2
    assert explain_on_two(whole) == [0, 0]
    first, second = explain_on_two(killed, ["SIGKILL", ""])
    assert first == -signal.SIGKILL and second != 0  # The helper does not go on alone.
    assert list(killed[0].rglob("edits-*.json")) and not list(killed[0].rglob("summary.json"))
    assert explain_on_two(killed) == [0, 0]
    expected, made = artefacts(whole[0]), artefacts(killed[0])
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name] and not name.endswith("manifest.json")] == []


@pytest.mark.parametrize("experiment", ["pretend_effects", "pretend"])
def test_what_fails_on_the_second_device_is_said_by_the_first(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second then does not go on to what comes after the edits."""
    monkeypatch.setattr(pretend.Editor, "patience", 8)
    monkeypatch.setattr(pretend.Explainer, "explain", lambda *_, **__: pytest.fail("the prompt was looked for"))
    assert explain_on_two([tmp_path] * 2, ["", "retry"], experiment) == [75, 0]
    assert list(tmp_path.rglob("effects/*.json")) and not list(tmp_path.rglob("summary.json"))
