"""Several runs at a glance: a page, a table for the terminal, and the same numbers as JSON, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from diffexplain.config.from_run import SUMMARY
from diffexplain.effects.results import ConceptEffect, Verdict
from diffexplain.report import checkpoints, plots, wording
from diffexplain.report.checkpoints import Series
from diffexplain.report.codec import to_plain
from diffexplain.report.findings import Toned, largest, untested_reason
from diffexplain.report.images import INDEX, open_picture, webp_uri
from diffexplain.report.summary import SCHEMA_VERSION, Summary
from diffexplain.report.templating import template
from diffexplain.runs.run import REPORT
from diffexplain.runs.sweep import Job
from diffexplain.statistics.estimates import Estimate
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json

SAME_ANSWER = "same answer to every picture"
"""In the place of what can be told of a classifier."""
CSV, PARQUET = "sweep.csv", "sweep.parquet"
ANSWERS = {
    "spurious": "a spurious concept",
    "undecided": "no spurious concept, some undecided",
    "none found": "no spurious concept, all decided",
    "untold": "nothing told",
    "unfinished": "not done",
}
"""What a row can come to, worst first, as the page says it."""
_NOTHING = "\N{EN DASH}"
_WIDEST_CELL = 46
_MOST_TOLD = 10
_THUMBNAIL = 44
_OPEN = (Verdict.UNDECIDED, Verdict.RELEVANT)
"""The verdicts that leave open whether a concept is spurious."""


@dataclass(frozen=True)
class Lead:
    """The leading spurious or core concept of a run, or the one with the largest effect, and that effect."""

    phrase: str
    path: tuple[str, ...]
    effect: Estimate


@dataclass(frozen=True)
class SweepRow:
    """One job of a sweep and what came of it.

    ``directory`` is relative to the sweep's own; with ``error`` set there are no numbers. ``answer``: one of `ANSWERS`.
    ``tested``: whether concepts were, and told apart as core and spurious, so that "none" can be said of either; of
    ``concepts`` that were tested, ``undecided`` may be spurious, and ``untested`` others were not. ``untold``: why
    nothing is told. ``concept``: the largest effect that is beyond doubt. ``same_answer``: the classifier answers all
    pictures alike, so that nothing can be said.
    """

    name: str
    target: str
    classifier: str
    explainer: str
    seed: int
    status: str
    answer: str
    error: str | None
    directory: str | None
    activation: Estimate | None
    tested: bool
    concepts: int | None
    undecided: int | None
    untested: int | None
    untold: str | None
    spurious: Lead | None
    core: Lead | None
    object_absent: Estimate | None
    concept: Lead | None
    same_answer: bool


@dataclass(frozen=True)
class _Shown:
    """A row of the page; ``group``: its answer as a name of the style sheet; ``number``: its place by name."""

    row: SweepRow
    name: str
    group: str
    number: int
    activates: int
    link: str | None
    bar: Markup | None
    thumbnail: str | None
    none: tuple[str, str]


def row_of(folder: Path, job: Job[SweepRow], directory: Path | None = None, summary: Summary | None = None) -> SweepRow:
    """The row of a job in the sweep whose own files are in ``folder``: done, where there is a directory."""
    told = summary is not None and summary.same_answer is None
    tested = summary is not None and told and wording.judged(summary)
    concepts = summary.concepts if summary is not None and told else ()
    undecided = sum(concept.verdict in _OPEN for concept in concepts)
    count = sum(concept.verdict is not Verdict.NOT_TESTED for concept in concepts)
    spurious = _lead(summary.leading(Verdict.SPURIOUS)) if summary is not None and told else None
    answer = "spurious" if spurious else "undecided" if undecided else "none found" if count else "untold"
    ranking = summary.effects.rankings[0] if summary is not None and summary.effects is not None else None
    return SweepRow(
        name=job.name,
        target=str(job.config["target"]),
        classifier=str(job.config["classifier"]["name"]),
        explainer=str(job.config["explainer"]["name"]),
        seed=int(job.config["seed"]),
        status=job.status if directory is None else "done",
        answer="unfinished" if directory is None else answer if tested else "untold",
        error=job.error if directory is None else None,
        directory=None if directory is None else Path(os.path.relpath(directory, folder)).as_posix(),
        activation=None if summary is None or not summary.activation else summary.found.share,
        tested=tested,
        concepts=count if tested else None,
        undecided=undecided if tested else None,
        untested=len(ranking.untested) + len(concepts) - count if ranking is not None and tested else None,
        untold=None if summary is None or tested else _untold(summary),
        spurious=spurious,
        core=_lead(summary.leading(Verdict.CORE)) if summary is not None and told else None,
        object_absent=None if summary is None or summary.object_absence is None else summary.object_absence.share,
        concept=_lead(largest(summary)) if summary is not None and told else None,
        same_answer=summary is not None and not told,
    )


def write_sweep_report(folder: Path, rows: Sequence[SweepRow], series: Sequence[Series] = ()) -> Path:
    """Write ``summary.json``, ``sweep.csv`` and ``report.html`` of a sweep into ``folder``; returns the page's path.

    ``sweep.parquet`` too, where pyarrow is installed; ``checkpoints.csv`` of a sweep over checkpoints, its ``series``.
    """
    plain = {"schema_version": SCHEMA_VERSION, "kind": "sweep", "jobs": [to_plain(row) for row in rows]}
    atomic.write_json(folder / SUMMARY, plain)
    atomic.write_text(folder / CSV, _as_csv(rows))
    (folder / PARQUET).unlink(missing_ok=True)  # One that cannot be written anew would be of another day.
    if find_spec("pyarrow") is not None:
        atomic.write_bytes(folder / PARQUET, _as_parquet(rows))
    if series:
        atomic.write_text(folder / checkpoints.CSV, checkpoints.as_csv(series))
    atomic.write_text(folder / REPORT, render(rows, folder, series))
    return folder / REPORT


def sweep_table(rows: Sequence[SweepRow]) -> str:
    """The rows as text for a terminal, worst first, and below them every job that is not done, with its whole error."""
    rows, names = worst_first(rows), _short(rows)
    header = ("job", "status", "activates", "top spurious", "effect", "top core", "largest effect", "object absent")
    cells = [header, *(_cells(row, names[row.name]) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    for row in rows:
        if row.error:
            lines += ["", f"{names[row.name]}: {row.status}", *(f"  {line}" for line in row.error.splitlines())]
    return "\n".join(lines)


def worst_first(rows: Sequence[SweepRow]) -> list[SweepRow]:
    """By what they came to, and the larger spurious effect before the smaller; otherwise as they are."""

    def key(row: SweepRow) -> tuple[int, float]:
        return list(ANSWERS).index(row.answer), -abs(row.spurious.effect.value) if row.spurious else 0.0

    return sorted(rows, key=key)


def render(rows: Sequence[SweepRow], folder: Path, series: Sequence[Series] = ()) -> str:
    """The page of a sweep as HTML text; the pictures are those of the runs, whose directories are relative to it."""
    rows = worst_first(rows)
    unfinished = [row for row in rows if row.status != "done"]
    axis = plots.axis_for([*(end for row in rows for end in _effect_ends(row)), 0.1])
    bare = plots.Axis(axis.low, axis.high, (0.0,))  # Marks in each of a thousand rows would be most of the page.
    by_name = sorted(rows, key=lambda row: row.name)
    places = {id(row): place for place, row in enumerate(by_name)}
    names = _names(rows)
    shown = [
        _Shown(
            row=row,
            name=names[row.name],
            group=row.answer.replace(" ", "-"),
            number=places[id(row)],
            activates=-round(1000 * row.activation.value) if row.activation else 1,
            link=None if row.directory is None else quote(f"{row.directory}/{REPORT}"),
            bar=plots.bar(row.spurious.effect, bare, "spurious") if row.spurious else None,
            thumbnail=_thumbnail(folder, row),
            none=_none(row),
        )
        for row in rows
    ]
    count = Counter(row.answer for row in rows)
    groups = [(name.replace(" ", "-"), said, count[name]) for name, said in ANSWERS.items() if count[name]]
    return str(
        template("sweep.html.j2").render(
            words=wording,
            names=names,
            title=f"sweep of {len(rows)} runs",
            headline=headline(rows),
            findings=[*(line for one in series for line in one.lines[:_MOST_TOLD]), *_findings(rows)],
            same=_same(rows),
            rows=shown,
            series=series,
            unfinished=unfinished[:_MOST_TOLD],
            more=max(len(unfinished) - _MOST_TOLD, 0),
            groups=groups,
            choices=["by-worst", "by-name", "by-share", "only-all", *(f"only-{group}" for group, _, _ in groups)],
            scale=plots.scale(plots.Axis(axis.low, axis.high, tuple(sorted({axis.low, 0.0, axis.high})))),
            nothing=_NOTHING,
            same_answer=SAME_ANSWER,
            parquet=find_spec("pyarrow") is not None,
        )
    )


def headline(rows: Sequence[SweepRow]) -> list[Toned]:
    """What the sweep found, as pieces of one sentence, each with its tone; ``rows``: the worst first."""
    of = Counter(row.answer for row in rows)
    told = [row for row in rows if row.tested]
    if not told:
        done = len(rows) - of["unfinished"]
        nothing = "" if not done else "; of none of them is told what is core and what is spurious"
        return [(f"{done} of {len(rows)} runs are done{nothing}.", "plain")]
    things = _things(rows) + ("" if len(told) == len(rows) else " that were tested")
    if of["spurious"]:
        worst = rows[0]
        assert worst.spurious is not None
        size = wording.changed(worst.spurious.effect)
        has = "has" if of["spurious"] == 1 else "have"
        return [
            (f"{of['spurious']} of {len(told)} {things} {has} a spurious concept; the largest effect is ", "plain"),
            (worst.spurious.phrase, "spurious"),
            (f", {size}, on {_names(rows)[worst.name]}.", "plain"),
        ]
    open_in = f"; in {of['undecided']} of them some concepts are undecided" if of["undecided"] else ""
    return [(f"In none of {len(told)} {things} is a spurious concept beyond doubt{open_in}.", "plain")]


def _findings(rows: Sequence[SweepRow]) -> list[str]:
    """What the others than the spurious came to."""
    of, things = Counter(row.answer for row in rows), _things(rows)
    said = {
        "none found": "no concept that was tested is spurious, and all of these are decided",
        "undecided": "none is spurious beyond doubt, and some concepts are undecided: that clears none of them",
        "untold": "no concept was tested and told apart as core or spurious: that says nothing of them",
    }
    sentences = [f"{of[name]} of {len(rows)} {things}: {text}." for name, text in said.items() if of[name]]
    done = len(rows) - of["unfinished"]
    return [*sentences, *([f"{done} of {len(rows)} runs are done."] if done < len(rows) else [])]


def _short(rows: Sequence[SweepRow]) -> dict[str, str]:
    """The name of each job, less the folder in which the files of all of them lie."""
    names = [row.name for row in rows]
    key, _, folder = os.path.commonpath([str(Path(name).parent) for name in names]).partition("=")
    return {name: name.replace(f"{folder}/", "", 1) if folder and key != "target" else name for name in names}


def _names(rows: Sequence[SweepRow]) -> dict[str, str]:
    """The same, less the key that all have in common."""
    return {
        name: short.removeprefix("target=") if " " in short else short[short.find("=") + 1 :]
        for name, short in _short(rows).items()
    }


def _things(rows: Sequence[SweepRow]) -> str:
    """What the rows are: classes, where each has one of its own."""
    classes = {row.target for row in rows if row.target.startswith("class:")}
    return "classes" if len(classes) == len(rows) else "runs"


def _untold(summary: Summary) -> str:
    if summary.same_answer is not None:
        return SAME_ANSWER
    if summary.concepts:
        return f"{len(summary.concepts)} concepts were tested, and not told apart as core and spurious."
    return untested_reason(summary)


def _none(row: SweepRow) -> tuple[str, str]:
    """In the place of a spurious concept: that there is none, or what is not known, and more about it."""
    if row.same_answer:
        return SAME_ANSWER, ""
    if not row.tested:
        return "not tested" if not row.concept else "not told apart", row.untold or ""
    others = f"{row.untested} not tested" if row.untested else ""
    if row.undecided:
        more = f"; {others}" if others else ""
        return "none sure", f"{row.undecided} of {row.concepts} undecided{more}"
    return f"none of {row.concepts} tested", others


def _lead(found: ConceptEffect | None) -> Lead | None:
    return None if found is None else Lead(found.text, found.path, found.over_all.score)


def _cells(row: SweepRow, name: str) -> tuple[str, ...]:
    effect = row.spurious.effect if row.spurious else None
    none = "none" if row.tested else _NOTHING
    cells = (
        name,
        row.status,
        wording.count(row.activation) if row.activation else _NOTHING,
        row.spurious.phrase if row.spurious else _NOTHING if row.status != "done" else _none_in_a_line(row),
        wording.changed(effect) if effect else _NOTHING,
        row.core.phrase if row.core else none,
        f"{row.concept.phrase} {wording.signed(row.concept.effect.value)}" if row.concept else none,
        wording.count(row.object_absent) if row.object_absent else _NOTHING,
    )
    return tuple(_shortened(cell) for cell in cells)


def _none_in_a_line(row: SweepRow) -> str:
    first, more = _none(row)
    return f"{first}: {more}" if row.undecided else first


def _shortened(text: str) -> str:
    text = " ".join(text.split())  # A no-break space becomes a plain one here too.
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _effect_ends(row: SweepRow) -> list[float]:
    effect = row.spurious.effect if row.spurious else None
    return [] if effect is None else [effect.low, effect.value, effect.high]


def _same(rows: Sequence[SweepRow]) -> dict[str, str]:
    """What all rows have in common, said once above the table."""
    same = {}
    for name in ("classifier", "explainer", "seed", "target"):
        values = {str(getattr(row, name)) for row in rows}
        if len(values) == 1:
            same[name] = values.pop()
    return same


def _thumbnail(folder: Path, row: SweepRow) -> str | None:
    """A picture of the run with its leading concept, or else the one that activates the target most, as data."""
    lead = row.spurious or row.concept
    try:
        run = folder / str(row.directory)
        index = read_json(run / INDEX)
        with_it = [entry for entry in index["effects"] if lead is not None and tuple(entry["path"]) == lead.path]
        best = max(index["examples"], key=lambda entry: entry["score"], default=None)
        file = with_it[0]["files"]["present"] if with_it else None if best is None else best["image"]
        with open_picture(run, str(file)) as picture:
            shown = picture.convert("RGB")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return webp_uri(shown, _THUMBNAIL, quality=60)


def _flat(row: SweepRow) -> Iterator[tuple[str, type, Any]]:
    """The columns of a row: name, kind and value, estimates with one for each of their numbers."""
    kinds = {"int": int, "int | None": int, "bool": bool}
    for field in fields(row):
        value = getattr(row, field.name)
        if str(field.type).startswith("Lead"):
            yield f"{field.name}_phrase", str, None if value is None else value.phrase
            yield from _flat_estimate(f"{field.name}_effect", None if value is None else value.effect)
        elif str(field.type).startswith("Estimate"):
            yield from _flat_estimate(field.name, value)
        else:
            yield field.name, kinds.get(str(field.type), str), value


def _flat_estimate(name: str, estimate: Estimate | None) -> Iterator[tuple[str, type, Any]]:
    values = {} if estimate is None else asdict(estimate)
    yield name, float, values.get("value")
    for part, kind in (("low", float), ("high", float), ("n", int)):
        yield f"{name}_{part}", kind, values.get(part)


def _as_csv(rows: Sequence[SweepRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for name, _, _ in _flat(rows[0])])
    writer.writerows([value for _, _, value in _flat(row)] for row in rows)
    return text.getvalue()


def _as_parquet(rows: Sequence[SweepRow]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind, _ in _flat(rows[0])])
    records = [{name: value for name, _, value in _flat(row)} for row in rows]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(records, schema=schema), buffer)
    return buffer.getvalue()
