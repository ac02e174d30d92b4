"""Given photographs apart: concepts put into those of other classes, and taken out of the target's own."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import Confirmation, ConfirmedConcept, Effect, Path, Ranking
from diffexplain.report import plots, wording
from diffexplain.report.effect_tree import TONES, verb_of
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


def rows(ranking: Ranking, confirmation: Confirmation, axis: plots.Axis) -> tuple[Row, ...]:
    """The concepts in the hierarchy's order, their bars on the page's axis and in the colours of their verdicts."""
    tones = _tones(ranking)
    return tuple(
        Row(
            concept.path[-1],
            _way(concept.added, axis, tones[concept.path]),
            _way(concept.taken_out, axis, tones[concept.path]),
        )
        for concept in confirmation.concepts
    )


def sentences(summary: Summary, ranking: Ranking, confirmation: Confirmation) -> list[tuple[str, str]]:
    """For each concept what both ways show, with its tone."""
    texts, tones = {concept.path: wording.named(concept) for concept in ranking.concepts}, _tones(ranking)
    return [_sentence(concept, texts[concept.path], tones[concept.path], summary) for concept in confirmation.concepts]


def _tones(ranking: Ranking) -> dict[Path, str]:
    """The colour of each concept's verdict, whatever the photographs apart show."""
    return {concept.path: TONES.get(concept.verdict, "found") for concept in ranking.concepts}


def _sentence(concept: ConfirmedConcept, text: str, tone: str, summary: Summary) -> tuple[str, str]:
    score = wording.effect_score(summary)
    clauses = []
    for effect, where, sign in (
        (concept.added, "put into {n} photographs of other classes it", 1),
        (concept.taken_out, "taken out of {n} of the target's own it", -1),
    ):
        if effect is None:
            continue
        moved = f"{verb_of(sign * effect.score.value)} the {score} by {wording.number(abs(effect.score.value))}"
        doubt = "" if effect.significant else ", not beyond doubt"
        clauses.append(f"{where.format(n=effect.n)} {moved} ({wording.interval_by(effect.score)}{doubt})")
    if not clauses:
        return "plain", f"{wording.capital(text)}: too few photographs to put it in or to take it out."
    known = [effect for effect in (concept.added, concept.taken_out) if effect is not None]
    told = tone if any(effect.significant for effect in known) else "plain"
    return told, f"{wording.capital(text)}: {', and '.join(clauses)}."


def _way(effect: Effect | None, axis: plots.Axis, tone: str) -> Way:
    if effect is None:
        return Way(None, "\N{EN DASH}", "fewer than two photographs")
    n = f"{effect.n} photographs, adjusted p {wording.p_value(effect.adjusted_p)}"
    number = f"{wording.signed(effect.score.value)}, interval {wording.interval(effect.score)}"
    return Way(plots.bar(effect.score, axis, tone if effect.significant else "plain"), number, n)
