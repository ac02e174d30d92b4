"""Does a sweep that several processes share come through, whatever becomes of them?

Processes share one sweep over all classes of a toy classifier, and are killed (SIGKILL) at random moments; each is
replaced by a new one with the same command. Counted at the end: runs that are missing, runs that were made twice, runs
whose bytes are not those of an uninterrupted one, rows of the table that are wrong; and how much memory grew. The
toy's source is part of what a run is: it must not be edited meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffexplain import cli
from diffexplain.report.sweep import CSV
from diffexplain.runs.run import REPORT, Run
from diffexplain.runs.sweep import SWEEP
from diffexplain.weights import atomic
from experiments.marked import write_between

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- sweeps: begin -->", "<!-- sweeps: end -->"
LARGEST_PAGE = 2_000_000
ANSWERS = (("spurious", "a flag"), ("spurious", "a tree"), ("untold", ""))
"""What the toy's classes come to, by turns, and the spurious concept; of the last the answer is always the same."""
_SAME = 3
"""So many runs are compared with uninterrupted ones."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Outcome:
    """What came of a sweep; all but the first five and the last three should be 0."""

    targets: int
    processes: int
    kills: int
    begun_again: int
    seconds: float
    missing: int
    made_twice: int
    unequal: int
    wrong_rows: int
    left_behind: int
    page_bytes: int
    table_bytes: int
    memory: tuple[int, int, int] | None

    @property
    def is_good(self) -> bool:
        """Whether nothing is lost, nothing was done twice, and the table is right."""
        faults = (self.missing, self.made_twice, self.unequal, self.wrong_rows, self.left_behind)
        return not any(faults) and self.page_bytes < LARGEST_PAGE


def command(labels: Path, outputs: Path, *more: str) -> list[str]:
    """The sweep's, on the toy parts of the tests."""
    toys = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "classifier=pretend_many"]
    return [*toys, f"classifier.labels={labels}", f"paths.outputs={outputs}", *more]


def survive(folder: Path, targets: int, processes: int, kills: int, seed: int = 0) -> Outcome:
    """Make the sweep in ``folder``, which is emptied first, kill as asked, and look at what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    labels, log = folder / "labels.txt", folder / "finished.log"
    labels.write_text("".join(f"thing {number:04d}\n" for number in range(targets)), encoding="utf-8")
    # Here, so that all that is imported and built is there already in every process that is forked.
    alone = [f"class:thing {number:04d}" for number in range(_SAME)]
    _call(command(labels, folder / "alone", f"target={alone[0]}"), folder / "first.txt")
    start = time.monotonic()
    _call(command(labels, folder / "alone", "-m", f"target={','.join(alone)}"), folder / "alone.txt")
    seconds = (time.monotonic() - start) / (_SAME - 1)

    start, chance = time.monotonic(), random.Random(seed)
    sweep = command(labels, folder / "runs", "-m", "target=all")
    alive = {_fork(sweep, folder, log) for _ in range(processes)}
    # Not all at the beginning, and none at the end: what becomes of a process that lives long is seen, too.
    pause = max(1, targets / processes / kills) * seconds if kills else 0.0
    for number in range(kills):
        time.sleep(chance.uniform(0.0, pause))
        _reap(alive)
        if not alive:
            kills = number
            break
        victim = chance.choice(sorted(alive))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        alive.remove(victim)
        alive.add(_fork(sweep, folder, log))
    while alive:
        time.sleep(0.1)
        _reap(alive)
    return _looked_at(folder, targets, processes, kills, time.monotonic() - start)


def _fork(arguments: Sequence[str], folder: Path, log: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        finish = Run.finish

        def noted(run: Run) -> None:
            finish(run)
            resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{run.target}\t{os.getpid()}\t{resident}\n")

        Run.finish = noted  # type: ignore[method-assign, assignment]
        status = _call(arguments, folder / f"process-{os.getpid()}.txt")
    finally:
        os._exit(status)


def _call(arguments: Sequence[str], said: Path) -> int:
    with said.open("w", encoding="utf-8") as file:
        before = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = file
        try:
            return cli.run(arguments)
        finally:
            sys.stdout, sys.stderr = before


def _reap(alive: set[int]) -> None:
    """Take those away that have come to their end; one that says that it failed is an error of this experiment."""
    for child in sorted(alive):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            alive.remove(child)
            if status:
                raise RuntimeError(f"process {child} ended with status {os.waitstatus_to_exitcode(status)}")


def _looked_at(folder: Path, targets: int, processes: int, kills: int, seconds: float) -> Outcome:
    runs = {path.parent.parent.name: path.parent for path in folder.glob("runs/pretend_many/*/*/finished.json")}
    finished = [line.split("\t") for line in (folder / "finished.log").read_text(encoding="utf-8").splitlines()]
    times = Counter(target for target, _, _ in finished)
    begun_again = 0
    for run in runs.values():
        begun_again += len(json.loads((run / "timings.json").read_text(encoding="utf-8")).get("earlier_attempts", []))
    alone = {path.parent.parent.name: path.parent for path in folder.glob("alone/pretend_many/*/*/finished.json")}
    (record,) = folder.glob(f"runs/sweeps/*/{SWEEP}")
    rows = json.loads((record.parent / "summary.json").read_text(encoding="utf-8"))["jobs"]
    statuses = [job["status"] for job in json.loads(record.read_text(encoding="utf-8"))["jobs"]]
    with (record.parent / CSV).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    return Outcome(
        targets=targets,
        processes=processes,
        kills=kills,
        begun_again=begun_again,
        seconds=seconds,
        missing=targets - len(runs),
        made_twice=sum(count - 1 for count in times.values()),
        unequal=sum(_files(runs[name]) != _files(path) for name, path in alone.items()),
        wrong_rows=abs(targets - len(rows))
        + (targets - statuses.count("done"))
        + sum(not _is_right(row, beside, record.parent) for row, beside in zip(rows, table, strict=True)),
        left_behind=len(atomic.remove_temporaries(folder / "runs")),
        page_bytes=(record.parent / REPORT).stat().st_size,
        table_bytes=(record.parent / CSV).stat().st_size,
        memory=_memory(finished),
    )


def _is_right(row: Mapping[str, object], beside: Mapping[str, str], folder: Path) -> bool:
    """Whether a row, in JSON and in CSV, says what is known of the toy's class and leads to its run."""
    answer, concept = ANSWERS[int(str(row["target"]).rpartition(" ")[2]) % len(ANSWERS)]
    told = (beside["target"], beside["answer"], beside["spurious_phrase"])
    return (
        row["status"] == beside["status"] == "done"
        and row["answer"] == answer
        and told == (row["target"], answer, concept)
        and (folder / str(row["directory"]) / REPORT).is_file()
    )


