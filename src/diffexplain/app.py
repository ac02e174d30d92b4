"""One run, from configuration to report. Imports torch only when there is something to compute."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffexplain.classifiers import in_memory
from diffexplain.classifiers.labels import classifier_labels
from diffexplain.config import configuration, fetch_command, plugins, reproduce
from diffexplain.config.configuration import COMPARED
from diffexplain.config.digests import CONTENTS, known
from diffexplain.config.from_run import SUMMARY
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.config.overrides import assignment, check_given_once
from diffexplain.errors import FailedElsewhere, OwnedElsewhere, RetryableError, UserError
from diffexplain.pipelines.parts import Parts, compared_targets, loading
from diffexplain.progress import shown_as
from diffexplain.report import mirror, rules
from diffexplain.runs import signals, sweep
from diffexplain.runs.machine import (
    Stopwatch,
    check_asked,
    device_kind,
    device_name,
    job_environment,
    quiet_libraries,
    torch_session,
)
from diffexplain.runs.run import REPORT, TIMINGS, Run, planned
from diffexplain.target import ResolvedTarget, Target, several
from diffexplain.weights.documents import read_json
from diffexplain.weights.store import measured_file

if TYPE_CHECKING:
    from diffexplain.pipelines.pipeline import Pipeline
    from diffexplain.report import Summary
    from diffexplain.report.checkpoints import Series
    from diffexplain.report.sweep import SweepRow


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its directory and summary, and whether it was made now or found finished.

    The summary is ``None`` in the helping processes of a run on several devices.
    """

    directory: Path
    summary: Summary | None
    made: bool

    @property
    def report(self) -> Path:
        """The run's page."""
        return self.directory / REPORT

    @property
    def bank(self) -> Mapping[str, int] | None:
        """Evaluations of the denoising network that were made and that the picture bank spared; None without one."""
        try:
            found: Mapping[str, int] | None = read_json(self.directory / TIMINGS).get("bank")
        except (OSError, ValueError):
            return None
        return found


def explain(
    *overrides: str | Mapping[str, Any],
    model: Any = None,
    labels: Sequence[str] | str | None = None,
    target: str | int | None = None,
    transform: Any = None,
) -> Summary:
    """Explain one target and return what was found; a finished run is read back.

    ``explain(model=my_network, labels=["bee", "wasp"], target="bee")`` explains a network as it is in memory. Such a
    run is known by the network's tensors and code: the same call finds it, or goes on with it, in another process too.
    The network stays as it is, and where it is: a copy is explained.

    Args:
        overrides: as on the command line, ``explain("target=class:bee", "explainer.steps=40")``; or
            one composed configuration.
        model: a `torch.nn.Module`, from pictures `(B, 3, H, W)` to a score for each class.
        labels: the names of its classes, in the order of its outputs, or a file of them; without, ImageNet's.
        target: a class by its name or index, or a target as on the command line.
        transform: what makes the network's input of a picture, of torchvision: ``weights.transforms()``, or a
            ``Compose`` of resize, crop and normalise. Or the keys under ``classifier.preprocessing``,
            ``{"size": 64, "mean": [0.5, 0.5, 0.5]}``. Without, 224 pixels and ImageNet's mean and std.

    Raises:
        UserError: something asked for cannot be had.
        RetryableError: the same call later continues the run.
        OwnedElsewhere: another process is making this run.
    """
    composed = overrides[0] if len(overrides) == 1 and isinstance(overrides[0], Mapping) else None
    if model is None and (labels is not None or transform is not None):
        raise UserError("labels and transform are those of a model: explain(model=..., labels=...).", given="no model")
    if composed is not None and (model is not None or target is not None):
        raise UserError(
            "A composed configuration has its classifier and its target.", given="model or target beside it"
        )
    handed_over: AbstractContextManager[dict[str, Any]] = nullcontext({})
    if model is not None:
        handed_over = in_memory.given(model, transform)
    with handed_over as keys:
        if composed is None:
            composed = _composed(overrides, keys, labels, target)
        if composed.get(rules.FAIL_IF) is not None:
            message = f"{rules.FAIL_IF} decides a command's exit status; in Python the effects are in summary.concepts."
            raise UserError(message, given=composed[rules.FAIL_IF])
        summary = make(composed).summary
    if summary is None:
        raise SystemExit(0)  # A helping process of several devices has done its part.
    return summary


