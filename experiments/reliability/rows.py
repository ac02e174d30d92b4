"""The 25 faults: where each is tested, and what the program itself comes to when it is met from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diffexplain.weights.atomic import write_json
from experiments.reliability import corruptions, trials
from experiments.reliability.runs import code, emptied, given, made_with, overrides, run

SMALL = "mahendran_vedaldi"
"""The explainer whose small run is the shortest."""
INTERRUPTIONS, CORRUPTIONS = "interruptions", "corruptions"
NOT_TRIED = "not tried by this command"


@dataclass(frozen=True)
class Meeting:
    """A command that meets a fault: overrides of the small run, and how it must end."""

    given: tuple[str, ...]
    status: int
    says: str


@dataclass(frozen=True)
class Row:
    """A fault, its tests by file and name, and how it is met from outside: by commands, or by a part of this one."""

    fault: str
    tests: tuple[str, ...]
    met: tuple[Meeting, ...] | str = NOT_TRIED
    trial: Callable[[Path], trials.Tried] | None = None


APP, RESUME, RUN = "whole_runs/test_app.py", "explainers/test_resume.py", "runs/test_run.py"
ROWS = (
    Row(
        "kill -9 at any step",
        (f"{RESUME}::test_killed_at_any_step", "whole_runs/test_embedded_resume.py::test_every_file_is_byte_equal"),
        INTERRUPTIONS,
    ),
    Row(
        "kill during write",
        ("weights/test_atomic.py", f"{RUN}::test_temporaries_of_a_killed_attempt_are_removed"),
        trial=trials.kill_during_write,
    ),
    Row("SIGTERM, SIGINT", ("runs/test_signals.py", f"{RESUME}::test_a_signal_lets_the_step_finish"), INTERRUPTIONS),
    Row(
        "disk full",
        ("weights/test_atomic.py::test_a_full_disk_is_one_clear_line", "cli/test_streams.py"),
        trial=trials.disk_full,
    ),
    Row(
        "NaN or Inf",
        ("explainers/test_diffexplainer.py::test_a_step_that_is_not_finite_is_made_anew_and_is_never_the_best",),
        trial=trials.not_finite,
    ),
    Row(
        "memory exhausted",
        (
            f"{APP}::test_too_little_memory_is_one_line_whose_remedy_is_the_same_run",
            f"{APP}::test_a_classifier_that_does_not_fit_reads_half_a_block_at_a_time_and_the_summary_says_so",
        ),
        trial=trials.out_of_memory,
    ),
    Row(
        "corrupt or truncated weights",
        (
            "weights/test_shipped.py",
            "hub/test_fetch.py::test_a_damaged_file_is_refused_by_a_run_and_mended_by_the_command",
        ),
        CORRUPTIONS,
    ),
    Row(
        "malicious pickle",
        ("safety/test_planted.py", f"{RESUME}::test_a_pickle_in_a_checkpoint_is_not_executed"),
        trial=trials.malicious_pickle,
    ),
    Row("foreign checkpoint", ("classifiers/test_checkpoints.py",), trial=trials.foreign_checkpoint),
    Row(
        "wrong class, layer, neuron",
        ("test_target.py", "cli/test_commands.py::test_a_wrong_class_ends_before_torch_is_imported"),
        (
            Meeting(("target=class:flagpoel",), 2, "nearest:  flagpole"),
            Meeting(("target=class:1000",), 2, "class"),
            Meeting(("target=unit:stage.2:1",), 2, "nearest"),
        ),
    ),
    Row(
        "unknown key, type, combination",
        ("config/test_configuration.py", "config/test_numbers.py"),
        (
            Meeting(("explainer.stepz=3",), 2, "nearest:  explainer.steps"),
            Meeting(("seed=much",), 2, "whole number"),
            Meeting(("threads=100000",), 2, "at most"),
            Meeting(("prompt=free",), 2, "reads no prompt"),
        ),
    ),
    Row(
        "no network",
        ("safety/test_missing_weights.py", "hub/test_fetch.py::test_without_a_network_it_ends_at_once"),
        (Meeting(("classifier=caffenet",), 2, "diffexplain fetch"),),
    ),
    Row("W&B down, no key", ("report/test_wandb.py", "report/test_wandb_mirror.py"), trial=trials.wandb_down),
    Row(
        "same command twice at once",
        (f"{APP}::test_a_run_in_other_hands_is_left_alone",),
        trial=trials.same_command_twice,
    ),
    Row(
        "shared directory, stale lock",
        (f"{RUN}::test_many_workers_share_many_runs_and_each_is_made_once",),
        trial=trials.shared_directory,
    ),
    Row(
        "finished run repeated",
        (f"{APP}::test_a_finished_run_is_read_back_and_force_makes_it_again",),
        (Meeting((), 0, "Report: "), Meeting((), 0, "Already finished")),
    ),
    Row(
        "changed config, code, versions",
        (f"{RUN}::test_resuming_with_other_versions_warns_and_records_both",),
        trial=trials.other_versions,
    ),
    Row(
        "one class fails in a sweep",
        (f"{APP}::test_a_sweep_goes_on_after_a_failure_and_repeats_only_that",),
        trial=trials.one_of_a_sweep_fails,
    ),
    Row(
        "state leaking between jobs",
        (f"{APP}::test_results_do_not_depend_on_the_order_of_a_sweep",),
        trial=trials.order_of_a_sweep,
    ),
    Row(
        "degenerate mask",
        ("evaluation/test_evaluation.py::test_too_few_activating_images_give_reasons_and_no_zero",),
        trial=trials.nothing_activates,
    ),
    Row(
        "image not finite or out of range",
        ("evaluation/test_evaluation.py::test_images_of_a_broken_prior_are_refused",),
        trial=trials.broken_pictures,
    ),
    Row(
        "hostile names or paths",
        (
            "report/test_page.py::test_hostile_names_are_shown_and_do_nothing",
            f"{RUN}::test_hostile_names_stay_inside_the_root",
        ),
        (Meeting(("target=class:../../<b>",), 2, "class"),),
    ),
    Row("secrets", ("safety/test_secrets.py",), trial=trials.secrets),
    Row(
        "read-only output, no inodes, clock jump",
        (
            "weights/test_atomic.py::test_a_disk_without_inodes_is_not_said_to_have_megabytes_free",
            "cli/test_streams.py",
        ),
        (Meeting(("paths.outputs=/proc/outputs",), 75, "Cannot write"),),
    ),
    Row("wrong environment", ("cli/test_doctor.py",), trial=trials.wrong_environment),
)


def meet(folder: Path) -> dict[str, dict[str, Any]]:
    """Give every command of the rows that was not given yet; how many trials held and what did not, by fault."""
    record = folder / "rows.json"
    found: dict[str, dict[str, Any]] = json.loads(record.read_text()) if record.exists() else {}
    for row in ROWS:
        commands = () if isinstance(row.met, str) else row.met
        if row.fault in found or (not commands and row.trial is None):
            continue
        faults = []
        for meeting in commands:
            outputs = [] if any(text.startswith("paths.outputs") for text in meeting.given) else [folder / "rows"]
            own = overrides(SMALL, folder / "rows")
            command = [*(own if outputs else own[:-1]), *meeting.given]
            ended = run(partial(given, command), folder / "logs" / "rows.log")
            if ended.status != meeting.status or meeting.says not in ended.said or "Traceback" in ended.said:
                faults.append(f"{' '.join(meeting.given)}: status {ended.status}")
        held = len(commands) - len(faults)
        for what, well in row.trial(emptied(folder / "trial")) if row.trial is not None else ():
            held += well
            faults += [] if well else [f"NOT: {what}"]
        if not held and not faults:
            continue  # A trial that was not ended in its time, and goes on at the next call.
        found[row.fault] = {"held": held, "faults": faults, "code": code()}
        print(row.fault, found[row.fault], flush=True)
        write_json(record, found)
    return found


def table(
    met: dict[str, dict[str, Any]], interrupted: Sequence[dict[str, Any]], damaged: Sequence[dict[str, Any]]
) -> str:
    """The 25 rows, each with its tests and what it came to from outside."""
    lines = ["| # | fault | tests | from outside |", "|---|---|---|---|"]
    cut = [line for line in interrupted if line["cuts"]]
    alike = sum(line["equal"] for line in cut)
    bad = [line for line in damaged if line["came"].startswith(corruptions.BAD)]
    parts = {
        INTERRUPTIONS: f"{alike} of {len(cut)} interrupted runs byte-equal" if cut else NOT_TRIED,
        CORRUPTIONS: f"{len(damaged) - len(bad)} of {len(damaged)} damages as they should" if damaged else NOT_TRIED,
        NOT_TRIED: NOT_TRIED,
    }
    for number, row in enumerate(ROWS, 1):
        if isinstance(row.met, str) and row.trial is None:
            outside = parts[row.met]
        elif row.fault not in met:
            outside = NOT_TRIED
        else:
            came = met[row.fault]
            tried = came["held"] + len(came["faults"])
            outside = "; ".join([f"{came['held']} of {tried} trials as they should", *came["faults"]])
        tests = ", ".join(f"`{test}`" for test in row.tests)
        lines.append(f"| {number} | {row.fault} | {tests} | {outside} |")
    return "\n".join([*lines, "", made_with(list(met.values()))])
