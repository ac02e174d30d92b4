"""The queue of what wants a GPU: each stage in small on the CPU, and what is left and said."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.gpu import queue, stages
from experiments.gpu.queue import AGAIN, STAGES, Stage, main
from experiments.reliability.runs import run

ROOT = Path(__file__).parents[2]


def test_every_stage_in_small(tmp_path: Path) -> None:
    call = ["--toy", "--minutes", "60", "--outputs", str(tmp_path)]
    finished = run(lambda: main(call), tmp_path / "queue.log")  # Forked: what it imports is there.
    told = {stage.name: tmp_path / f"{stage.name}.txt" for stage in STAGES}
    printed = "\n".join(path.read_text("utf-8")[-3000:] for path in told.values() if path.exists())
    lines = [line for line in finished.said.splitlines() if line.partition(":")[0] in told]
    assert lines == [f"{stage.name}: done" for stage in STAGES], printed + finished.said
    assert finished.status == 0
    assert " passed" in told["tests"].read_text("utf-8")
    for name in ("speed", "speed_compiled"):
        assert "the aim of 50% is" in (tmp_path / f"{name}.md").read_text("utf-8")
    for name in ("run_default", "run_diffex"):
        assert "| explain |" in (tmp_path / f"{name}.md").read_text("utf-8")
        (summary,) = (tmp_path / "runs" / name).rglob("summary.json")
        assert json.loads(summary.read_text("utf-8"))
    assert (tmp_path / "prior" / "unet" / "diffusion_pytorch_model.safetensors").exists()
    assert "| measure | shipped | trained further | n |" in (tmp_path / "prior_gates.md").read_text("utf-8")
    # What is made is not made again.
    command = [sys.executable, "-m", "experiments.gpu.queue", *call]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.stdout.splitlines() == [f"{stage.name}: done before" for stage in STAGES], again.stderr


def quickly(place: stages.Place) -> None:
    place.write("quickly", "made")


def slowly(place: stages.Place) -> None:
    """Takes ten parts, and writes down each."""
    while len(parts := list(place.folder.glob("part-*"))) < 10:
        (place.folder / f"part-{len(parts)}").touch()
        if len(parts) == 5 and not (place.folder / "stopped").exists():
            (place.folder / "stopped").touch()
            time.sleep(60)


def wrongly(place: stages.Place) -> None:
    raise ValueError("not so")


def test_a_stage_is_stopped_in_time_and_goes_on_and_one_that_fails_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "TO_BEGIN", 0.1)
    monkeypatch.setattr(queue, "TO_STOP", 1.0)
    monkeypatch.setattr(stages, "import_libraries", lambda: None)  # They use none.
    todo = [Stage("quickly", quickly), Stage("slowly", slowly), Stage("quickly_after", quickly)]
    call = ["--toy", "--minutes", "0.1", "--outputs", str(tmp_path)]
    assert main(call, todo) == AGAIN
    assert capsys.readouterr().out.splitlines() == [
        "quickly: done",
        "slowly: goes on with the next call",
        "quickly_after: waits for the next call",
    ]
    assert len(list(tmp_path.glob("part-*"))) == 6
    assert main(call, todo) == 0
    assert capsys.readouterr().out.splitlines() == ["quickly: done before", "slowly: done", "quickly_after: done"]
    assert main(call, [Stage("wrongly", wrongly), Stage("afterwards", quickly)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"wrongly: failed, as {tmp_path}/wrongly.txt says"
    assert "ValueError: not so" in (tmp_path / "wrongly.txt").read_text("utf-8")
    assert second == "afterwards: done"
    assert not (tmp_path / "wrongly.done").exists()


def test_without_a_card_every_stage_is_skipped_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "has_card", lambda: False)
    assert main(["--outputs", str(tmp_path / "none")]) == 0
    skipped = [f"{stage.name}: skipped, for torch finds no GPU here" for stage in STAGES]
    assert capsys.readouterr().out.splitlines() == skipped
    assert not (tmp_path / "none").exists()


def test_the_phases_of_all_attempts_count() -> None:
    timings = {
        "seconds": {"build": 1.0, "explain": 2.0, "total": 3.0},
        "earlier_attempts": [{"build": 0.5, "total": 0.5}],
        "peak_memory_bytes": 2**30,
    }
    lines = stages.phases(timings, "a card").splitlines()
    assert lines[2:5] == ["| build | 1.5 |", "| explain | 2.0 |", "| total | 3.5 |"]
    assert lines[-1] == "Peak memory: process 1.00 GiB. Attempts: 2. a card."
