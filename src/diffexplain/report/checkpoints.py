"""Effects over the checkpoints of one classifier: when did a concept begin to move it?"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from diffexplain.concepts.concept import SEPARATOR
from diffexplain.config.overrides import natural, parse
from diffexplain.effects.results import ConceptEffect, Untested, Verdict
from diffexplain.report import plots, wording
from diffexplain.report.summary import Summary
from diffexplain.runs.sweep import Job
from diffexplain.statistics.estimates import Estimate

CSV = "checkpoints.csv"
_COLUMNS = ("series", "checkpoint", "concept", "path", "effect", "low", "high", "n", "verdict", "reason")
_PART = "classifier."
"""What begins the key that tells checkpoints apart."""


@dataclass(frozen=True)
class Point:
    """A concept at one checkpoint; ``reason``: why there is no effect."""

    checkpoint: str
    effect: Estimate | None
    verdict: str
    reason: str = ""

    def side(self, margin: float) -> int:
        """1 or -1 where the whole interval lies beyond the margin, above or below; otherwise 0, not tested too."""
        return 0 if self.effect is None else (self.effect.low > margin) - (self.effect.high < -margin)


@dataclass(frozen=True)
class Course:
    """One concept over all checkpoints, in their order."""

    phrase: str
    path: tuple[str, ...]
    points: tuple[Point, ...]
    margin: float

    @property
    def since(self) -> int | None:
        """The first checkpoint from which the interval lies beyond the margin, on one side, and stays; None: none."""
        sides = [point.side(self.margin) for point in self.points]
        before = max((place for place, side in enumerate(sides) if side != sides[-1]), default=-1)
        return before + 1 if sides[-1] else None

    @property
    def largest(self) -> float:
        """The largest size that it had."""
        return max((abs(point.effect.value) for point in self.points if point.effect is not None), default=0.0)

    @property
    def said(self) -> str:
        """When it appeared, in words."""
        beyond, last = f"beyond \N{PLUS-MINUS SIGN}{self.margin:g}", self.points[-1]
        tested = [point for point in self.points if point.effect is not None]
        if not tested:
            return "not tested at any checkpoint"
        if self.since is None:
            times = sum(point.side(self.margin) != 0 for point in tested)
            earlier = f"; {beyond} at {times} of {len(tested)} checkpoints that tested it" if times else ""
            now = "not tested at the last checkpoint" if last.effect is None else f"not {beyond} at the last checkpoint"
            return f"{now}{earlier}"
        first = self.points[self.since]
        if self.since == 0:
            return f"{beyond} from the first checkpoint on, {first.checkpoint}"
        text = f"{beyond} from {first.checkpoint} on"
        for before in reversed(self.points[: self.since]):
            was = "not tested" if before.effect is None else wording.effect(before.effect)
            text += f"; at {before.checkpoint}: {was}"
            if before.effect is not None:
                break
        return text


@dataclass(frozen=True)
class Series:
    """All concepts over the checkpoints of one classifier; ``name``: what tells it from others of the sweep."""

    name: str
    checkpoints: tuple[str, ...]
    courses: tuple[Course, ...]

    @property
    def ordered(self) -> list[Course]:
        """Those that have appeared and stayed, then the others, the largest first."""
        return sorted(self.courses, key=lambda one: (one.since is None, -one.largest))

    @property
    def lines(self) -> list[str]:
        """Since when the concepts that have appeared have been there."""
        name = f"{self.name}, " if self.name else ""
        return [f"{name}{one.phrase}: {one.said}." for one in self.ordered if one.since is not None]

    def charts(self) -> Iterator[tuple[Course, Markup]]:
        """Each concept with its chart, all on one axis."""
        ends = [(p.effect.low, p.effect.high) for c in self.courses for p in c.points if p.effect is not None]
        axis = plots.axis_for([end for pair in ends for end in pair] or [0.1])
        for course in self.ordered:
            effects = [point.effect for point in course.points]
            yield course, plots.course(effects, self.checkpoints, axis, course.margin)


def series_of(folder: Path, jobs: Sequence[Job[Any]], directories: Sequence[str | None]) -> list[Series]:
    """What a sweep over checkpoints has found, from the summaries of its runs; nothing of another sweep."""
    grouped: dict[str, dict[str, tuple[Job[Any], str | None]]] = {}
    for job, directory in zip(jobs, directories, strict=True):
        values = {str(one.key_or_group): one.value() for one in parse(job.overrides)}
        varied = [key for key, value in values.items() if key.startswith(_PART) and Path(str(value)).exists()]
        if len(varied) != 1:
            return []
        rest = " ".join(text for text in job.overrides if not text.startswith(f"{varied[0]}="))
        grouped.setdefault(rest, {})[str(values[varied[0]])] = (job, directory)
    found = []
    for name, of in grouped.items():
        order = sorted(of, key=natural)
        summaries = [None if of[one][1] is None else Summary.load(folder / str(of[one][1])) for one in order]
        why = [of[one][0].error or of[one][0].status for one in order]
        if len(order) > 1:
            found.append(_series(name, _labels(order), summaries, why))
    return found


def as_csv(series: Sequence[Series]) -> str:
    """A row for every concept at every checkpoint; without numbers where it was not tested."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in series:
        for course in one.courses:
            for point in course.points:
                at = point.effect
                numbers = [None] * 4 if at is None else [at.value, at.low, at.high, at.n]
                named = [one.name, point.checkpoint, course.phrase, SEPARATOR.join(course.path)]
                writer.writerow([*named, *numbers, point.verdict, point.reason])
    return text.getvalue()


def _series(name: str, labels: Sequence[str], summaries: Sequence[Summary | None], why: Sequence[str]) -> Series:
    points: dict[tuple[str, ...], dict[int, Point]] = {}
    texts: dict[tuple[str, ...], str] = {}
    margin = max((wording.margin(summary) for summary in summaries if summary is not None), default=0.0)
    for place, summary in enumerate(summaries):
        if summary is None or summary.effects is None:
            continue
        same = None if summary.same_answer is None else wording.same_answer(summary, summary.same_answer)
        ranking = summary.effects.rankings[0]
        every: list[ConceptEffect | Untested] = [*ranking.concepts, *ranking.untested]
        for one in every:
            texts[one.path] = one.text
            at = _nothing(labels[place], same or one.reason or "")
            if same is None and isinstance(one, ConceptEffect) and one.verdict is not Verdict.NOT_TESTED:
                at = Point(labels[place], one.over_all.score, one.verdict.value, one.reason or "")
            points.setdefault(one.path, {})[place] = at
    missing = [
        _nothing(label, "not proposed" if summary is not None else reason.splitlines()[0])
        for label, summary, reason in zip(labels, summaries, why, strict=True)
    ]
    courses = tuple(
        Course(texts[path], path, tuple(of.get(k, missing[k]) for k in range(len(labels))), margin)
        for path, of in points.items()
    )
    return Series(name, tuple(labels), courses)


def _nothing(label: str, reason: str) -> Point:
    return Point(label, None, Verdict.NOT_TESTED.value, reason)


def _labels(paths: Sequence[str]) -> list[str]:
    """The files' names without their ending; whole paths where names alone do not tell them apart."""
    stems = [Path(path).stem if Path(path).suffix else Path(path).name for path in paths]
    return stems if len(set(stems)) == len(stems) else list(paths)
