"""Several runs at a glance: a page, a table for the terminal, and the same numbers as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from markupsafe import Markup

from diffexplain.config.from_run import SUMMARY
from diffexplain.effects.results import Verdict
from diffexplain.report import plots, wording
from diffexplain.report.codec import to_plain
from diffexplain.report.findings import largest
from diffexplain.report.load import REPORT
from diffexplain.report.summary import SCHEMA_VERSION, Summary
from diffexplain.report.templating import template
from diffexplain.runs.sweep import Job
from diffexplain.statistics.estimates import Estimate
from diffexplain.weights import atomic

SAME_ANSWER = "same answer to every picture"
"""In the place of what can be told of a classifier."""
_NOTHING = "\N{EN DASH}"
_WIDEST_CELL = 46


class Finished(Protocol):
    """What came of a run that is done."""

    @property
    def directory(self) -> Path: ...

    @property
    def summary(self) -> Summary | None: ...


@dataclass(frozen=True)
class Lead:
    """The leading spurious or core concept of a run, or the one with the largest effect, and that effect."""

    phrase: str
    effect: Estimate


@dataclass(frozen=True)
class SweepRow:
    """One job of a sweep and what came of it.

    ``directory`` is relative to the sweep's own; with ``error`` set there are no numbers. ``tested``: whether concepts
    were, and told apart as core and spurious, so that "none" can be said of either. ``concept``: the largest effect
    that is beyond doubt. ``same_answer``: the classifier answers all pictures alike, so that nothing can be said.
    """

    name: str
    target: str
    classifier: str
    explainer: str
    seed: int
    status: str
    error: str | None
    directory: str | None
    activation: Estimate | None
    tested: bool
    spurious: Lead | None
    core: Lead | None
    object_absent: Estimate | None
    concept: Lead | None
    same_answer: bool


@dataclass(frozen=True)
class _Shown:
    row: SweepRow
    link: str | None
    bar: Markup | None


def write_sweep_report(folder: Path, jobs: Sequence[Job[Finished]]) -> Path:
    """Write ``summary.json`` and ``report.html`` of a sweep into ``folder``, and return the page's path."""
    rows = rows_of(folder, jobs)
    plain = {"schema_version": SCHEMA_VERSION, "kind": "sweep", "jobs": [to_plain(row) for row in rows]}
    atomic.write_json(folder / SUMMARY, plain)
    atomic.write_text(folder / REPORT, render(rows))
    return folder / REPORT


def rows_of(folder: Path, jobs: Sequence[Job[Finished]]) -> list[SweepRow]:
    """The rows of a sweep whose own files are in ``folder``."""
    return [_row(folder, job) for job in jobs]


def sweep_table(rows: Sequence[SweepRow]) -> str:
    """The rows as text for a terminal, and below them every job that is not done, with its whole error."""
    header = ("job", "status", "activates", "top spurious", "effect", "top core", "largest effect", "object absent")
    cells = [header, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    for row in rows:
        if row.error:
            lines += ["", f"{row.name}: {row.status}", *(f"  {line}" for line in row.error.splitlines())]
    return "\n".join(lines)


def render(rows: Sequence[SweepRow]) -> str:
    """The page of a sweep as HTML text."""
    done = [row for row in rows if row.status == "done"]
    unfinished = [row for row in rows if row.error is not None or row.status == "not started"]
    ends = [end for row in rows for end in _effect_ends(row)]
    axis = plots.axis_for([*ends, 0.1])
    shown = [_Shown(row, _link(row), _bar(row, axis)) for row in rows]
    return str(
        template("sweep.html.j2").render(
            words=wording,
            title=f"sweep of {len(rows)} runs",
            headline=f"{len(done)} of {len(rows)} runs are done.",
            same=_same(rows),
            rows=shown,
            unfinished=unfinished,
            scale=plots.scale(axis),
            nothing=_NOTHING,
            same_answer=SAME_ANSWER,
        )
    )


def _row(folder: Path, job: Job[Finished]) -> SweepRow:
    result = job.result
    summary = None if result is None else result.summary
    return SweepRow(
        name=job.name,
        target=str(job.config["target"]),
        classifier=str(job.config["classifier"]["name"]),
        explainer=str(job.config["explainer"]["name"]),
        seed=int(job.config["seed"]),
        status=job.status,
        error=job.error,
        directory=None if result is None else Path(os.path.relpath(result.directory, folder)).as_posix(),
        activation=None if summary is None or not summary.activation else summary.found.share,
        tested=summary is not None and summary.same_answer is None and wording.judged(summary),
        spurious=_lead(summary, Verdict.SPURIOUS),
        core=_lead(summary, Verdict.CORE),
        object_absent=None if summary is None or summary.object_absence is None else summary.object_absence.share,
        concept=_concept(summary),
        same_answer=summary is not None and summary.same_answer is not None,
    )


def _lead(summary: Summary | None, verdict: Verdict) -> Lead | None:
    if summary is None or summary.same_answer is not None:
        return None
    found = summary.leading(verdict)
    return None if found is None else Lead(found.text, found.over_all.score)


def _concept(summary: Summary | None) -> Lead | None:
    first = None if summary is None or summary.same_answer is not None else largest(summary)
    return None if first is None else Lead(first.text, first.over_all.score)


def _cells(row: SweepRow) -> tuple[str, ...]:
    effect = row.spurious.effect if row.spurious else None
    none = "none" if row.tested else _NOTHING
    told = SAME_ANSWER if row.same_answer else none
    cells = (
        row.name,
        row.status,
        wording.count(row.activation) if row.activation else _NOTHING,
        row.spurious.phrase if row.spurious else told,
        f"{wording.signed(effect.value)} ({wording.interval(effect)})" if effect else _NOTHING,
        row.core.phrase if row.core else none,
        f"{row.concept.phrase} {wording.signed(row.concept.effect.value)}" if row.concept else none,
        wording.count(row.object_absent) if row.object_absent else _NOTHING,
    )
    return tuple(_shortened(cell) for cell in cells)


def _shortened(text: str) -> str:
    text = " ".join(text.split())  # A no-break space becomes a plain one here too.
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _effect_ends(row: SweepRow) -> list[float]:
    effect = row.spurious.effect if row.spurious else None
    return [] if effect is None else [effect.low, effect.value, effect.high]


def _bar(row: SweepRow, axis: plots.Axis) -> Markup | None:
    effect = row.spurious.effect if row.spurious else None
    return None if effect is None else plots.bar(effect, axis, "spurious")


def _link(row: SweepRow) -> str | None:
    return None if row.directory is None else quote(f"{row.directory}/{REPORT}")


def _same(rows: Sequence[SweepRow]) -> dict[str, str]:
    """What all rows have in common, said once above the table."""
    columns = [asdict(row) for row in rows]
    same = {}
    for name in ("classifier", "explainer", "seed", "target"):
        values = {str(column[name]) for column in columns}
        if len(values) == 1:
            same[name] = values.pop()
    return same
