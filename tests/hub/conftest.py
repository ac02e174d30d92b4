"""A hub for the tests of a module, and a store for each of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hub.place import ROOT, Place, environment
from tests.hub.server import Hub, running


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Hub, subprocess.Popen[str]]]:
    """A hub, and a process that knows it."""
    with running(Hub()) as hub:
        program = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        worker = subprocess.Popen(
            program, env=environment(hub), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with worker:
            yield hub, worker
            worker.stdin.close()


@pytest.fixture
def place(served: tuple[Hub, subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    hub, worker = served
    for content in (hub.repos, hub.plain, hub.break_after, hub.corrupt, hub.described, hub.requests, hub.answers):
        content.clear()
    found = Place(tmp_path, hub, worker)
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(found.store))
    return found
