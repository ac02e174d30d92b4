"""Given photographs apart: concepts put into those of other classes, and taken out of the target's own."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import Confirmation, ConfirmedConcept, Effect, Ranking
from diffexplain.report import plots, wording
from diffexplain.report.effect_tree import tone_of
from diffexplain.report.summary import Summary


@dataclass(frozen=True)
class Way:
    """One of the two ways of editing a concept: its bar and numbers, or why there are none."""

    bar: Markup | None
    number: str
    more: str


@dataclass(frozen=True)
class Row:
    """A concept and both ways."""

    name: str
    added: Way
    taken_out: Way


def rows(confirmation: Confirmation, axis: plots.Axis) -> tuple[Row, ...]:
    """The concepts in the hierarchy's order, their bars on the page's axis."""
    return tuple(
        Row(concept.path[-1], _way(concept.added, axis), _way(concept.taken_out, axis))
        for concept in confirmation.concepts
    )


def sentences(summary: Summary, ranking: Ranking, confirmation: Confirmation) -> list[tuple[str, str]]:
    """For each concept what both ways show, with its tone."""
    texts = {concept.path: concept.text for concept in ranking.concepts}
    return [_sentence(concept, texts[concept.path], summary) for concept in confirmation.concepts]


def _sentence(concept: ConfirmedConcept, text: str, summary: Summary) -> tuple[str, str]:
    score = wording.score_name(summary)
    clauses = []
    for effect, where, sign in (
        (concept.added, "put into {n} photographs of other classes it", 1),
        (concept.taken_out, "taken out of {n} of the target's own it", -1),
    ):
        if effect is None:
            continue
        value = sign * effect.score.value
        ends = sorted((sign * effect.score.low, sign * effect.score.high))
        verb = "raises" if value >= 0 else "lowers"
        moved = f"{verb} the {score} by {wording.number(abs(value))}"
        low, high = ends if value >= 0 else (-ends[1], -ends[0])
        doubt = "" if effect.significant else ", not beyond doubt"
        clauses.append(
            f"{where.format(n=effect.n)} {moved} (95% interval {wording.number(low)} to {wording.number(high)}{doubt})"
        )
    if not clauses:
        return "plain", f"{wording.capital(text)}: too few photographs to put it in or to take it out."
    known = [effect for effect in (concept.added, concept.taken_out) if effect is not None]
    strongest = max(known, key=lambda effect: abs(effect.score.value))
    return tone_of(strongest), f"{wording.capital(text)}: {', and '.join(clauses)}."


def _way(effect: Effect | None, axis: plots.Axis) -> Way:
    if effect is None:
        return Way(None, "\N{EN DASH}", "fewer than two photographs")
    n = f"{effect.n} photographs, adjusted p {wording.p_value(effect.adjusted_p)}"
    number = f"{wording.signed(effect.score.value)}, interval {wording.interval(effect.score)}"
    return Way(plots.bar(effect.score, axis, tone_of(effect)), number, n)
