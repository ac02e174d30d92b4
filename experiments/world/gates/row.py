"""One line of the table of gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """A measured value and what it has to reach.

    Attributes:
        part: the trained part that is graded.
        measure: what was measured.
        value: the result; None where the part is missing or nothing could be measured.
        relation: how value and gate must stand; "report" for a value that has no gate.
        gate: the bound; None for a value that has none.
        n: cases that the value rests on.
        note: anything to add.
    """

    part: str
    measure: str
    value: float | None
    relation: Literal[">=", "<=", "report"]
    gate: float | None = None
    n: int = 0
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the gate is reached; a value without a gate passes, a missing one with a gate fails."""
        if self.relation == "report" or self.gate is None:
            return True
        if self.value is None:
            return False
        return self.value >= self.gate if self.relation == ">=" else self.value <= self.gate


def at_least(part: str, measure: str, value: float, gate: float, n: int, note: str = "") -> Row:
    """A row whose value must reach the gate; a value of no case at all (n = 0) is not judged."""
    if n == 0:
        return Row(part, measure, None, "report", n=0, note="no such case")
    return Row(part, measure, value, ">=", gate, n, note)


def at_most(part: str, measure: str, value: float, gate: float, n: int, note: str = "") -> Row:
    """A row whose value must not pass the gate."""
    return Row(part, measure, value, "<=", gate, n, note)


def missing(part: str, reason: str) -> Row:
    """A row for a part that cannot be loaded: it fails."""
    return Row(part, "can be loaded", None, ">=", 1.0, note=reason.splitlines()[0])


def table(rows: list[Row]) -> str:
    """The rows as aligned plain text with a head line."""
    head = ("part", "measure", "value", "gate", "n", "")
    lines = [head]
    for row in rows:
        value = "missing" if row.value is None else f"{row.value:.4f}"
        gate = "" if row.gate is None else f"{row.relation} {row.gate:g}"
        verdict = "" if row.relation == "report" else ("pass" if row.passed else "FAIL")
        note = f"{verdict}  {row.note}".rstrip()
        lines.append((row.part, row.measure, value, gate, str(row.n), note))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    rendered = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=True)]
        rendered.append("  ".join([*cells, line[-1]]).rstrip())
    return "\n".join(rendered)
