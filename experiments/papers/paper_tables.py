"""What the papers' tables and figures share: runs by profile, read back where they are finished, and a table of them.

Each folder `experiments/<paper>_<table or figure>/` holds `sweep.yaml` (what is run: for each profile the overrides of
all runs, of each group and of each method; `[classifier=a,b]` is two runs), `published.yaml` (what the paper reports,
and where that is read), `make.py` (the aggregator) and `RESULTS.md` (both, side by side).

Every run is an ordinary one, `python run.py <overrides>`: what is finished is read back, so tables share their runs and
the same command goes on where it stopped. Nothing here imports torch before all weights are known to be there.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from diffexplain import app
from diffexplain.cli.commands import guarded
from diffexplain.config import configuration, fetch_command
from diffexplain.pipelines.parts import Parts
from diffexplain.report.summary import Summary
from diffexplain.runs.run import FINISHED, TIMINGS, run_directory
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget
from experiments.marked import write_between

EXPERIMENTS = Path(__file__).parents[1]
OUTPUTS = Path("outputs/papers")
PROFILES = ("world", "paper")
NOTHING = "–"
NOT_RUN = {"world": "not run", "paper": "not run: needs the weights"}
"""What a cell of a table says that rests on runs which are not made."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: which group and method it belongs to, and what is typed to make it."""

    group: str
    method: str
    overrides: tuple[str, ...]

    @cached_property
    def target(self) -> ResolvedTarget:
        """What is explained.

        Raises:
            UserError: something in the overrides is not understood.
        """
        return app.resolve_target(self._composed)

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, the target by its full name.

        Raises:
            UserError: as `target`.
        """
        return {**self._composed, "target": self.target.text}

    @property
    def directory(self) -> Path:
        """Where the run is, or will be."""
        return run_directory(self.config, self.config["paths"]["outputs"], self.target.slug)

    @cached_property
    def _composed(self) -> dict[str, Any]:
        return configuration.compose(self.overrides)


@dataclass(frozen=True)
class Made:
    """A finished run of a sweep."""

    cell: Cell
    directory: Path
    summary: Summary

    @property
    def classifier(self) -> str:
        return self.summary.classifier.name

    @property
    def class_name(self) -> str:
        """Of the target.

        Raises:
            ValueError: it is a unit without a class.
        """
        if self.summary.target.class_name is None:
            raise ValueError(f"{self.summary.target.text} has no class")
        return self.summary.target.class_name

    @property
    def seconds(self) -> float | None:
        """That the run took, if it says so."""
        try:
            timings = json.loads((self.directory / TIMINGS).read_text(encoding="utf-8"))
        except OSError:
            return None
        return float(timings["seconds"]["total"])


@dataclass(frozen=True)
class Sweep:
    """What is to be run in a profile, and what of it is done.

    Attributes:
        published: the content of `published.yaml`.
        outputs: where what is measured beside the runs is kept.
    """

    profile: str
    cells: tuple[Cell, ...]
    made: tuple[Made, ...]
    published: Mapping[str, Any]
    outputs: Path = OUTPUTS

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(cell.group for cell in self.cells))

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(cell.method for cell in self.cells))

    @property
    def not_run(self) -> str:
        """What stands in place of a number that nothing was run for."""
        return NOT_RUN[self.profile]

    def of(self, method: str | None = None, group: str | None = None) -> list[Made]:
        """The finished runs of a method and group, None for all of them."""
        return [
            one
            for one in self.made
            if method in (None, one.cell.method) and group in (None, one.cell.group)
        ]  # fmt: skip

    def made_with(self) -> str:
        """How many runs, which seeds, on what machine, how long: the line under a table."""
        if not self.made:
            return f"{len(self.cells)} runs: {self.not_run}."
        seeds = sorted({one.summary.seeds["run"] for one in self.made})
        machines = sorted(
            {
                f"{one.summary.versions['platform']}, {one.summary.settings['threads']} thread"
                f"{'s' if one.summary.settings['threads'] > 1 else ''}, torch {one.summary.versions['torch']}"
                for one in self.made
            }
        )
        times = [one.seconds for one in self.made if one.seconds is not None]
        took = f" Median {statistics.median(times):.0f} s a run, other work beside it." if times else ""
        numbers = ", ".join(map(str, seeds))
        return f"{len(self.made)} of {len(self.cells)} runs; seed {numbers}; {'; '.join(machines)}.{took}"


def cells(folder: Path, profile: str, outputs: Path, more: Sequence[str] = ()) -> list[Cell]:
    """The runs of a folder's sweep, group by group.

    Args:
        more: overrides of every run, after its own.
    """
    content = _read(folder / "sweep.yaml")
    if "runs_of" in content:
        return cells(folder.parent / content["runs_of"], profile, outputs, more)
    chosen = content[profile]
    first = [f"paths.outputs={outputs.as_posix()}", "logger=local", "trainer.progress=none", *chosen["common"]]
    return [
        Cell(group, method, tuple(overrides))
        for group, targets in chosen["groups"].items()
        for method, settings in chosen["methods"].items()
        for overrides in configuration.expand([*first, *settings, *targets, *more])
    ]


def make(todo: Sequence[Cell]) -> list[Made]:
    """Make what is not made.

    Raises:
        UserError: weights are missing, with the command that brings them; torch is not imported then.
    """
    for cell in todo:
        fetch_command.require(cell.config)
    parts, made = Parts(), []
    for number, cell in enumerate(todo):
        outcome = app.make(cell.config, parts)
        assert outcome.summary is not None
        made.append(Made(cell, outcome.directory, outcome.summary))
        state = "made" if outcome.made else "there"
        print(
            f"{number + 1}/{len(todo)} {cell.group}, {cell.method}: {outcome.summary.target.text} {state}", flush=True
        )
    return made


def finished(todo: Sequence[Cell]) -> list[Made]:
    """Those that are made."""
    there = [(cell, cell.directory) for cell in todo]
    return [Made(cell, where, Summary.load(where)) for cell, where in there if (where / FINISHED).is_file()]


def main(folder: Path, table: Callable[[Sweep], str], arguments: Sequence[str] | None = None) -> int:
    """The command line of a folder's `make.py`; returns the exit status.

    Args:
        table: of the sweep, as text; runs that are not made are missing in it.
    """
    options = parsed(arguments)

    def action() -> int:
        todo = cells(folder, options.profile, options.outputs, options.overrides)
        made = finished(todo) if options.table else make(todo)
        sweep = Sweep(options.profile, tuple(todo), tuple(made), published(folder), options.outputs)
        write(folder, options, table(sweep))
        return 0

    return guarded(action)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line that all folders share: `profile`, `table`, `print`, `outputs`, `overrides`."""
    parser = argparse.ArgumentParser(description="Make a paper's table or figure, published and ours side by side.")
    parser.add_argument("--profile", choices=PROFILES, default="world", help="the embedded world, or the real models")
    parser.add_argument("--table", action="store_true", help="make the table of what is there, run nothing")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, help="the folder of the runs")
    parser.add_argument("overrides", nargs="*", help="of every run, after its own: memory=80gb")
    return parser.parse_args(arguments)


def write(folder: Path, options: argparse.Namespace, text: str) -> None:
    """Print the table and put it into the folder's `RESULTS.md`, between the marks of its profile."""
    if not options.print:
        begin, end = (f"<!-- {options.profile}: {mark} -->" for mark in ("begin", "end"))
        write_between(folder / "RESULTS.md", begin, end, text)
    print(text)


def published(folder: Path) -> Mapping[str, Any]:
    """What the paper reports."""
    return _read(folder / "published.yaml")


def head(names: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(names), "|" + "---|" * len(names)]


def row(values: Sequence[object]) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, values))} |"


def shown(estimate: Estimate | None, digits: int = 2, sign: str = "") -> str:
    """An estimate with its interval and n: `0.93 [0.86, 0.97], n 100`."""
    if estimate is None:
        return NOTHING
    value, low, high = (f"{one:{sign}.{digits}f}" for one in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}], n {estimate.n}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation (of the population), as the papers give them."""
    return f"{statistics.mean(values):.{digits}f} ± {statistics.pstdev(values):.{digits}f}" if values else NOTHING


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