def _composed(
    overrides: Sequence[Any], model: Mapping[str, Any], labels: Sequence[str] | str | None, target: str | int | None
) -> dict[str, Any]:
    """The configuration of `explain`; ``model``: the keys of a network that was given."""
    said = [*map(str, overrides), *(assignment(*item) for item in model.items())]
    said += [f"classifier={in_memory.CHOICE}"] if model else []
    if isinstance(target, int):
        said.append(f"target=class:index:{target}")
    elif target is not None:
        typed = target if target.startswith(("class:", "unit:")) else f"class:{target}"
        said.append(assignment("target", typed))
    if len(said) > len(overrides) or labels is not None:  # Of overrides alone the last one holds, as in Hydra.
        check_given_once([*said, *([] if labels is None else ["classifier.labels=[those of labels]"])])
    config = configuration.compose(said)
    if labels is not None:  # A thousand names take seconds to be read as an override.
        config["classifier"]["labels"] = in_memory.names(labels)
    return config


def make(config: Mapping[str, Any], parts: Parts | None = None) -> Outcome:
    """One explanation run, from composed configuration to report.

    Raises:
        UserError, RetryableError, OwnedElsewhere: as `explain`.
    """
    plugins.require(config["plugins"])
    target = resolve_target(config)
    compared_targets(config, target)
    check_rules(config, target)
    config = {key: value for key, value in config.items() if key != rules.FAIL_IF}
    # Of the files as they are now: a sweep may have been composed long before.
    config = known({**config, "target": target.text})
    run = planned(config, config["paths"]["outputs"], target=target)
    if run.is_writer and run.is_done():
        return _found(run)
    shown = str(config["trainer"]["progress"]) if run.is_writer else "none"
    with job_environment(run, int(config["threads"])) as takes_part, shown_as(shown):
        if not takes_part:
            return Outcome(run.directory, None, made=True)
        run.check_free()
        parts, watch = parts or Parts(), Stopwatch()
        # All that can be refused is, before anything is written.
        with signals.loading():
            pipeline = prepare(run, target, parts, watch)
            if run.is_writer:
                announce(config, target)
        with run.taken():
            if run.is_finished:  # By another process, in the meantime.
                return _found(run)
            watch.belongs_to(run)
            return Outcome(run.directory, _make(run, pipeline, parts, watch), made=True)


def _found(run: Run) -> Outcome:
    from diffexplain.report import Summary

    # The file alone: that nothing in the directory was changed has just been looked at.
    return Outcome(run.directory, Summary.load(run.directory / SUMMARY), made=False)


def plan_sweep(overrides: Sequence[str]) -> list[sweep.Job[SweepRow]]:
    """The runs of a sweep: one for every combination of values, and for every class where the target is ``all``.

    Raises:
        UserError: one of them cannot be composed, or the file that lists the targets cannot be read.
    """

    def targets(config: Mapping[str, Any]) -> list[str] | None:
        return several(str(config["target"]), lambda: classifier_labels(config["classifier"]))

    jobs = sweep.plan(configuration.expand(overrides), configuration.compose, targets)
    rules.parse(jobs[0].config.get(rules.FAIL_IF))
    return jobs


def make_job(folder: Path, job: sweep.Job[SweepRow], parts: Parts | None = None) -> SweepRow:
    """`make` for a run of the sweep in ``folder``; what its table shows of it is all that is kept in memory."""
    from diffexplain.report.sweep import row_of

    outcome = make(mirror.in_sweep(job.config, folder.name), parts or _shared_parts())
    return row_of(folder, job, outcome.directory, outcome.summary)


