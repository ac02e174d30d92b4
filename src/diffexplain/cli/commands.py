"""The command line: ``python run.py`` and ``diffexplain``; every error becomes an exit status.

0: done, or nothing to do. 1: a bug. 2: something asked for cannot be had. 3: some runs of a sweep failed.
4: a rule of fail_if holds. 5: a rule of fail_if is undecided, or its concept was not tested.
75: try again later. 130: interrupted. Imports no torch.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffexplain import __version__, app, memory
from diffexplain.cli import habits, listing, streams
from diffexplain.config import configuration, plugins
from diffexplain.config.digests import CONTENTS
from diffexplain.config.overrides import check_given_once
from diffexplain.errors import Interrupted, OwnedElsewhere, RetryableError, UserError, printable
from diffexplain.pipelines.parts import Parts
from diffexplain.report import rules
from diffexplain.runs import sweep
from diffexplain.runs.launch import is_of_launcher, launch
from diffexplain.runs.machine import keep_out_of_home
from diffexplain.runs.run import REPORT, process_rank
from diffexplain.weights.atomic import describe_storage_error

if TYPE_CHECKING:
    from diffexplain.app import Outcome
    from diffexplain.report import Summary
    from diffexplain.report.sweep import SweepRow

COMMANDS = ("run", "plan", "list", "compare", "fetch", "convert", "sync", "doctor")
_HOMES = {
    "list": "diffexplain.cli.listing",
    "convert": "diffexplain.weights.convert",
    **{name: f"diffexplain.cli.{name}" for name in ("plan", "compare", "fetch", "doctor")},
}
"""Where the commands are that take their words as they are given; each is imported when it begins."""
SOME_FAILED = 3
RETRYABLE = 75

USAGE = """\
diffexplain run ...                                  explain; the same as `python run.py ...`
diffexplain plan [--device=h100|a100|4090|cpu] ...   what a run will call, need and take, here or on a card
diffexplain list classes|units|concepts|choices ...  what can be explained, tested and chosen
diffexplain list hierarchies|weights                 concepts that come with the package; weights to be fetched
diffexplain list runs                                finished, unfinished and failed ones, and why; and a page of them
diffexplain compare <run directory> ...              effects of finished runs, and differences on the same pictures
diffexplain convert <file> [<safetensors file>]      make safetensors of a pickle of weights, executing nothing;
                                                     --state=<name>: the one that is meant of several
diffexplain fetch [overrides]                        bring the weights that a run needs, once
diffexplain sync <run directory> ...                 log finished runs to W&B from their files
diffexplain --version                                which version this is
diffexplain doctor [--verify]                        check this machine; --verify: every file of weights, read anew;
                                                     --self-test <folder> [classifier=...]: what a watermark does to it
eval "$(diffexplain -sc install=bash)"               let the shell complete commands, choices and keys; or fish
"""

RUN_HELP = """\
Explain what an image classifier looks for.

  diffexplain run                                             the default: a flagpole, in the embedded world
  diffexplain run target=class:bee classifier=world_fair_cnn  another class of another classifier
  diffexplain run -m target=class:flagpole,class:bee seed=0,1 a sweep: a run for every combination
  diffexplain run -m target=all                               every class; target=file:<path>: those in a file
  diffexplain run -m target=all hydra/launcher=joblib         by one of Hydra's launchers: joblib, submitit_slurm, ray
  diffexplain run experiment=dog_sled_vit                     a ready-made run
  diffexplain run target=unit:stages.2.1:5@flagpole           a hidden unit, judged as part of a class
  diffexplain run fail_if='a flag > 0.1'                      for a CI: exit status 4 if it is beyond, 5 if not told
  diffexplain run explainer.steps=40 prompt.prefix='a texture of'   any key of the configuration

Choices (* is the default):
{choices}

