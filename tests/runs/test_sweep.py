"""Sweeps: one job fails, the others go on, nothing is lost."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from diffexplain.errors import Interrupted, OwnedElsewhere, RetryableError, UserError
from diffexplain.runs.sweep import Job, plan, run_jobs, sweep_directory, write_sweep


def config(target: str) -> dict[str, Any]:
    return {"target": target, "seed": 0, "classifier": {"name": "c"}, "explainer": {"name": "e"}}


def jobs(*targets: str) -> list[Job[str]]:
    return plan([[f"target={target}", "seed=0"] for target in targets], lambda o: config(o[0].split("=")[1]))


ACCIDENTS: dict[str, BaseException] = {
    "user": UserError("no such class", given="x"),
    "retry": RetryableError("disk full"),
    "bug": ZeroDivisionError("oh"),
    "exit": SystemExit(1),
    "elsewhere": OwnedElsewhere("process 1 has it"),
    "interrupt": KeyboardInterrupt(),
    "sigterm": Interrupted("SIGTERM"),
}


def explain(settings: Mapping[str, Any]) -> str:
    if settings["target"] in ACCIDENTS:
        raise ACCIDENTS[settings["target"]]
    return str(settings["target"]).upper()


def test_jobs_are_composed_at_once_and_named_by_what_differs() -> None:
    first, second = jobs("a", "b")
    assert (first.name, second.name) == ("target=a", "target=b")
    assert jobs("a")[0].name == "target=a seed=0"


@pytest.mark.parametrize("kind", ["user", "retry", "bug", "exit"])
def test_a_job_that_fails_is_named_and_the_others_are_done(kind: str) -> None:
    ended = run_jobs(jobs("a", kind, "b"), explain)
    assert [job.status for job in ended] == ["done", "failed", "done"]
    assert [job.result for job in ended] == ["A", None, "B"]
    assert ended[1].error
    assert str(ACCIDENTS[kind]) in ended[1].error


def test_a_job_in_other_hands_is_not_a_failure() -> None:
    assert [job.status for job in run_jobs(jobs("elsewhere", "a"), explain)] == ["elsewhere", "done"]


@pytest.mark.parametrize(("kind", "status"), [("interrupt", 130), ("sigterm", 75)])
def test_an_interruption_ends_the_sweep(kind: str, status: int) -> None:
    ended = run_jobs(jobs("a", kind, "b"), explain)
    assert [job.status for job in ended] == ["done", "failed", "not started"]
    assert ended[1].stopped_by is not None
    assert ended[1].stopped_by.exit_status == status


def test_every_job_is_announced_before_and_after() -> None:
    said = []
    run_jobs(jobs("a", "user"), explain, lambda number, job: said.append((number, job.status)))
    assert said == [(0, "not started"), (0, "done"), (1, "not started"), (1, "failed")]


def test_the_record_is_the_same_for_the_same_runs(tmp_path: Path) -> None:
    directory = sweep_directory(jobs("a", "b"), tmp_path)
    assert directory == sweep_directory(jobs("b", "a"), tmp_path)
    assert directory != sweep_directory(jobs("a", "c"), tmp_path)
    ended = run_jobs(jobs("a", "user"), explain)
    path = write_sweep(directory, ended, [tmp_path / "c" / "a", None])
    records = json.loads(path.read_text())["jobs"]
    assert [(record["target"], record["status"]) for record in records] == [("a", "done"), ("user", "failed")]
    assert (directory / records[0]["directory"]).resolve() == tmp_path / "c" / "a"
    assert records[1]["directory"] is None
    assert "no such class" in records[1]["error"]