def _files(run: Path) -> dict[str, bytes]:
    """Everything in a run that is the same however often it was interrupted."""
    paths = [path for path in sorted(run.rglob("*")) if path.is_file()]
    kept = [path for path in paths if path.name not in ("timings.json", "manifest.json")]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in kept}


def _memory(finished: Sequence[Sequence[str]]) -> tuple[int, int, int] | None:
    """Bytes of memory of the process that made most runs: after its first 10, after half of them, at the end."""
    resident: dict[str, list[int]] = defaultdict(list)
    for _, process, size in finished:
        resident[process].append(int(size))
    longest = max(resident.values(), key=len)
    return (longest[9], longest[len(longest) // 2], longest[-1]) if len(longest) >= 20 else None


def table(outcome: Outcome) -> str:
    """The outcome as rows of Markdown."""
    memory = (
        "not measured"
        if outcome.memory is None
        else "{:.0f}, {:.0f}, {:.0f} MB".format(*(b / 1e6 for b in outcome.memory))
    )
    rows = (
        ("targets", f"{outcome.targets:,}"),
        ("processes that share the sweep", f"{outcome.processes}"),
        ("killed and replaced", f"{outcome.kills}"),
        ("attempts at a run that a kill ended", f"{outcome.begun_again}"),
        ("runs that are missing", f"{outcome.missing}"),
        ("runs that were made twice", f"{outcome.made_twice}"),
        (f"of {_SAME} runs, those whose bytes are not an uninterrupted one's", f"{outcome.unequal}"),
        ("rows of the table that are wrong", f"{outcome.wrong_rows}"),
        ("temporary files left behind", f"{outcome.left_behind}"),
        ("memory of the process that made most runs, after its first 10, half of them, all", memory),
        ("size of the page", f"{outcome.page_bytes / 1000:,.0f} kB"),
        ("size of sweep.csv", f"{outcome.table_bytes / 1000:,.0f} kB"),
        ("minutes", f"{outcome.seconds / 60:.1f}"),
    )
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the sweep, print the table and, if asked, put it into ``RESULTS.md``; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the runs lie; emptied first")
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    options = parser.parse_args(arguments)
    outcome = survive(options.folder, options.targets, options.processes, options.kills)
    print(table(outcome))
    if options.write:
        write_between(RESULTS, BEGIN, END, table(outcome))
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