Options: -m, --multirun   a run for every combination of values
         --cfg            show the configuration and stop; --package <key>: a part of it
         --info [searchpath|defaults|defaults-tree|...]   how it is composed, as Hydra tells it
         --config-dir <folder>   choices of yours beside those below: paths.configs=[<folder>]
         -h, --help       this page; with choices, as in `classifier=checkpoint --help`, their keys explained
The same command continues an unfinished run and finds a finished one; force=true makes it again.
Classes of a classifier: diffexplain list classes classifier=<choice>
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The ``diffexplain`` command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if given else 2
    if given == ["--version"]:
        print(f"diffexplain {__version__}")
        return 0
    command, rest = given[0], given[1:]
    if command == "run" or command in habits.COMPLETION:
        return run(rest if command == "run" else given)
    return guarded(lambda: _other_command(command, rest))


def run(arguments: Sequence[str] | None = None) -> int:
    """``python run.py``: one run, or a sweep; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: _run(given))


def guarded(action: Callable[[], int]) -> int:
    """Call ``action`` and turn what it raises into a message on stderr and an exit status.

    Bugs are not caught: Python's traceback and its exit status 1 are right for them. An error in the code of a plugin
    has the same status, and a traceback that begins in that code. Whoever reads the output may stop reading; where it
    cannot be written, that is said at the end.
    """
    with streams.lasting() as output:
        status = _guarded(action)
    if output.failure is None or isinstance(output.failure, BrokenPipeError):
        return status
    print(f"diffexplain: Cannot write to standard output: {output.failure.strerror}.", file=sys.stderr)
    return status or RETRYABLE


def _guarded(action: Callable[[], int]) -> int:
    try:
        return action()
    except OwnedElsewhere as error:
        print(error)
        return error.exit_status
    except (UserError, RetryableError) as error:
        # A file that their code did not find is not the run's folder that cannot be written to.
        theirs = plugins.shown(error.__cause__) if isinstance(error.__cause__, OSError) else None
        print(f"diffexplain: {printable(error)}" if theirs is None else theirs, file=sys.stderr)
        return error.exit_status if theirs is None else 1
    except (Interrupted, KeyboardInterrupt) as error:
        stop = error if isinstance(error, Interrupted) else Interrupted("SIGINT")
        print(f"diffexplain: {stop}", file=sys.stderr)
        return stop.exit_status
    except (Exception, SystemExit) as error:
        if memory.is_short(error):
            print(f"diffexplain: There is not enough memory. {memory.REMEDY}", file=sys.stderr)
            return RETRYABLE
        theirs = plugins.shown(error)
        if theirs is not None:
            print(theirs, end="", file=sys.stderr)
            return 1
        line = describe_storage_error(error) if isinstance(error, OSError) and error.filename else None
        if line is None:
            raise
        print(f"diffexplain: {line}", file=sys.stderr)
        return RETRYABLE


def help_page(overrides: Sequence[str] = ()) -> str:
    """Examples and the choices of every group, those of the user's own folders among them."""
    usual = configuration.defaults()
    lines = []
    for group, choices in configuration.available_to(overrides).items():
        marked = ", ".join(f"{name}*" if name == usual.get(group) else name for name in choices)
        lines.append(f"  {group:<12} {marked}")
    return RUN_HELP.format(choices="\n".join(lines))


def _run(given: list[str]) -> int:
    if given and given[0] in habits.COMPLETION:
        return habits.complete(given[1:], {(): COMMANDS, ("list",): tuple(listing.SUBJECTS)})
    options, overrides = habits.read(given)
    if "--help" in options:
        print(listing.chosen(overrides) or help_page(overrides), end="")
        return 0
    check_given_once(overrides)
    if "--info" in options:
        habits.show_info(options["--info"], overrides)
        return 0
    if "--cfg" in options:
        config = configuration.compose(overrides)
        shown = habits.part({key: value for key, value in config.items() if key != CONTENTS}, options)
        print(listing.as_yaml(shown), end="")
        return 0
    _be_brief()
    if "--multirun" in options:
        return _sweep(overrides)
    alone = next(filter(is_of_launcher, overrides), None)
    if alone is not None:
        raise UserError("A launcher starts the runs of a sweep.", given=alone, accepted=[f"-m {alone}"])
    config = configuration.compose(overrides)
    outcome = app.make(config)
    if process_rank() > 0 or outcome.summary is None:
        return 0
    _announce(outcome)
    return int(_judged(config, outcome.summary))