def finish_sweep(folder: Path, jobs: Sequence[sweep.Job[SweepRow]]) -> tuple[list[SweepRow], list[Series]]:
    """Write ``sweep.json`` and the sweep's page into ``folder``; the table's rows, and what was found over checkpoints.

    Other processes may make runs of the same sweep: what is not done here is looked up where they leave it.
    """
    from diffexplain.report import checkpoints, wandb_mirror
    from diffexplain.report.sweep import row_of, write_sweep_report

    record = folder / sweep.SWEEP
    with sweep.sole_writer(folder):
        before = record.read_bytes() if record.is_file() else None
        failed = sweep.failures(folder)
        seen = [_looked_up(folder, job, failed.get(job.overrides)) for job in jobs]
        rows = [row_of(folder, job) if job.result is None else job.result for job in seen]
        directories = [row.directory for row in rows]
        series = checkpoints.series_of(folder, seen, directories)
        write_sweep_report(folder, rows, series)
        sweep.write_sweep(folder, seen, directories)
        news = record.read_bytes() != before
    if news:
        wandb_mirror.show_sweep(folder, jobs[0].config["logger"])
    return rows, series


def _looked_up(folder: Path, job: sweep.Job[SweepRow], failed: str | None) -> sweep.Job[SweepRow]:
    """``job`` as it stands on the disk; ``failed``: the error that another process has left."""
    if job.status == "done" or (job.status == "not started" and job.config["force"]):
        return job
    try:
        target = resolve_target(job.config)
        config = known({**job.config, "target": target.text})
        run = planned(config, config["paths"]["outputs"], target=target)
        if run.is_finished:
            from diffexplain.report.sweep import row_of

            return replace(
                job, status="done", error=None, result=row_of(folder, job, run.directory, _found(run).summary)
            )
        run.check_free()
    except OwnedElsewhere as error:
        return replace(job, status="elsewhere", error=str(error))
    except (UserError, RetryableError):
        return job
    if job.status == "failed":
        return job
    return replace(job, status="not started" if failed is None else "failed", error=failed)


@cache
def _shared_parts() -> Parts:
    """One for all runs of a process that a launcher started: it may make several."""
    return Parts()


def resolve_target(config: Mapping[str, Any]) -> ResolvedTarget:
    """The target of ``config`` looked up in its classifier's class names, before torch is imported.

    Raises:
        UserError: no such target.
    """
    return Target.parse(config["target"]).resolve(classifier_labels(config["classifier"]))


def check_rules(config: Mapping[str, Any], target: ResolvedTarget) -> None:
    """Refuse rules that the finished run of ``config`` could not be judged by.

    Raises:
        UserError: one cannot be read, or is on a concept that the run does not propose, where that is known beforehand.
    """
    found = rules.parse(config.get(rules.FAIL_IF))
    if found:
        from diffexplain.pipelines.proposers import known_concepts

        known = known_concepts(config, target)
        if known is not None:
            rules.check(found, known)


def prepare(run: Run, target: ResolvedTarget, parts: Parts, watch: Stopwatch) -> Pipeline:
    """The run's pipeline, after its classifiers were loaded and inspected; nothing is written.

    Raises:
        UserError: something that is asked for cannot be had, or a classifier cannot be explained as it is.
    """
    config, packages = run.config, tuple(run.config["plugins"])
    check_asked(config["trainer"])
    in_memory.require(config["classifier"])
    fetch_command.require(config)
    mirror.check(config)
    with watch("import"):
        from diffexplain.pipelines.pipeline import pipeline_of
        from diffexplain.pipelines.prompt import PromptPipeline
        from diffexplain.pipelines.suitability import check_prior, check_suitability

        kind = pipeline_of(config["explainer"], packages)
        watching = mirror.callbacks(config)
        if watching and kind is not PromptPipeline:
            message = "Callbacks watch the optimisation of a prompt; this method makes none."
            raise UserError(message, given=config["explainer"]["name"], accepted=["callbacks=none"])
        quiet_libraries()

    with watch("build"), torch_session(int(config["threads"])):
        trainer = build(config["trainer"], plugins=packages, where="trainer")
        device_kind(trainer.accelerator, trainer.devices, trainer.precision)
        check_unit(target, config["classifier"], packages)
        check_prior(config, packages)
        pipeline = kind(run, target, replace(trainer, callbacks=watching) if watching else trainer, parts)
        check_suitability(config, target, parts.classifier(config["classifier"], packages), packages)
        for name, node in config.get(COMPARED, {}).items():
            parts.classifier(node, packages, f"compared {name}")
    return pipeline


