"""Several runs, of which one may fail without the others noticing; several processes may share them by their locks."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

from filelock import FileLock

from diffexplain.config.identity import identity
from diffexplain.config.overrides import assignment
from diffexplain.errors import Interrupted, OwnedElsewhere, RetryableError, UserError
from diffexplain.runs.run import outputs_folder
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json

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
    alternatives: Sequence[Sequence[str]],
    compose: Callable[[Sequence[str]], Mapping[str, Any]],
    targets: Callable[[Mapping[str, Any]], Sequence[str] | None] = lambda _config: None,
) -> list[Job[Any]]:
    """A job for every list of overrides, composed now, so that later edits of files change nothing.

    ``targets`` tells those for which a configuration's target stands, if it stands for several; they share all else.

    Raises:
        UserError: one of them cannot be composed.
    """
    planned: list[tuple[Sequence[str], Mapping[str, Any]]] = []
    for overrides in alternatives:
        config = compose(overrides)
        several = targets(config)
        if several is None:
            planned.append((overrides, config))
            continue
        others = [text for text in overrides if not text.startswith("target=")]
        planned += [([*others, assignment("target", text)], {**config, "target": text}) for text in several]
    shared = set.intersection(*(set(overrides) for overrides, _ in planned)) if len(planned) > 1 else set()
    return [Job(tuple(text for text in overrides if text not in shared), config) for overrides, config in planned]


def run_jobs(
    jobs: Sequence[Job[Result]],
    explain: Callable[[Job[Result]], Result],
    announce: Callable[[int, Job[Result]], None] = lambda _number, _job: None,
) -> list[Job[Result]]:
    """Run ``explain`` on every job; what a job raises becomes its ``error``.

    Those in the hands of other processes are looked at again, until a look at all that are left finds each still there.
    ``announce`` is called with the number and the job before it begins and after it ended. An
    interruption ends the sweep: the jobs that are left stay ``not started``.
    """
    ended, left = list(jobs), list(range(len(jobs)))
    while left:
        for number in left:
            announce(number, jobs[number])
            ended[number] = ended_job(ended[number], explain)
            announce(number, ended[number])
            if ended[number].stopped_by is not None:
                return ended
        elsewhere = [number for number in left if ended[number].status == "elsewhere"]
        left = elsewhere if elsewhere != left else []
    return ended


def ended_job(job: Job[Result], explain: Callable[[Job[Result]], Result]) -> Job[Result]:
    """``job`` with what came of it."""
    if job.status == "elsewhere":  # Whoever had it has made it again, if that was wanted.
        job = replace(job, config={**job.config, "force": False})
    try:
        return replace(job, status="done", result=explain(job), error=None)
    except OwnedElsewhere as error:
        return replace(job, status="elsewhere", error=str(error))
    except (Interrupted, KeyboardInterrupt) as error:
        stop = error if isinstance(error, Interrupted) else Interrupted("SIGINT")
        return replace(job, status="failed", error=str(stop), stopped_by=stop)
    except (UserError, RetryableError) as error:
        return replace(job, status="failed", error=str(error))
    except (Exception, SystemExit) as error:
        traceback.print_exception(error)
        return replace(job, status="failed", error=f"{type(error).__name__}: {error}")


def sweep_directory(jobs: Sequence[Job[Any]]) -> Path:
    """``<outputs>/sweeps/<identity>``: the same for the same runs in any order."""
    identities = sorted(identity(job.config) for job in jobs)
    name = sha256("\n".join(identities).encode()).hexdigest()[:12]
    return outputs_folder(jobs[0].config["paths"]["outputs"]) / "sweeps" / name


@contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Of the processes that share a sweep, one at a time looks at all of its runs and writes what it saw."""
    lock = FileLock(directory.with_name(f".{directory.name}.lock"))
    with atomic.storage_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        atomic.remove_temporaries(directory)
        yield
    finally:
        lock.release()


def write_sweep(directory: Path, jobs: Sequence[Job[Any]], directories: Sequence[str | None]) -> Path:
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
            "directory": folder,
        }
        for job, folder in zip(jobs, directories, strict=True)
    ]
    path = directory / SWEEP
    atomic.write_json(path, {"schema_version": "1", "sweep": directory.name, "jobs": records})
    return path


def failures(directory: Path) -> dict[tuple[str, ...], str]:
    """The errors of the jobs that had failed when the sweep's record was last written, by their overrides."""
    try:
        jobs = read_json(directory / SWEEP)["jobs"]
        unknown = next((job["status"] for job in jobs if job["status"] not in get_args(Status)), None)
        if unknown is not None:
            raise ValueError(f"{unknown!r} is no status")
        return {tuple(job["overrides"]): str(job["error"]) for job in jobs if job["status"] == "failed"}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = (
            f"{directory / SWEEP} is damaged ({error!r}) and written anew; how runs of others failed is not known."
        )
        warnings.warn(message, stacklevel=2)
        return {}
