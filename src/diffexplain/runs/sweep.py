"""Several runs one after another, of which one may fail without the others noticing."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from diffexplain.config.identity import identity
from diffexplain.errors import Interrupted, OwnedElsewhere, RetryableError, UserError
from diffexplain.runs.run import outputs_folder
from diffexplain.weights import atomic

SWEEP = "sweep.json"
Result = TypeVar("Result", covariant=True)
Status = Literal["done", "elsewhere", "failed", "not started"]


@dataclass(frozen=True)
class Job(Generic[Result]):
    """One run of a sweep.

    Attributes:
        overrides: those that set it apart.
        config: as it was when the sweep began.
        status: ``elsewhere`` is in the hands of another process.
        result: what came of it, if it is done.
        error: why it is not, in one or more lines.
        stopped_by: the interruption that ended the sweep in this job.
    """

    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    status: Status = "not started"
    result: Result | None = None
    error: str | None = None
    stopped_by: Interrupted | None = None

    @property
    def name(self) -> str:
        """What tells the job from the others."""
        return " ".join(self.overrides) or str(self.config["target"])


def plan(
    alternatives: Sequence[Sequence[str]], compose: Callable[[Sequence[str]], Mapping[str, Any]]
) -> list[Job[Any]]:
    """A job for every list of overrides, composed now, so that later edits of files change nothing.

    Raises:
        UserError: one of them cannot be composed.
    """
    shared = set.intersection(*(set(overrides) for overrides in alternatives)) if len(alternatives) > 1 else set()
    return [
        Job(tuple(text for text in overrides if text not in shared), compose(overrides)) for overrides in alternatives
    ]


def run_jobs(
    jobs: Sequence[Job[Result]],
    explain: Callable[[Mapping[str, Any]], Result],
    announce: Callable[[int, Job[Result]], None] = lambda _number, _job: None,
) -> list[Job[Result]]:
    """Run ``explain`` on the config of every job; what a job raises becomes its ``error``.

    ``announce`` is called with the number and the job before it begins and after it ended. An
    interruption ends the sweep: the jobs that are left stay ``not started``.
    """
    ended = list(jobs)
    for number, job in enumerate(jobs):
        announce(number, job)
        try:
            ended[number] = replace(job, status="done", result=explain(job.config))
        except OwnedElsewhere as error:
            ended[number] = replace(job, status="elsewhere", error=str(error))
        except (Interrupted, KeyboardInterrupt) as error:
            stop = error if isinstance(error, Interrupted) else Interrupted("SIGINT")
            ended[number] = replace(job, status="failed", error=str(stop), stopped_by=stop)
            announce(number, ended[number])
            break
        except (UserError, RetryableError) as error:
            ended[number] = replace(job, status="failed", error=str(error))
        except (Exception, SystemExit) as error:
            traceback.print_exception(error)
            message = f"{type(error).__name__}: {error}"
            ended[number] = replace(job, status="failed", error=message)
        announce(number, ended[number])
    return ended


def sweep_directory(jobs: Sequence[Job[Any]], root: str | Path) -> Path:
    """``<root>/sweeps/<identity>``: the same for the same runs in any order."""
    identities = sorted(identity(job.config) for job in jobs)
    name = sha256("\n".join(identities).encode()).hexdigest()[:12]
    return outputs_folder(root) / "sweeps" / name


def write_sweep(directory: Path, jobs: Sequence[Job[Any]], directories: Sequence[Path | None]) -> Path:
    """Write ``sweep.json``: status and error of every job, and its directory relative to the file's."""
    records = [
        {
            "overrides": list(job.overrides),
            "target": str(job.config["target"]),
            "classifier": str(job.config["classifier"]["name"]),
            "explainer": str(job.config["explainer"]["name"]),
            "seed": int(job.config["seed"]),
            "status": job.status,
            "error": job.error,
            "directory": None if folder is None else os.path.relpath(folder, directory),
        }
        for job, folder in zip(jobs, directories, strict=True)
    ]
    path = directory / SWEEP
    atomic.write_json(path, {"schema_version": "1", "sweep": directory.name, "jobs": records})
    return path