def _sweep(overrides: list[str]) -> int:
    of_launcher = [text for text in overrides if is_of_launcher(text)]
    jobs = app.plan_sweep([text for text in overrides if text not in of_launcher])
    folder = sweep.sweep_directory(jobs)
    leads = process_rank() == 0

    def announce(number: int, job: sweep.Job[SweepRow]) -> None:
        if leads and job.status == "not started":
            print(f"[{number + 1}/{len(jobs)}] {job.name}", flush=True)
        elif leads and job.error is not None:
            print(f"[{number + 1}/{len(jobs)}] {job.status}: {printable(job.error)}", file=sys.stderr, flush=True)

    if of_launcher:
        print(f"Runs: {len(jobs)}, by {' '.join(of_launcher)}", flush=True)
        ended = launch(jobs, partial(app.make_job, folder), of_launcher, folder)
    else:
        ended = sweep.run_jobs(jobs, partial(app.make_job, folder, parts=Parts()), announce)
    if not leads:
        return 0
    from diffexplain.report import Summary
    from diffexplain.report.sweep import sweep_table

    rows, series = app.finish_sweep(folder, ended)
    print(printable("\n".join([sweep_table(rows), *(line for one in series for line in one.lines)])))
    print(f"\nReport: {folder / REPORT}")
    stopped = next((job.stopped_by for job in ended if job.stopped_by is not None), None)
    if stopped is not None:
        return stopped.exit_status
    config = jobs[0].config
    answers = [
        rules.Answer.OPEN
        if row.directory is None
        else _judged(config, Summary.load(folder / row.directory), f"{row.name}: ")
        for row in (rows if config.get(rules.FAIL_IF) is not None else ())
    ]
    worst = rules.worst(answers)
    if worst is not rules.Answer.HOLDS and any(row.status == "failed" for row in rows):
        return SOME_FAILED
    return int(worst)


def _judged(config: Mapping[str, Any], summary: Summary, name: str = "") -> rules.Answer:
    """Say what every rule of ``fail_if`` comes to; the worst of them."""
    judged = [rule.judge(summary) for rule in rules.parse(config[rules.FAIL_IF])]
    for _, sentence in judged:
        print(printable(f"{name}{sentence}"))
    return rules.worst([answer for answer, _ in judged])


def _announce(outcome: Outcome) -> None:
    print(f"{'Report' if outcome.made else 'Already finished, see'}: {outcome.report}")
    if outcome.made and outcome.bank is not None:
        print(f"Evaluations of the denoising network: {outcome.bank['made']} made, {outcome.bank['taken']} spared.")
    if not outcome.made:
        print("force=true makes it again and keeps this copy.")


def _other_command(command: str, rest: list[str]) -> int:
    keep_out_of_home()
    if command == "sync":
        return _sync(rest)
    if command not in _HOMES:
        raise UserError("There is no such command.", given=command, accepted=COMMANDS, hint="diffexplain --help")
    if command in ("list", "fetch"):
        check_given_once(rest[1:] if command == "list" else rest)
    status: int = import_module(_HOMES[command]).main(rest)
    return status


def _sync(directories: list[str]) -> int:
    if not directories:
        raise UserError("Name the directory of a finished run.", hint="diffexplain --help")
    from diffexplain.report import wandb_mirror

    for directory in directories:
        print(wandb_mirror.sync(Path(directory)))
    return 0


def _be_brief() -> None:
    """Warnings in one line each, without the place in the source."""

    def show(message: Warning | str, *_place: Any, **_more: Any) -> str:
        return f"warning: {message}\n"

    warnings.formatwarning = show
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
