"""Given photographs apart: concepts put into those of other classes, and taken out of the target's own.

Where they come from a finished run, the question is whether what it found is so on photographs, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from diffexplain.effects.results import Confirmation, ConfirmedConcept, Effect, Path, Ranking
from diffexplain.errors import UserError
from diffexplain.report import plots, wording
from diffexplain.report.effect_sentences import TONES, verb_of
from diffexplain.report.summary import Summary
from diffexplain.weights.paths import resolve_folder

CONFIRMED, REVERSED, NOT_CONFIRMED, NOT_TESTED = "confirmed", "the other way round", "not confirmed", "not tested"


Way = tuple[Effect, Markup] | None
"""One of the two ways of editing a concept: its effect and bar; None where there were too few photographs."""


def rows(
    summary: Summary, ranking: Ranking, confirmation: Confirmation, axis: plots.Axis
) -> list[tuple[ConfirmedConcept, str | None, Effect | None, tuple[Way, Way]]]:
    """The concepts in the hierarchy's order, with both ways, their bars on the page's axis and in the colours of their
    verdicts; and whether they confirm what the earlier run found, and what that was, if it found any.
    """
    tones, known = _tones(ranking), _earlier(summary)

    def way(effect: Effect | None, tone: str) -> Way:
        return (
            None if effect is None else (effect, plots.bar(effect.score, axis, tone if effect.significant else "plain"))
        )

    found = []
    for concept in confirmation.concepts:
        earlier, tone = known.get(concept.path), tones[concept.path]
        answer = None if earlier is None else _answer(concept, earlier)
        found.append((concept, answer, earlier, (way(concept.added, tone), way(concept.taken_out, tone))))
    return found


def headline(summary: Summary) -> list[tuple[str, str]]:
    """Whether what the earlier run found is so on photographs; empty where no run's findings were asked about."""
    effects = summary.effects
    known = _earlier(summary)
    if effects is None or effects.confirmation is None or not known:
        return []
    asked = [concept for concept in effects.confirmation.concepts if concept.path in known]
    texts, tones = _texts(effects.rankings[0]), _tones(effects.rankings[0])
    if len(asked) == 1:
        (one,) = asked
        answer, stated = _answer(one, known[one.path]), wording.stated(known[one.path].score)
        ways = ((one.added, "where it is put in"), (one.taken_out, "where it is taken out"))
        parts = [f"{wording.stated(effect.score)} {way}" for effect, way in ways if effect is not None]
        moved = " and ".join(parts) or "there were too few"
        said = f" is {answer} on photographs: {moved}; the earlier run stated {stated}"
        return [(wording.capital(texts[one.path]), tones[one.path]), (said, "plain")]
    names: dict[str, list[str]] = {}
    for one in asked:
        names.setdefault(_answer(one, known[one.path]), []).append(texts[one.path])
    parts = [f"{answer}: {wording.listed(names[answer])}" for answer in _ANSWERS if answer in names]
    return [(f"What the earlier run found, on photographs: {'; '.join(parts)}", "plain")] if parts else []


def sentences(summary: Summary, ranking: Ranking, confirmation: Confirmation) -> list[tuple[str, str]]:
    """For each concept what both ways show, with its tone."""
    texts, tones = _texts(ranking), _tones(ranking)
    return [_sentence(concept, texts[concept.path], tones[concept.path], summary) for concept in confirmation.concepts]


_ANSWERS = (CONFIRMED, REVERSED, NOT_CONFIRMED, NOT_TESTED)


def _earlier(summary: Summary) -> dict[Path, Effect]:
    """What the run found whose findings are checked, by concept; empty where there is none, or it is gone."""
    concepts = summary.settings.get("concepts")
    folder = concepts.get("from_run") if isinstance(concepts, Mapping) else None
    if not isinstance(folder, str):
        return {}
    try:
        found = Summary.load(resolve_folder(folder))
    except UserError:
        return {}
    return {concept.path: concept.over_all for concept in found.concepts if concept.over_all.significant}


def _answer(concept: ConfirmedConcept, earlier: Effect) -> str:
    """Confirmed if put in, or taken out, it moves the target as it did, beyond doubt."""
    known = [effect for effect in (concept.added, concept.taken_out) if effect is not None]
    sure = [effect for effect in known if effect.significant]
    if any(effect.score.value * earlier.score.value > 0 for effect in sure):
        return CONFIRMED
    if not known:
        return NOT_TESTED
    return REVERSED if sure else NOT_CONFIRMED


def _texts(ranking: Ranking) -> dict[Path, str]:
    return {concept.path: wording.named(concept) for concept in ranking.concepts}


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
