"""Charts as inline SVG that follow the page's width, colours and dark mode.

Positions along the value axis are percentages, so a chart is as sharp on a phone as on a wide screen and its
text never shrinks. Only numbers, fixed words and names come in here; every colour is a class of the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from diffexplain.report.wording import number
from diffexplain.statistics.estimates import Estimate

ROW_HEIGHT = 22
CURVE_HEIGHT = 190
COURSE_HEIGHT = 84


@dataclass(frozen=True)
class Axis:
    """A value axis from ``low`` to ``high`` with marks at ``ticks``."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Where ``value`` lies, as a percentage from the left; beyond the ends it is held at the end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)


UNIT_AXIS = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def axis_for(values: Sequence[float]) -> Axis:
    """An axis with round ends that holds zero and all ``values``."""
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    if high - low < 1e-9:
        high = 1.0  # all of them are zero
    span = high - low
    step = 10.0 ** math.floor(math.log10(span))
    step = next(step * factor for factor in (0.25, 0.5, 1.0, 2.0, 5.0) if span / (step * factor) <= 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(index * step, 10) for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def scale(axis: Axis, digits: int = 2) -> Markup:
    """The numbers of ``axis``, to stand above or below bars drawn on it."""
    texts = []
    for tick in axis.ticks:
        place = axis.at(tick)
        anchor = "start" if place < 1 else "end" if place > 99 else "middle"
        text = number(tick, digits).rstrip("0").rstrip(".") or "0"
        texts.append(f'<text x="{place}%" y="11" text-anchor="{anchor}">{text}</text>')
    return Markup(f'<svg class="scale" height="14" aria-hidden="true">{"".join(texts)}</svg>')


def bar(estimate: Estimate, axis: Axis, tone: str, mark: float | None = None) -> Markup:
    """A bar from zero to the estimate with its interval as a whisker.

    Args:
        tone: class of the style sheet: core, spurious, found or plain.
        mark: a value on the axis to be shown as a dashed line.
    """
    middle, zero = ROW_HEIGHT / 2, axis.at(0.0)
    value, low, high = axis.at(estimate.value), axis.at(estimate.low), axis.at(estimate.high)
    parts = [_vertical("grid", axis.at(tick), 0, ROW_HEIGHT) for tick in axis.ticks]
    if mark is not None:
        parts.append(_vertical("mark", axis.at(mark), 0, ROW_HEIGHT))
    left, width = min(zero, value), round(abs(value - zero), 3)
    parts.append(f'<rect class="{tone}" x="{left}%" y="{middle - 5}" width="{width}%" height="10" rx="1.5"/>')
    parts.append(f'<line class="whisker" x1="{low}%" x2="{high}%" y1="{middle}" y2="{middle}"/>')
    parts += [_vertical("whisker", end, middle - 4, middle + 4) for end in (low, high)]
    label = f"{number(estimate.value)}, 95% interval {number(estimate.low)} to {number(estimate.high)}"
    return Markup(
        f'<svg class="bar" height="{ROW_HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{''.join(parts)}</svg>"
    )


def course(effects: Sequence[Estimate | None], names: Sequence[str], axis: Axis, margin: float) -> Markup:
    """An effect over checkpoints ``names``, from left to right, each with its interval as an upright whisker.

    Where nothing was tested there is a question mark at the foot, and no line across. A band within ± ``margin`` shows
    what is not relevant.
    """
    places = [round(3 + 94 * place / max(len(effects) - 1, 1), 2) for place in range(len(effects))]

    def down(value: float) -> float:
        return round(COURSE_HEIGHT * (1 - axis.at(value) / 100), 2)

    top, bottom = down(margin), down(-margin)
    parts = [f'<rect class="within" x="0" width="100%" y="{top}" height="{round(bottom - top, 2)}"/>']
    for tick in dict.fromkeys((axis.low, 0.0, axis.high)):
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{down(tick)}" y2="{down(tick)}"/>')
        text = number(tick).rstrip("0").rstrip(".") or "0"
        parts.append(f'<text x="-8" y="{down(tick) + 4}" text-anchor="end">{text}</text>')
    said = []
    for place, effect in enumerate(effects):
        x, before = places[place], effects[place - 1] if place else None
        if effect is None:
            parts.append(f'<text class="note" x="{x}%" y="{COURSE_HEIGHT + 14}" text-anchor="middle">?</text>')
            said.append("not tested")
            continue
        if before is not None:
            ends = f'x1="{places[place - 1]}%" x2="{x}%" y1="{down(before.value)}" y2="{down(effect.value)}"'
            parts.append(f'<line class="line raw" {ends}/>')
        parts.append(_vertical("whisker", x, down(effect.high), down(effect.low)))
        parts.append(f'<circle class="best" cx="{x}%" cy="{down(effect.value)}" r="3.5"/>')
        said.append(f"{number(effect.value)}, 95% interval {number(effect.low)} to {number(effect.high)}")
    label = escape("; ".join(f"{name}: {text}" for name, text in zip(names, said, strict=True)))
    return Markup(
        f'<svg class="course" height="{COURSE_HEIGHT + 18}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{''.join(parts)}</svg>"
    )


def curve(
    points: Sequence[tuple[int, float]],
    smoothed: Sequence[tuple[int, float]],
    best_step: int | None,
    highest: float | None = None,
) -> Markup:
    """A faint line over optimisation steps, and its running mean.

    Args:
        points: (step, value), in order of step; at least one.
        smoothed: the running mean at the same steps; may be empty.
        best_step: the step whose prompt was kept, marked where it is among the points.
        highest: upper end of the axis; without it the values decide.
    """
    upright = Axis(0.0, highest, UNIT_AXIS.ticks) if highest else axis_for([value for _, value in points])
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def across(step: int) -> float:
        return round(100 * (step - first) / (last - first), 3)

    def down(value: float) -> float:
        return round(CURVE_HEIGHT * (1 - upright.at(value) / 100), 2)

    parts = []
    for tick in upright.ticks:
        text = number(tick).rstrip("0").rstrip(".") or "0"
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{down(tick)}" y2="{down(tick)}"/>')
        parts.append(f'<text x="-8" y="{down(tick) + 4}" text-anchor="end">{text}</text>')
    paths = ""
    for kind, line in (("line raw" if smoothed else "line", points), ("line", smoothed)):
        if line:
            corners = "L".join(f"{across(step) * 10:.1f} {down(value)}" for step, value in line)
            paths += f'<path class="{kind}" d="M{corners}"/>'
    parts.append(
        f'<svg class="plane" width="100%" height="{CURVE_HEIGHT}" viewBox="0 0 1000 {CURVE_HEIGHT}" '
        f'preserveAspectRatio="none">{paths}</svg>'
    )
    at_best = [value for step, value in smoothed or points if step == best_step]
    if best_step is not None and at_best:
        place = across(best_step)
        anchor = "end" if place > 60 else "start"
        shift = -8 if place > 60 else 8
        parts.append(_vertical("mark", place, 0, CURVE_HEIGHT))
        parts.append(f'<circle class="best" cx="{place}%" cy="{down(at_best[0])}" r="4.5"/>')
        parts.append(
            f'<text class="note" x="{place}%" dx="{shift}" y="{CURVE_HEIGHT - 10}" text-anchor="{anchor}">'
            f"kept: step {best_step}</text>"
        )
    parts.append(f'<text x="0" y="{CURVE_HEIGHT + 20}">step {first}</text>')
    parts.append(f'<text x="100%" y="{CURVE_HEIGHT + 20}" text-anchor="end">step {points[-1][0]}</text>')
    label = f"{len(points)} steps, from {number(points[0][1])} to {number(points[-1][1])}"
    return Markup(
        f'<svg class="curve" height="{CURVE_HEIGHT + 26}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _vertical(kind: str, place: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{place}%" x2="{place}%" y1="{top}" y2="{bottom}"/>'
