"""What the page shows, prepared: pictures with outlines, rows of the element table, bars of the baselines.

The templates only place what is made here; they decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from diffexplain.effects.results import Verdict
from diffexplain.evaluation.results import Activation, Comparison, Example, Quality
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
class Bar:
    """A prompt among the baselines."""

    name: str
    text: str
    count: str
    more: str
    bar: Markup
    than: str


def tone(element: Any) -> str:
    """The colour of ``element``: core, spurious or plain."""
    return TONES.get(element.verdict, "plain")


def grid(run: LoadedRun) -> tuple[Shown, ...]:
    """The pictures to show: those that activate, or, when none does, what the prompt makes."""
    by_phrase = {element.phrase: element for element in run.summary.elements}
    activating = [example for example in run.examples if example.activates]
    return tuple(_shown(example, by_phrase, run.summary) for example in (activating or run.examples)[:MOST_PICTURES])


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


def outline_class(element: Any) -> str:
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


def _shown(example: Example, by_phrase: Mapping[str, Any], summary: Summary) -> Shown:
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
