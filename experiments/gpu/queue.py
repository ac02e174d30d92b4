"""Everything that wants a GPU, in stages that go on where they stopped; `--toy` makes each in small, on the CPU.

A call works for nine minutes at most, on one card. A stage that is made leaves a mark beside its results and is not
made again; one that is stopped by the time goes on with the next call. Without a card each is skipped and listed. The
exit status is 0 where nothing is left to do or there is no card, 75 where the next call goes on, and 1 where a stage
failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from diffexplain.errors import Interrupted
from experiments.gpu import stages

ROOT = Path(__file__).parents[2]
MINUTES = 9.0
TO_BEGIN = 60.0
"""Seconds that are left, at least, where another stage is begun; imports and weights alone take a part of them."""
TO_STOP = 20.0
"""Seconds in which a stage that is asked to stop writes down where it was; they are part of its time."""
AGAIN = Interrupted().exit_status


@dataclass(frozen=True)
class Stage:
    """One piece of work; its results are `<name>.md`, what it printed `<name>.txt`."""

    name: str
    work: Callable[[stages.Place], None]


STAGES = (
    Stage("tests", stages.tests),
    Stage("speed", stages.speed),
    Stage("speed_compiled", stages.speed_compiled),
    Stage("run_default", stages.run_default),
    Stage("run_diffex", stages.run_diffex),
    Stage("prior", stages.prior),
    Stage("prior_gates", stages.prior_gates),
)


def has_card() -> bool:
    """Whether torch finds a GPU; looked up in a process of its own, so that nothing of it is held here."""
    looked = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(looked, capture_output=True, check=False).returncode == 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)


def _in_its_process(work: Callable[[stages.Place], None], place: stages.Place, printed: Path) -> None:
    signal.signal(signal.SIGTERM, _stop)
    os.chdir(ROOT)
    sys.stdout = sys.stderr = file = printed.open("a", buffering=1, encoding="utf-8")
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    try:
        work(place)
    except Interrupted as stop:
        sys.exit(stop.exit_status)


def attempt(stage: Stage, place: stages.Place, seconds: float) -> str:
    """Work on a stage for so long at most, in a process of its own; gives what became of it."""
    # A process that uses a card inherits nothing; in small, the libraries are imported once for all stages.
    context: Any = multiprocessing.get_context("fork" if place.toy else "spawn")
    printed = place.folder / f"{stage.name}.txt"
    process = context.Process(target=_in_its_process, args=(stage.work, place, printed))
    process.start()
    try:
        process.join(seconds - TO_STOP)
        in_time = not process.is_alive()
    finally:
        process.terminate()
        process.join(TO_STOP)
        process.kill()
        process.join()
    if process.exitcode == 0:
        (place.folder / f"{stage.name}.done").touch()
        return "done"
    return f"failed, as {printed} says" if in_time else "goes on with the next call"


def main(arguments: Sequence[str] | None = None, queue: Sequence[Stage] = STAGES) -> int:
    """Print a line for each stage; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="tiny networks on the CPU, to see that every stage runs")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of this call (default: {MINUTES:g})")
    parser.add_argument("--outputs", type=Path, help="where results and marks are (default: outputs/gpu, or gpu_toy)")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    folder = options.outputs or ROOT / "outputs" / ("gpu_toy" if options.toy else "gpu")
    place = stages.Place(folder.resolve(), options.toy)
    left = [stage for stage in queue if not (place.folder / f"{stage.name}.done").exists()]
    usable = not left or options.toy or has_card()
    if left and options.toy:
        stages.import_libraries()
    statuses = set()
    for stage in queue:
        remaining = 60 * options.minutes - (time.monotonic() - began)
        if stage not in left:
            became = "done before"
        elif not usable:
            became = "skipped, for torch finds no GPU here"
        elif remaining < TO_BEGIN or AGAIN in statuses:
            became = "waits for the next call"
            statuses.add(AGAIN)
        else:
            place.folder.mkdir(parents=True, exist_ok=True)
            became = attempt(stage, place, remaining)
            statuses.add({"done": 0, "goes on with the next call": AGAIN}.get(became, 1))
        print(f"{stage.name}: {became}", flush=True)
    return 1 if 1 in statuses else max(statuses, default=0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(main())
    except Interrupted as stop:
        sys.exit(stop.exit_status)
