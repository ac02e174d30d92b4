"""Does a run survive what can happen to it? Interrupts and damages small runs of every explainer on the embedded world.

    python -m experiments.reliability.torture                  as far as it is not done yet
    python -m experiments.reliability.torture --only files     the damaged files; rows: the 25 faults; interruptions
    python -m experiments.reliability.torture --minutes 10     no run is interrupted after so many minutes
    python -m experiments.reliability.torture --report         write RESULTS.md from what has been done

Goes on where it stopped. An hour or two of one processor's time for all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.marked import write_between
from experiments.reliability import corruptions, interruptions, rows
from experiments.reliability.runs import Record, load_libraries

PARTS = ("rows", "files", "interruptions")
RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, default=Path("outputs/reliability"))
    parser.add_argument(
        "--trials", type=int, default=8, help="interrupted runs of each explainer (default: %(default)s)"
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="after which no run is interrupted any more"
    )
    parser.add_argument("--only", choices=PARTS, help="of the three parts this one")
    parser.add_argument("--report", action="store_true", help="run nothing, and write RESULTS.md")
    given = parser.parse_args(arguments)
    folder, end = given.outputs.absolute(), time.monotonic() + 60 * given.minutes
    folder.mkdir(parents=True, exist_ok=True)
    parts = () if given.report else PARTS if given.only is None else (given.only,)
    if parts:
        load_libraries()
    if "rows" in parts:
        rows.meet(folder)
    if "files" in parts:
        corruptions.damage(folder)
    if "interruptions" in parts:
        interruptions.torment(folder, given.trials, end)
    text = report(folder)
    print(text)
    if given.report:
        write_between(RESULTS, BEGIN, END, text)


def report(folder: Path) -> str:
    """All tables, from what has been written down."""
    known = folder / "rows.json"
    met = json.loads(known.read_text()) if known.exists() else {}
    interrupted, damaged = (Record(folder / name).lines for name in (interruptions.RECORD, corruptions.RECORD))
    parts = [rows.table(met, interrupted, damaged), interruptions.table(interrupted), corruptions.table(damaged)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
