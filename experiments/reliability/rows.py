"""The 25 faults: where each is tested, and what the program itself comes to when it is met from outside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffexplain.weights.atomic import write_json
from experiments.reliability.runs import overrides, run

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


APP, RESUME, RUN = "whole_runs/test_app.py", "explainers/test_resume.py", "runs/test_run.py"
ROWS = (
    Row(
        "kill -9 at any step",
        (f"{RESUME}::test_killed_at_any_step", "whole_runs/test_embedded_resume.py::test_every_file_is_byte_equal"),
        INTERRUPTIONS,
    ),
    Row("kill during write", ("weights/test_atomic.py", f"{RUN}::test_temporaries_of_a_killed_attempt_are_removed")),
    Row("SIGTERM, SIGINT", ("runs/test_signals.py", f"{RESUME}::test_a_signal_lets_the_step_finish"), INTERRUPTIONS),
    Row("disk full", ("weights/test_atomic.py::test_a_full_disk_is_one_clear_line", "cli/test_streams.py")),
    Row(
        "NaN or Inf",
        ("explainers/test_diffexplainer.py::test_a_step_that_is_not_finite_is_made_anew_and_is_never_the_best",),
    ),
    Row(
        "memory exhausted",
        (
            f"{APP}::test_too_little_memory_is_one_line_whose_remedy_is_the_same_run",
            f"{APP}::test_a_classifier_that_does_not_fit_reads_half_a_block_at_a_time_and_the_summary_says_so",
        ),
    ),
    Row(
        "corrupt or truncated weights",
        (
            "weights/test_shipped.py",
            "hub/test_fetch.py::test_a_damaged_file_is_refused_by_a_run_and_mended_by_the_command",
        ),
        CORRUPTIONS,
    ),
    Row("malicious pickle", ("safety/test_planted.py", f"{RESUME}::test_a_pickle_in_a_checkpoint_is_not_executed")),
    Row("foreign checkpoint", ("classifiers/test_checkpoints.py",)),
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
    Row("W&B down, no key", ("report/test_wandb.py", "report/test_wandb_mirror.py")),
    Row("same command twice at once", (f"{APP}::test_a_run_in_other_hands_is_left_alone",)),
    Row("shared directory, stale lock", (f"{RUN}::test_many_workers_share_many_runs_and_each_is_made_once",)),
    Row(
        "finished run repeated",
        (f"{APP}::test_a_finished_run_is_read_back_and_force_makes_it_again",),
        (Meeting((), 0, "Report: "), Meeting((), 0, "Already finished")),
    ),
    Row("changed config, code, versions", (f"{RUN}::test_resuming_with_other_versions_warns_and_records_both",)),
    Row("one class fails in a sweep", (f"{APP}::test_a_sweep_goes_on_after_a_failure_and_repeats_only_that",)),
    Row("state leaking between jobs", (f"{APP}::test_results_do_not_depend_on_the_order_of_a_sweep",)),
    Row("degenerate mask", ("evaluation/test_evaluation.py::test_too_few_activating_images_give_reasons_and_no_zero",)),
    Row(
        "image not finite or out of range",
        ("evaluation/test_evaluation.py::test_images_of_a_broken_prior_are_refused",),
    ),
    Row(
        "hostile names or paths",
        (
            "report/test_page.py::test_hostile_names_are_shown_and_do_nothing",
            f"{RUN}::test_hostile_names_stay_inside_the_root",
        ),
        (Meeting(("target=class:../../<b>",), 2, "class"),),
    ),
    Row("secrets", ("safety/test_secrets.py", "safety/test_home.py")),
    Row(
        "read-only output, no inodes, clock jump",
        (
            "weights/test_atomic.py::test_a_disk_without_inodes_is_not_said_to_have_megabytes_free",
            "cli/test_streams.py",
        ),
        (Meeting(("paths.outputs=/proc/outputs",), 75, "Cannot write"),),
    ),
    Row("wrong environment", ("cli/test_doctor.py",)),
)


def meet(folder: Path) -> dict[str, list[str]]:
    """Give every command of the rows that was not given yet; what is wrong with how each ended, by fault."""
    record = folder / "rows.json"
    found: dict[str, list[str]] = json.loads(record.read_text()) if record.exists() else {}
    for row in ROWS:
        if isinstance(row.met, str) or row.fault in found:
            continue
        faults = []
        for meeting in row.met:
            outputs = [] if any(text.startswith("paths.outputs") for text in meeting.given) else [folder / "rows"]
            own = overrides(SMALL, folder / "rows")
            command = [*(own if outputs else own[:-1]), *meeting.given]
            ended = run(command, folder / "logs" / "rows.log")
            if ended.status != meeting.status or meeting.says not in ended.said or "Traceback" in ended.said:
                faults.append(f"{' '.join(meeting.given)}: status {ended.status}")
        found[row.fault] = faults
        write_json(record, found)
    return found


def table(met: dict[str, list[str]], interrupted: Sequence[dict[str, Any]], damaged: Sequence[dict[str, Any]]) -> str:
    """The 25 rows, each with its tests and what it came to from outside."""
    lines = ["| # | fault | tests | from outside |", "|---|---|---|---|"]
    cut = [line for line in interrupted if line["cuts"]]
    alike = sum(line["equal"] for line in cut)
    bad = [line for line in damaged if line["came"] in ("traceback", "ANOTHER ANSWER")]
    parts = {
        INTERRUPTIONS: f"{alike} of {len(cut)} interrupted runs byte-equal" if cut else NOT_TRIED,
        CORRUPTIONS: f"{len(damaged) - len(bad)} of {len(damaged)} damaged files as they should"
        if damaged
        else NOT_TRIED,
        NOT_TRIED: NOT_TRIED,
    }
    for number, row in enumerate(ROWS, 1):
        if isinstance(row.met, str):
            outside = parts[row.met]
        elif row.fault not in met:
            outside = NOT_TRIED
        else:
            outside = "; ".join(met[row.fault]) or f"{len(row.met)} of {len(row.met)} commands ended as they should"
        tests = ", ".join(f"`{test}`" for test in row.tests)
        lines.append(f"| {number} | {row.fault} | {tests} | {outside} |")
    return "\n".join(lines)
