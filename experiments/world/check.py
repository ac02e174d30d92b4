"""`python -m experiments.world.check`: measure the gates of all trained parts; exit status 1 if one fails."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from diffexplain.errors import UserError
from experiments.marked import write_between
from experiments.world.gates.autoencoder import autoencoder_rows
from experiments.world.gates.classifiers import classifier_rows
from experiments.world.gates.clip import clip_rows
from experiments.world.gates.clipseg import clipseg_rows
from experiments.world.gates.oracle import oracle_rows
from experiments.world.gates.prior import prior_rows
from experiments.world.gates.row import Row, missing, table

BEGIN, END = "<!-- gates: begin -->", "<!-- gates: end -->"

PARTS: dict[str, Callable[[], list[Row]]] = {
    "oracle": oracle_rows,
    "prior": prior_rows,
    "autoencoder": autoencoder_rows,
    "clip": clip_rows,
    "clipseg": clipseg_rows,
    "classifiers": classifier_rows,
}


def rows_of(part: str, measure: Callable[[], list[Row]]) -> list[Row]:
    """The rows of one part; a part that is not there is one failing row, not a crash."""
    try:
        return measure()
    except (UserError, OSError) as error:
        return [missing(part, str(error))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.world.check", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--threads", type=int, help="of torch; its own choice by default")
    parser.add_argument("--steps", type=int, help="of the prior's sampler; the default's by default")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between its marks in this file, too")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    rows: list[Row] = []
    measures = PARTS | {"prior": partial(prior_rows, steps=options.steps)}
    for part in options.parts or PARTS:
        started = time.monotonic()
        rows += rows_of(part, measures[part])
        print(f"{part}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    text = table(rows)
    print(text)
    failed = sum(not row.passed for row in rows)
    gated = sum(row.relation != "report" for row in rows)
    verdict = f"{gated - failed} of {gated} gates passed" + (f", {failed} FAILED" if failed else "")
    print(f"\n{verdict}")
    if options.write is not None:
        machine = f"{platform.machine()}, {os.cpu_count()} CPU cores, torch {torch.__version__}"
        write_between(options.write, BEGIN, END, f"```text\n{text}\n```\n\n{verdict}. Measured on {machine}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
