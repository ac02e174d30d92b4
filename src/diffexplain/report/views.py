"""What the page shows, prepared: pictures with outlines, pictures without a concept and with it, bars of the baselines.

The templates only place what is made here; they decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from diffexplain.effects.results import ConceptEffect, EffectExample, without_mirrors
from diffexplain.evaluation.results import Activation, Comparison, Example
from diffexplain.report import plots, wording
from diffexplain.report.concept_rows import anchor
from diffexplain.report.effect_sentences import TONES, kind_of, moves, score_noun, tone_of
from diffexplain.report.images import data_uri, is_photographic, outline
from diffexplain.report.load import LoadedRun
from diffexplain.report.summary import Summary

MOST_PICTURES, MOST_LARGE_PICTURES = 24, 12
"""In the grid, of small pictures and of large ones, so that a page stays below a megabyte."""


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
    concepts: str
    activates: bool


@dataclass(frozen=True)
class Pair:
    """One image without the concept and with it, and the scores of both."""

    without: Picture
    present: Picture
    score_without: str
    score_present: str
    difference: float


@dataclass(frozen=True)
class Strip:
    """What one concept does, shown on several images; ``anchor``: where on the page."""

    concept: ConceptEffect
    kind: str
    anchor: str
    sentence: str
    pairs: tuple[Pair, ...]

    @property
    def typical(self) -> Pair:
        """The pair whose scores differ nearly as much as all pairs do on average."""
        return min(self.pairs, key=lambda pair: abs(pair.difference - self.concept.over_all.score.value))


def grid(run: LoadedRun) -> tuple[Shown, ...]:
    """The pictures to show: those that activate, or, when none does, what the prompt makes."""
    shown = [example for example in run.examples if example.activates] or run.examples
    large = any(is_photographic(example.image) for example in shown)
    most = MOST_LARGE_PICTURES if large else MOST_PICTURES
    return tuple(_shown(example, run.summary.concepts) for example in shown[:most])


def strips(run: LoadedRun) -> tuple[Strip, ...]:
    """Pictures without a concept and with it, in the order in which the run kept them; of two mirrored values one."""
    by_path = {concept.path: concept for concept in run.summary.concepts}
    shown = [by_path[path] for path in dict.fromkeys(example.path for example in run.effects) if path in by_path]
    return tuple(
        Strip(
            concept,
            kind_of(concept),
            anchor(concept.path),
            _sentence(concept, run.summary),
            tuple(_pair(example, concept) for example in run.effects if example.path == concept.path),
        )
        for concept in (told for told, _ in without_mirrors(shown))
    )


def _sentence(concept: ConceptEffect, summary: Summary) -> str:
    """The effect, where the verdict stands beside it."""
    if concept.over_all.significant:
        return f"{wording.capital(moves(concept, f'the {score_noun(summary)}'))}."
    return f"{wording.stated(concept.over_all.score)}."


def _pair(example: EffectExample, concept: ConceptEffect) -> Pair:
    without, present = wording.number(example.score_without), wording.number(example.score_present)
    return Pair(
        picture(example.without, f"picture {example.index} without {concept.text}, score {without}"),
        picture(example.present, f"the same picture with {concept.text}, score {present}"),
        without,
        present,
        example.score_present - example.score_without,
    )


def bars(summary: Summary) -> list[tuple[Activation, Markup, Comparison | None]]:
    """Found prompt, best phrase and baselines, each with its bar: the share of pictures that activate."""
    best = () if summary.words is None or summary.words.best is None else (summary.words.best,)
    beside = {(one.name, one.text): one for one in summary.comparisons}
    found = (summary.found, *best)
    drawn = [(row, "found") for row in found] + [(row, "plain") for row in summary.baselines]
    return [(row, plots.bar(row.share, plots.UNIT_AXIS, tone), beside.get((row.name, row.text))) for row, tone in drawn]


def curve(run: LoadedRun) -> Markup | None:
    """The score over the steps of the optimisation and its running mean, if the run kept them."""
    scores, smoothed = _points(run, "score"), _points(run, "smoothed")
    if not scores:
        return None
    highest = 1.0 if run.summary.target.kind == "class" else None
    optimisation = run.summary.optimisation
    return plots.curve(scores, smoothed, None if optimisation is None else optimisation.best_step, highest)


def outline_class(concept: ConceptEffect) -> str:
    """The style of a concept's outline; a spurious setting is hatched, being nearly the whole picture."""
    return "setting" if concept.kind == "setting" and tone_of(concept) == "spurious" else tone_of(concept)


def concept_of(phrase: str, concepts: Sequence[ConceptEffect]) -> ConceptEffect | None:
    """The concept that was looked for by this phrase: of the same text, or the shortest that has it as words."""
    said = phrase.casefold()
    having = [concept for concept in concepts if wording.speaks_of(concept.text, phrase)]
    same = (concept for concept in concepts if concept.text.casefold() == said)
    return next(same, min(having, key=lambda concept: len(concept.text), default=None))


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


def _shown(example: Example, concepts: Sequence[ConceptEffect]) -> Shown:
    seen = [(concept_of(phrase, concepts), mask) for phrase, mask in example.masks.items() if mask.any()]
    told = [(concept, mask) for concept, mask in seen if concept is not None and tone_of(concept) in TONES.values()]
    # The largest areas first, so that a small outline is never hidden below a large one.
    told.sort(key=lambda pair: -int(pair[1].sum()))
    outlines = tuple((outline_class(concept), outline(mask)) for concept, mask in told)
    shown = {concept.path for concept, _ in told}
    names = wording.listed([concept.text for concept in concepts if concept.path in shown])
    alt = f"picture {example.index}, score {wording.number(example.score)}" + (f", shows {names}" if names else "")
    framed = picture(example.image, alt, outlines)
    return Shown(framed, wording.number(example.score), names, example.activates)


def picture(image: NDArray[np.uint8], alt: str, outlines: tuple[tuple[str, str], ...] = ()) -> Picture:
    """``image``, (H, W, 3) uint8, for the page."""
    height, width = image.shape[:2]
    return Picture(data_uri(image), alt, width, height, outlines)


def _points(run: LoadedRun, key: str) -> list[tuple[int, float]]:
    return [(row["step"], float(row[key])) for row in run.curve if isinstance(row.get(key), int | float)]
