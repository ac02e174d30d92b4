"""What was found, as a notebook shows it: a short table in HTML, a frame of pandas, and pictures by matplotlib.

Knows no summary, so that the summary can show itself by it; what takes time to import is imported where it is used.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diffexplain.effects.results import ConceptEffect, EffectExample, Path, Ranking, Verdict
from diffexplain.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SHOWN = 10
"""Concepts that the short table holds."""
COLUMNS = (
    "classifier", "target", "path", "concept", "kind", "verdict", "effect", "low", "high", "n", "adjusted_p", "took",
    "reason",
)  # fmt: skip


def html(title: str, said: str | None, concepts: Sequence[ConceptEffect], untested: int) -> str:
    """The largest effects with their intervals, below a title and what the run says in words."""
    from diffexplain.report.templating import template

    left = len(concepts) - MOST_SHOWN
    counts = [f"{left} more with smaller effects"] if left > 0 else []
    counts += [f"{untested} not tested"] if untested else []
    more = ", ".join(counts) if concepts else "No concept was tested."
    shown = template("notebook.html.j2").render(title=title, said=said, concepts=concepts[:MOST_SHOWN], more=more)
    return str(shown).rstrip()


def frame(rankings: Sequence[Ranking]) -> Any:
    """One row for each classifier and concept, the largest effect first; of what was not tested, numbers are missing.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        message = "A table needs pandas, which is not installed: pip install 'diffexplain[notebook]'."
        raise UserError(message) from None
    rows = []
    for ranking in rankings:
        names = {"classifier": ranking.classifier, "target": ranking.target}
        for concept in ranking.ranked:
            effect, took = concept.over_all, concept.took
            rows.append(
                names
                | _named(concept.path, concept.text, concept.kind, concept.verdict, concept.reason)
                | {"effect": effect.score.value, "low": effect.score.low, "high": effect.score.high, "n": effect.n}
                | {"adjusted_p": effect.adjusted_p, "took": None if took is None else took.value}
            )
        rows += [
            names | _named(other.path, other.text, other.kind, Verdict.NOT_TESTED, other.reason)
            for other in ranking.untested
        ]
    numbers = dict.fromkeys(("effect", "low", "high", "adjusted_p", "took"), "float64") | {"n": "Int64"}
    return pandas.DataFrame(rows, columns=list(COLUMNS)).astype(numbers)


def pairs(examples: Sequence[EffectExample], texts: Mapping[Path, str], most: int, columns: int) -> Figure:
    """A line for each concept: the same pictures without it and with it, with what the classifier answers to them.

    Raises:
        UserError: there are no such pictures.
    """
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that shows itself in a notebook whether or not pyplot was asked to show figures there."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    lines: dict[Path, list[EffectExample]] = {}
    for example in examples:
        lines.setdefault(example.path, []).append(example)
    shown = [(path, line[:columns]) for path, line in lines.items()][:most]
    if not shown:
        raise UserError("This run kept no pictures without a concept and with it.")
    width = max(len(line) for _, line in shown)
    figure = Shown(figsize=(3.2 * width, 1.9 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 2 * width, squeeze=False)
    for row, (path, line) in zip(axes, shown, strict=True):
        for axis in row:
            axis.set_axis_off()
        for place, example in enumerate(line):
            text = texts.get(path, path[-1])
            sides = (
                (example.without, "without", example.score_without),
                (example.present, text, example.score_present),
            )
            for axis, (picture, said, score) in zip(row[2 * place :], sides, strict=False):
                axis.imshow(picture)
                axis.set_title(f"{said}: {score:.2f}", fontsize=8, parse_math=False)
    return figure


def _named(path: Path, text: str, kind: str, verdict: Verdict, reason: str | None) -> dict[str, Any]:
    return {"path": "/".join(path), "concept": text, "kind": kind, "verdict": str(verdict), "reason": reason}
