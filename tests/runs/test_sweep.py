"""Sweeps: one job fails, the others go on, nothing is lost."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from diffexplain.errors import Interrupted, OwnedElsewhere, RetryableError, UserError
from diffexplain.runs.sweep import SWEEP, Job, failures, plan, run_jobs, sweep_directory, write_sweep


def config(target: str) -> dict[str, Any]:
    return {
        "target": target,
        "seed": 0,
        "force": True,
        "paths": {"outputs": "outputs"},
        "classifier": {"name": "c"},
        "explainer": {"name": "e"},
    }


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


def explain(job: Job[str]) -> str:
    target = str(job.config["target"])
    if target in ACCIDENTS:
        raise ACCIDENTS[target]
    return target.upper()


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


def test_jobs_in_other_hands_are_looked_at_again_until_each_is_still_there() -> None:
    looks: list[str] = []

    def explain_later(job: Job[str]) -> str:
        target = str(job.config["target"])
        looks.append(f"{target}, {'again' if job.config['force'] else 'if not done'}")
        if target == "never" or looks.count(f"{target}, if not done") < int(target):
            raise OwnedElsewhere("process 1 has it")
        return target

    ended = run_jobs(jobs("2", "0", "1", "never"), explain_later)
    assert [job.status for job in ended] == ["done", "done", "done", "elsewhere"]
    # What is wanted anew (force=true) is not made again when another process has just made it.
    assert looks[:6] == [
        *(f"{target}, again" for target in ("2", "0", "1", "never")),
        "2, if not done",
        "1, if not done",
    ]
    assert looks.count("never, if not done") == 3 and ended[2].error is None


def test_a_target_that_stands_for_several_is_a_job_of_each() -> None:
    ended = plan([["target=all", "seed=0"], ["target=all", "seed=1"]], lambda o: config(o[1]), lambda _: ["a", "b"])
    assert [job.name for job in ended] == ["seed=0 target=a", "seed=0 target=b", "seed=1 target=a", "seed=1 target=b"]
    assert [job.config["target"] for job in ended] == ["a", "b", "a", "b"]
    assert ended[0].config["paths"] is ended[1].config["paths"]
    (only,) = plan([["seed=0"]], lambda _: config("all"), lambda _: ["a"])
    assert only.name == "seed=0 target=a"


def test_an_interruption_comes_back_from_another_process_as_it_was() -> None:
    again = pickle.loads(pickle.dumps(Interrupted("SIGINT")))
    assert (again.exit_status, str(again)) == (130, str(Interrupted("SIGINT")))


def test_the_failures_of_other_processes_are_read_from_the_record(tmp_path: Path) -> None:
    assert failures(tmp_path) == {}
    write_sweep(tmp_path, run_jobs(jobs("a", "user"), explain), [None, None])
    assert list(failures(tmp_path)) == [("target=user",)]
    (tmp_path / SWEEP).write_text("[1, 2")
    assert failures(tmp_path) == {}


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


def test_the_record_is_the_same_for_the_same_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = sweep_directory(jobs("a", "b"))
    assert directory == sweep_directory(jobs("b", "a"))
    assert directory != sweep_directory(jobs("a", "c"))
    assert directory.parent == tmp_path / "outputs" / "sweeps"
    ended = run_jobs(jobs("a", "user"), explain)
    path = write_sweep(directory, ended, ["../../c/a", None])
    records = json.loads(path.read_text())["jobs"]
    assert [(record["target"], record["status"]) for record in records] == [("a", "done"), ("user", "failed")]
    assert [record["directory"] for record in records] == ["../../c/a", None]
    assert "no such class" in records[1]["error"]
