"""What the page shows, prepared: pictures with outlines, rows of the element table, bars of the baselines.

The templates only place what is made here; they decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from diffexplain.evaluation.results import Activation, Comparison, EditExample, Element, Example, Quality, Verdict
from diffexplain.report import plots, wording
from diffexplain.report.images import data_uri, outline
from diffexplain.report.load import LoadedRun
from diffexplain.report.summary import Summary

MOST_PICTURES = 24
MOST_STRIPS = 4
MOST_EDITS = 3

TONES: Mapping[Verdict, str] = {Verdict.SPURIOUS: "spurious", Verdict.CORE: "core"}

_PROMPT_NAMES = {
    "found prompt": "The found prompt",
    "found images": "The optimised pictures",
    "best phrase": "The best phrase",
    "class name": "The class by its name",
    "neutral": "A neutral prompt",
    "random words": "Random words",
    "given text": "A text of yours",
    "captions": "Captions of its pictures",
}


@dataclass(frozen=True)
class Picture:
    """One picture: its data, the text for who cannot see it, and outlines above it."""

    uri: str
    alt: str
    width: int
    height: int
    outlines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Shown:
    """A picture of the grid and its caption."""

    picture: Picture
    score: str
    elements: str
    activates: bool


Captioned = tuple[Picture, str, str]
"""A picture, what it is, and its score."""


@dataclass(frozen=True)
class Strip:
    """What taking one element out does, shown on several pictures."""

    element: Element
    tone: str
    sentence: str
    triples: tuple[tuple[Captioned, ...], ...]


@dataclass(frozen=True)
class Row:
    """A row of the element table."""

    element: Element
    tone: str
    seen: str
    seen_more: str
    lift: str
    lift_more: str
    overlap: str
    overlap_more: str
    effect: str
    effect_more: str
    bar: Markup | None
    p: str
    n: str


@dataclass(frozen=True)
class Bar:
    """A prompt among the baselines."""

    name: str
    text: str
    count: str
    more: str
    bar: Markup
    than: str


def tone(element: Element) -> str:
    """The colour of ``element``: core, spurious or plain."""
    return TONES.get(element.verdict, "plain")


def grid(run: LoadedRun) -> tuple[Shown, ...]:
    """The pictures to show: those that activate, or, when none does, what the prompt makes."""
    by_phrase = {element.phrase: element for element in run.summary.elements}
    activating = [example for example in run.examples if example.activates]
    return tuple(_shown(example, by_phrase, run.summary) for example in (activating or run.examples)[:MOST_PICTURES])


def strips(run: LoadedRun) -> Iterator[Strip]:
    """For the strongest elements: pictures as they were, with the element drawn again, and without it.

    For descriptions, which have no pixels of their own: whole pictures so described, and otherwise.
    """
    wanted = [element for element in run.summary.elements if element.removal is not None]
    wanted = [element for element in wanted if any(edit.phrase == element.phrase for edit in run.edits)]
    for element in wanted[:MOST_STRIPS]:
        edits = [edit for edit in run.edits if edit.phrase == element.phrase][:MOST_EDITS]
        triples = tuple(
            _described(element, edit) if element.kind == "description" else _taken_out(element, edit) for edit in edits
        )
        sentence = wording.capital(wording.effect_sentence(element, run.summary)) + "."
        yield Strip(element, tone(element), sentence, triples)


def _taken_out(element: Element, edit: EditExample) -> tuple[Captioned, ...]:
    name, style = element.phrase, outline_class(element)
    return (
        (picture(edit.before, f"as it was, with {name}", edit.mask, style),
         "as it was", wording.number(edit.score_before)),
        (picture(edit.null, f"{name} drawn again"), "drawn again", wording.number(edit.score_null)),
        (picture(edit.without, f"without {name}"), "taken out", wording.number(edit.score_without)),
    )  # fmt: skip


def _described(element: Element, edit: EditExample) -> tuple[Captioned, ...]:
    name = element.phrase
    return (
        (picture(edit.null, name), name, wording.number(edit.score_null)),
        (picture(edit.without, f"another {element.of}"), f"another {element.of}", wording.number(edit.score_without)),
    )


def rows(summary: Summary, elements: Sequence[Element]) -> tuple[plots.Axis, tuple[Row, ...]]:
    """The rows of the table for ``elements`` and the axis that their effects share."""
    drops = [element.removal.drop for element in summary.elements if element.removal is not None]
    ends = [end for drop in drops for end in (drop.low, drop.high, drop.value)]
    axis = plots.axis_for([*ends, 0.1])
    margin = wording.margin(summary)
    return axis, tuple(_row(element, axis, margin) for element in elements)


def bars(summary: Summary) -> tuple[Bar, ...]:
    """Found prompt, best phrase and baselines, as shares of pictures that activate."""
    best = () if summary.words is None or summary.words.best is None else (summary.words.best,)
    beside = {(one.name, one.text): one for one in summary.comparisons}
    rows = (summary.found, *best, *summary.baselines)
    return tuple(_bar(activation, beside.get((activation.name, activation.text))) for activation in rows)


def quality_row(row: Quality) -> tuple[str, str, tuple[str, ...]]:
    """A prompt, its text, and what was measured of its pictures, in the columns' order."""
    columns = (row.clip_iqa, row.semantic_clip_iqa, row.diversity)
    numbers = [wording.effect(one) if one else "\N{EN DASH}" for one in columns]
    far = row.kernel_distance
    numbers.append("\N{EN DASH}" if far is None else f"{wording.number(far.value, 4)} ({wording.interval(far, 4)})")
    return _PROMPT_NAMES.get(row.name, row.name), row.text or "", tuple(numbers)


