"""Runs that are killed or told to stop at random moments, and then end with every byte of one that was not.

A trial is drawn by its number alone: which signals come, and at which share of the uninterrupted run's time. One line
is written for each, and what has a line is not tried again.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from diffexplain.weights.atomic import write_json
from experiments.reliability.runs import EXPLAINERS, Record, artefacts, code, emptied, given, made_with, overrides, run

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 75, signal.SIGINT: 130}
MOST = 3
"""Interruptions of one run at most."""

RECORD = "interruptions.jsonl"


def torment(folder: Path, trials: int, end: float = float("inf")) -> list[dict[str, Any]]:
    """Interrupt ``trials`` runs of each explainer, that with the fewest first; the lines of all that have been.

    None is begun after ``end``.
    """
    record = Record(folder / RECORD)
    expected: dict[str, tuple[dict[str, str], float]] = {}
    while time.monotonic() < end:
        tried = {
            explainer: [line for line in record.lines if line["explainer"] == explainer] for explainer in EXPLAINERS
        }
        explainer = min(tried, key=lambda name: len(tried[name]))
        trial = len(tried[explainer])
        if trial >= trials:
            break
        if explainer not in expected:
            expected[explainer] = _uninterrupted(folder, explainer)
        record.add(_trial(folder, explainer, trial, *expected[explainer]))
    return record.lines


def table(lines: Sequence[dict[str, Any]]) -> str:
    """What came of the interrupted runs, by explainer."""
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    lines = [line for line in lines if line["cuts"]]  # A run that ended before its signal was not interrupted.
    for line in lines:
        by[line["explainer"]].append(line)
    rows = [
        "| explainer | runs interrupted | kill -9 | SIGTERM | SIGINT | other exit status | traceback | byte-equal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, own in [*by.items(), ("all", lines)]:
        cuts = [cut for line in own for cut in line["cuts"]]
        counts = [sum(cut["signal"] == number.name for cut in cuts) for number in STATUS]
        odd = sum(cut["status"] != STATUS[signal.Signals[cut["signal"]]] for cut in cuts)
        tracebacks = sum(line["traceback"] for line in own)
        equal = sum(line["equal"] for line in own)
        rows.append(
            f"| {name} | {len(own)} | {' | '.join(map(str, counts))} | {odd} | {tracebacks} | {equal} of {len(own)} |"
        )
    return "\n".join([*rows, "", made_with(lines)])


def _uninterrupted(folder: Path, explainer: str) -> tuple[dict[str, str], float]:
    """Files and seconds of a run of the same code."""
    known = folder / "uninterrupted" / f"{explainer}.json"
    if not known.exists() or json.loads(known.read_text()).get("code") != code():
        outputs = emptied(folder / "uninterrupted" / explainer)
        ended = run(partial(given, overrides(explainer, outputs)), folder / "logs" / f"{explainer}.log")
        if ended.status:
            raise RuntimeError(f"{explainer} fails without any interruption:\n{ended.said}")
        write_json(known, {"code": code(), "files": artefacts(outputs), "seconds": ended.seconds})
    content = json.loads(known.read_text())
    return content["files"], content["seconds"]


def _trial(folder: Path, explainer: str, trial: int, expected: dict[str, str], seconds: float) -> dict[str, Any]:
    chance = random.Random(f"{explainer} {trial}")
    outputs = emptied(folder / "interrupted" / explainer)
    command, log = partial(given, overrides(explainer, outputs)), folder / "logs" / f"{explainer}-{trial}.log"
    cuts: list[dict[str, Any]] = []
    said = ""
    # What one attempt has done the next has not to do, so that later cuts come earlier. A run that ended before its
    # signal is not counted as interrupted by it.
    for attempt in range(chance.randint(1, MOST)):
        number = chance.choice(SIGNALS)
        ended = run(command, log, chance.uniform(0.02, 0.95) * seconds / (attempt + 1), number)
        said += ended.said
        if ended.status == 0:
            break
        there = len(artefacts(outputs))
        cuts.append({"signal": number.name, "status": ended.status, "seconds": round(ended.seconds, 2), "files": there})
    last = run(command, log)
    said += last.said
    found = artefacts(outputs)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    equal = last.status == 0 and not differing
    return {
        "explainer": explainer,
        "trial": trial,
        "cuts": cuts,
        "status": last.status,
        "equal": equal,
        "differing": differing,
        "traceback": "Traceback" in said,
    }