def announce(config: Mapping[str, Any], target: ResolvedTarget) -> None:
    """Say what a long run will cost, where that is known: once `diffexplain plan` was asked of its networks here.

    Measuring them takes as long as a small run, and at full size many minutes.
    """
    if not measured_file().is_file():
        return
    from diffexplain.pipelines.cost import LONG, cost
    from diffexplain.pipelines.networks import nothing_new

    try:
        with nothing_new():
            expected = cost(config, target)
    except Exception:  # Whatever is wrong with the run, it will say itself.
        return
    if expected.seconds > LONG:
        print("This run:", *expected.lines(), sep="\n  ", file=sys.stderr, flush=True)


def _make(run: Run, pipeline: Pipeline, parts: Parts, watch: Stopwatch) -> Summary | None:
    from diffexplain.pipelines import provenance

    config, packages = run.config, tuple(run.config["plugins"])
    with watch("build"):
        with signals.loading():  # Libraries catch what a signal raises, and blame the file that they read.
            classifier = parts.classifier(config["classifier"], packages)
            prior = parts.build("diffusion", config["diffusion"], packages)
        if known(config) != config:
            message = "A file that the run is made of changed while it was read; give the same command again."
            raise RetryableError(message)
        run.record_device(device_name(device_kind(str(config["trainer"].get("accelerator", "auto")))))

    with mirror.mirror(run, packages) as loggers, torch_session(int(config["threads"])):
        try:
            with watch("explain"):
                pipeline.explain(classifier, prior, loggers)
        except FailedElsewhere:
            return None
        if not run.is_writer:
            return None

        with watch("evaluate"):
            pipeline.evaluate()

        with watch("report"):
            summary = pipeline.report(
                classifier=provenance.describe_classifier(config["classifier"], classifier, config.get(CONTENTS, {})),
                prior=provenance.describe_prior(config["diffusion"], prior),
                command=reproduce.command(config),
            )
            run.finish()
    return summary


def shapes(classifier: Mapping[str, Any], plugins: Sequence[str]) -> dict[str, int] | None:
    """Every module of a classifier that has hidden units, with their number; no weights are read.

    ``None`` if what loads the classifier takes no ``meta``: then only the loaded one tells.
    """
    if "meta" not in inspect.signature(locate(str(classifier[TARGET]), plugins, "classifier")).parameters:
        return None
    from diffexplain.classifiers import unit_modules

    return unit_modules(build(loading(classifier, plugins, meta=True), plugins=plugins, where="classifier"))


def check_unit(target: ResolvedTarget, classifier: Mapping[str, Any], plugins: Sequence[str] = ()) -> None:
    """Refuse a unit that the classifier does not have, before its weights are loaded.

    Raises:
        UserError: no such module, or the channel is out of range.
    """
    if target.module is None or target.channel is None:
        return
    channels = shapes(classifier, plugins)
    if channels is None:
        return
    command = f"diffexplain list units classifier={classifier['name']}"
    if not channels:
        message = f"The modules of {classifier['name']} cannot be reached, so it has no hidden units; explain a class."
        raise UserError(message, given=target.text, hint=f"diffexplain list classes classifier={classifier['name']}")
    if target.module not in channels:
        message = f"{classifier['name']} has no such module."
        raise UserError(message, given=target.module, accepted=list(channels), hint=command)
    if target.channel >= channels[target.module]:
        message = f"{target.module} has channels 0 to {channels[target.module] - 1}."
        raise UserError(message, given=target.channel, hint=command)
