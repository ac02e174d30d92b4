"""What the page says of several classifiers that were ranked on the same edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import Difference, Effect, EffectsResult, Path, Ranking, without_mirrors
from diffexplain.report import plots, wording
from diffexplain.report.effect_sentences import moves, score_noun, tone_of
from diffexplain.report.summary import Summary

MOST_DIFFERENCES = 10


@dataclass(frozen=True)
class Differing:
    """Two classifiers: the concepts on which they surely differ, the largest difference first, at most so many.

    ``rows``: the concept and the name of the one that does the opposite, the difference, its bar, and the effect on
    each of the two.
    """

    first: str
    second: str
    sentence: str
    rows: tuple[tuple[Path, str, Effect, Markup, Effect, Effect], ...]
    left: int
    scale: Markup


def compared(summary: Summary, effects: EffectsResult) -> list[tuple[str, str]]:
    """On what the classifiers differ, and what moves each of the further ones most, with its tone."""
    told = [("plain", pair.sentence) for pair in differing(effects)]
    return [*told, *(_most(summary, ranking) for ranking in effects.rankings[1:] if ranking.concepts)]


def _most(summary: Summary, ranking: Ranking) -> tuple[str, str]:
    first, noun = ranking.ranked[0], f"the {score_noun(summary)}"
    name, score = wording.named(first), first.over_all.score
    if first.over_all.significant:
        return tone_of(first), f"On {ranking.classifier}, {name} {moves(first, noun)}."
    none = f"On {ranking.classifier}, none of {len(ranking.concepts)} concepts moves {noun} beyond doubt"
    return "plain", f"{none}; the largest effect is that of {name}, {wording.stated(score)}."


def differing(effects: EffectsResult) -> list[Differing]:
    """Every two classifiers, in the order in which they were named."""
    pairs: dict[tuple[str, str], list[Difference]] = {}
    for difference in effects.differences:
        pairs.setdefault((difference.first, difference.second), []).append(difference)
    return [_differing(effects, first, second, those) for (first, second), those in pairs.items()]


def _differing(effects: EffectsResult, first: str, second: str, those: Sequence[Difference]) -> Differing:
    own = {one.classifier: {concept.path: concept for concept in one.concepts} for one in effects.rankings}
    sure = {d.path: d.effect for d in sorted(those, key=lambda d: -abs(d.effect.score.value)) if d.effect.significant}
    told = [
        (concept.path, "" if mirror is None else mirror.path[-1])
        for concept, mirror in without_mirrors([own[first][path] for path in sure])
    ]
    shown = [(path, mirror, sure[path]) for path, mirror in told[:MOST_DIFFERENCES]]
    axis = plots.axis_for([end for *_, effect in shown for end in (effect.score.low, effect.score.high)])
    rows = tuple(
        (
            path,
            mirror,
            effect,
            plots.bar(effect.score, axis, "found"),
            own[first][path].over_all,
            own[second][path].over_all,
        )
        for path, mirror, effect in shown
    )
    sentence = _sentence(first, second, len(those), len(sure), shown[0] if shown else None)
    return Differing(first, second, sentence, rows, len(told) - len(shown), plots.scale(axis))


def _sentence(first: str, second: str, tested: int, sure: int, largest: tuple[Path, str, Effect] | None) -> str:
    if largest is None:
        return f"{first} and {second} differ beyond doubt on none of {tested} concepts."
    path, _, effect = largest
    score = effect.score
    return (
        f"{first} and {second} differ on {sure} of {tested} concepts, the most on {path[-1]}, whose effect is "
        f"{wording.number(abs(score.value))} {'higher' if score.value > 0 else 'lower'} on {first} "
        f"({wording.interval_by(score)})."
    )
