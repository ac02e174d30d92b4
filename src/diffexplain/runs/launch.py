"""The runs of a sweep in processes that one of Hydra's launchers starts: here, or as jobs of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf.errors import OmegaConfBaseException

from diffexplain.config.overrides import written
from diffexplain.errors import UserError
from diffexplain.runs.sweep import Job, Result, ended_job, sole_writer
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json

PACKAGES = {
    "joblib": "'diffexplain[joblib]'",
    "submitit_local": "'diffexplain[slurm]'",
    "submitit_slurm": "'diffexplain[slurm]'",
    "ray": "'diffexplain[ray]'",
}
"""What pip installs for each launcher."""
_GROUP = "hydra/launcher"
_JOBS = "launched.json"
_SILENT = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null")


def is_of_launcher(override: str) -> bool:
    """Whether an override chooses Hydra's launcher, or sets one of its keys."""
    return override.lstrip("+").startswith((f"{_GROUP}=", "hydra.launcher."))


def launch(
    jobs: Sequence[Job[Result]], explain: Callable[[Job[Result]], Result], overrides: Sequence[str], directory: Path
) -> list[Job[Result]]:
    """As `run_jobs`, each job in a process of the launcher that ``overrides`` choose; they read it in ``directory``.

    Of a job whose process came to an end without an answer, the error is the launcher's.

    Raises:
        UserError: there is no such launcher here, or it has no such key.
    """
    file = directory / _JOBS
    with initialize(config_path=None, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        place = f"hydra.sweep.dir={written(str(directory / 'launched'))}"
        names = ["hydra.job.name=diffexplain", "hydra.sweep.subdir='${hydra.job.num}'"]
        _check(overrides, loader.get_group_options(_GROUP))
        try:
            config = compose(overrides=[*_SILENT, place, *names, *overrides], return_hydra_config=True)
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
                task_function=partial(_launched, file, explain),
                config=config,
            )
        except (HydraException, OmegaConfBaseException) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"The launcher cannot be set up: {reason}", given=" ".join(overrides)) from error
        with sole_writer(directory):
            atomic.write_json(file, [[list(job.overrides), job.config] for job in jobs])
        try:
            answers = launcher.launch([[f"+job={number}"] for number in range(len(jobs))], initial_job_idx=0)
        except Exception as error:
            reason = f"The launcher ended without an answer: {type(error).__name__}: {error}"
            return [replace(job, status="failed", error=reason) for job in jobs]
    return [_answered(job, answer) for job, answer in zip(jobs, answers, strict=True)]


def _launched(file: Path, explain: Callable[[Job[Any]], Any], given: Any) -> Job[Any]:
    GlobalHydra.instance().clear()  # A run composes configurations of its own.
    overrides, config = read_json(file)[given.job]
    return replace(ended_job(Job(tuple(overrides), config), explain), config={})


def _answered(job: Job[Result], answer: JobReturn) -> Job[Result]:
    if answer.status is not JobStatus.COMPLETED:
        return replace(job, status="failed", error=str(answer._return_value))
    return replace(answer.return_value, config=job.config)


def _check(overrides: Sequence[str], available: Sequence[str]) -> None:
    """Refuse a launcher that is not there, and keys that it does not have."""
    choice = next((text for text in overrides if text.startswith(f"{_GROUP}=")), None)
    if choice is None:
        raise UserError("Choose the launcher whose key this is.", given=overrides[0], accepted=[f"{_GROUP}=joblib"])
    name = choice.partition("=")[2]
    if name not in available and name in PACKAGES:
        remedy = f"pip install {PACKAGES[name]}"
        raise UserError(f"This launcher is not installed; {remedy} installs it.", given=name, accepted=available)
    if name not in available:
        raise UserError("There is no such launcher.", given=name, accepted=[*PACKAGES, "basic"])
    known = [f"hydra.launcher.{key}" for key in compose(overrides=[choice], return_hydra_config=True).hydra.launcher]
    for text in overrides:
        key = text.lstrip("+").partition("=")[0]
        if text != choice and not any(f"{key}.".startswith(f"{name}.") for name in known):
            raise UserError("The launcher has no such key.", given=key, accepted=known)
