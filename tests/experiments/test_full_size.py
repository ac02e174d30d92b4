"""The way to full size, in small: every stage from a hub to a report, and what is said of them."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from experiments.full_size import make
from experiments.full_size.make import STAGES, WITHOUT, Place, main, page
from experiments.reliability import runs

EVERY = tuple(stage.name for stage in STAGES)


# One is fetched, converted from a pickle, planned and run; what the others add are formats and explainers, which have
# tests of their own.
@pytest.mark.parametrize("names", [("sd21_nitro",), pytest.param(EVERY, marks=pytest.mark.slow)])
def test_stages_in_small(names: tuple[str, ...], tmp_path: Path) -> None:
    for module in ("experiments.full_size.parts", "diffexplain.pipelines.cost", "diffexplain.pipelines.pipeline"):
        importlib.import_module(module)  # Once for all: each step is a process that is forked.
    finished = runs.run(lambda: main([*names, "--toy", "--outputs", str(tmp_path / "made")]), tmp_path / "log")
    lines = [line for line in finished.said.splitlines() if line.endswith((": done", " failed"))]
    assert lines == [f"{name}: done" for name in names], finished.said[-5000:]
    assert finished.status == 0
    place = Place(tmp_path / "made", toy=True)
    said = (place.folder / "RESULTS.md").read_text("utf-8")
    for stage in STAGES:
        assert f"| `{stage.name}` | {'made' if stage.name in names else 'not made yet'} |" in said
        if stage.name not in names:
            continue
        found = place.kept(stage)
        assert (place.folder / found["run"] / "report.html").is_file()
        assert found["timings"]["peak_memory_bytes"] < found["planned"]["memory"]
        planned, counted = Counter(found["planned"]["calls"]), found["counted"]["calls"]
        planned["segmenter"] += planned.pop("similarity", 0)
        planned["text encoder"] += 1  # The empty one, where there is guidance.
        assert counted["denoiser"] > 0 and all(count <= planned[name] for name, count in counted.items())
    assert all(f"| `{prior}` | skipped: {reason} |" in said for prior, reason in WITHOUT.items())


def test_what_is_made_is_not_made_again_and_what_failed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, (first, second, *_) = Place(tmp_path, toy=True), STAGES
    place.keep(first, fetched={}, planned={}, timings={})
    place.keep(second, fetched={}, planned={})
    monkeypatch.setattr(make, "run", run)
    monkeypatch.setattr(make, "page", lambda *_: "")
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", "")
    assert main(["--toy", "--outputs", str(tmp_path), first.name]) == 0
    assert main(["--toy", "--outputs", str(tmp_path), first.name, second.name]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{first.name}: done",
        f"{first.name}: done",
        f"{second.name}: run failed",
    ]
    assert f"| `{second.name}` | run failed |" in page(Place(tmp_path / "none", toy=True), {second.name: "run failed"})
    assert json.loads((tmp_path / first.name / "found.json").read_text("utf-8"))["planned"] == {}


def run(*_: object) -> None:
    sys.exit(1)
