"""What the page says of several classifiers that were ranked on the same edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import Difference, Effect, EffectsResult, Ranking
from diffexplain.report import plots, wording
from diffexplain.report.effect_sentences import effect_sentence, tone_of
from diffexplain.report.summary import Summary

MOST_DIFFERENCES = 10


@dataclass(frozen=True)
class Differing:
    """Two classifiers: the concepts on which they surely differ, the largest difference first, at most so many.

    ``rows``: the difference, its bar, and the effect on each of the two.
    """

    first: str
    second: str
    sentence: str
    rows: tuple[tuple[Difference, Markup, Effect, Effect], ...]
    left: int
    scale: Markup


def compared(summary: Summary, rankings: Sequence[Ranking]) -> list[tuple[str, str]]:
    """What moves each of the further classifiers most, with its tone."""
    firsts = [(ranking, first) for ranking in rankings for first in ranking.ranked[:1]]
    return [
        (tone_of(first), f"{ranking.classifier}: {wording.named(first)} {effect_sentence(first, summary)}.")
        for ranking, first in firsts
    ]


def differing(effects: EffectsResult) -> list[Differing]:
    """Every two classifiers, in the order in which they were named."""
    pairs: dict[tuple[str, str], list[Difference]] = {}
    for difference in effects.differences:
        pairs.setdefault((difference.first, difference.second), []).append(difference)
    return [_differing(effects, first, second, those) for (first, second), those in pairs.items()]


def _differing(effects: EffectsResult, first: str, second: str, those: Sequence[Difference]) -> Differing:
    sure = sorted((d for d in those if d.effect.significant), key=lambda d: -abs(d.effect.score.value))
    shown = sure[:MOST_DIFFERENCES]
    axis = plots.axis_for([end for d in shown for end in (d.effect.score.low, d.effect.score.high)])
    own = {
        ranking.classifier: {concept.path: concept.over_all for concept in ranking.concepts}
        for ranking in effects.rankings
    }
    rows = tuple((d, plots.bar(d.effect.score, axis, "found"), own[first][d.path], own[second][d.path]) for d in shown)
    sentence = _sentence(first, second, those, sure)
    return Differing(first, second, sentence, rows, len(sure) - len(shown), plots.scale(axis))


def _sentence(first: str, second: str, those: Sequence[Difference], sure: Sequence[Difference]) -> str:
    if not sure:
        return f"{first} and {second} differ beyond doubt on none of {len(those)} concepts."
    largest = sure[0]
    value = largest.effect.score.value
    return (
        f"{first} and {second} differ on {len(sure)} of {len(those)} concepts, the most on {largest.path[-1]}, whose "
        f"effect is {wording.number(abs(value))} {'higher' if value > 0 else 'lower'} on {first}."
    )