def curve(run: LoadedRun) -> Markup | None:
    """The score over the steps of the optimisation and its running mean, if the run kept them."""
    scores, smoothed = _points(run, "score"), _points(run, "smoothed")
    if not scores:
        return None
    highest = 1.0 if run.summary.target.kind == "class" else None
    optimisation = run.summary.optimisation
    return plots.curve(scores, smoothed, None if optimisation is None else optimisation.best_step, highest)


def outline_class(element: Element) -> str:
    """The style of an element's outline; a spurious setting is hatched, being nearly the whole picture."""
    return "setting" if element.kind == "setting" and tone(element) == "spurious" else tone(element)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted keys and their values."""
    for key in sorted(settings):
        value = settings[key]
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", ", ".join(str(item) for item in value) or "none"
        else:
            yield f"{prefix}{key}", "none" if value is None or value in ("", {}) else str(value)


def _shown(example: Example, by_phrase: Mapping[str, Element], summary: Summary) -> Shown:
    seen = [by_phrase[phrase] for phrase in example.masks if phrase in by_phrase]
    relevant = sorted((element for element in seen if tone(element) != "plain"), key=summary.elements.index)
    # The largest areas first, so that a small outline is never hidden below a large one.
    drawn = sorted(relevant, key=lambda element: -int(example.masks[element.phrase].sum()))
    outlines = tuple(
        (outline_class(element), outline(example.masks[element.phrase]))
        for element in drawn
        if example.masks[element.phrase].any()
    )
    names = wording.listed([element.phrase for element in relevant])
    height, width = example.image.shape[:2]
    alt = f"picture {example.index}, score {wording.number(example.score)}" + (f", shows {names}" if names else "")
    shown = Picture(data_uri(example.image), alt, width, height, outlines)
    return Shown(shown, wording.number(example.score), names, example.activates)


def picture(image: NDArray[np.uint8], alt: str, mask: NDArray[np.bool_] | None = None, style: str = "plain") -> Picture:
    """``image``, (H, W, 3) uint8, for the page, with the outline of ``mask`` above it."""
    height, width = image.shape[:2]
    outlines = () if mask is None or not mask.any() else ((style, outline(mask)),)
    return Picture(data_uri(image), alt, width, height, outlines)


def _row(element: Element, axis: plots.Axis, margin: float) -> Row:
    removal, missing = element.removal, "\N{EN DASH}"
    shown, neutral, lift, overlap = element.shown, element.shown_neutral, element.lift, element.overlap
    return Row(
        element=element,
        tone=tone(element),
        seen=wording.percent(shown.value) if shown else missing,
        seen_more=f"neutral {wording.percent(neutral.value)}" if neutral else "",
        lift=wording.signed(lift.value) if lift else missing,
        lift_more=wording.interval(lift) if lift else "",
        overlap=wording.percent(overlap.value) if overlap else missing,
        overlap_more=wording.interval(overlap) if overlap else "",
        effect=wording.number(removal.drop.value) if removal else missing,
        effect_more=wording.interval(removal.drop) if removal else element.reason or "",
        bar=plots.bar(removal.drop, axis, tone(element), margin) if removal else None,
        p=wording.p_value(removal.adjusted_p) if removal else missing,
        n=str(removal.drop.n) if removal else missing,
    )


def _bar(activation: Activation, beside: Comparison | None) -> Bar:
    found = activation.name in ("found prompt", "found images", "best phrase")
    return Bar(
        name=_PROMPT_NAMES.get(activation.name, activation.name),
        text=activation.text or "",
        count=wording.count(activation.share),
        more=f"mean {wording.number(activation.mean.value)}",
        bar=plots.bar(activation.share, plots.UNIT_AXIS, "found" if found else "plain"),
        than="" if beside is None else wording.comparison(beside),
    )


def _points(run: LoadedRun, key: str) -> list[tuple[int, float]]:
    return [(row["step"], float(row[key])) for row in run.curve if isinstance(row.get(key), int | float)]
