"""The table of concepts, a row each: what it does, how sure that is, how it was tested; and those that were not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import ConceptEffect, Confirmation, Path, Ranking, Untested, Verdict, without_mirrors
from diffexplain.report import plots, wording
from diffexplain.report.effect_sentences import EFFECT, KINDS, kind_of, tone_of, verb_of
from diffexplain.report.truth import TrueEffect

SEPARATOR = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


@dataclass(frozen=True)
class Number:
    """An effect as a table shows it; ``size``: what it is sorted by."""

    verb: str
    value: str
    interval: str
    size: float


@dataclass(frozen=True)
class Row:
    """A concept, or two values that mirror each other: what one does, the other does the other way.

    ``kind``: of `KINDS`. ``number`` and ``bar``: None where it was not tested. ``seen``: how often the edit took, empty
    where that was not checked. ``others``: of each further classifier. ``pictures``: the place of its pictures on
    the page; empty where none are kept. ``concepts``: 2 of mirrored values, else 1.
    """

    name: str
    mirror: str
    group: str
    kind: str
    tone: str
    number: Number | None
    bar: Markup | None
    pairs: int
    seen: str
    details: tuple[str, ...]
    true: TrueEffect | None = None
    others: tuple[Number | None, ...] = ()
    pictures: str = ""

    @property
    def concepts(self) -> int:
        """How many concepts it stands for."""
        return 2 if self.mirror else 1

    @property
    def moves(self) -> bool:
        """Whether it moves the target beyond doubt."""
        return self.tone != "plain"


def axis_of(rankings: Sequence[Ranking], confirmation: Confirmation | None = None) -> plots.Axis:
    """One axis for the effects and combinations of all classifiers, so that their bars can be compared."""
    estimates = [concept.over_all.score for ranking in rankings for concept in ranking.concepts]
    estimates += [combination.gain for ranking in rankings for combination in ranking.combinations]
    for one in () if confirmation is None else confirmation.concepts:
        estimates += [effect.score for effect in (one.added, one.taken_out) if effect is not None]
    return plots.axis_for([end for e in estimates for end in (e.low, e.value, e.high)])


def rows_of(
    rankings: Sequence[Ranking],
    axis: plots.Axis,
    true: Mapping[Path, TrueEffect],
    shown: Collection[Path],
) -> tuple[Row, ...]:
    """What moves the first classifier, the largest effect first; then what is undecided, what has no effect, the rest.

    Args:
        true: effects that are known, by concept.
        shown: concepts that the page has pictures of.
    """
    first, *others = rankings
    elsewhere = [{concept.path: concept for concept in ranking.concepts} for ranking in others]
    told = without_mirrors(first.ranked)
    told.sort(key=lambda pair: max(0, KINDS.index(kind_of(pair[0])) - KINDS.index(EFFECT)))
    return (
        *(_row(concept, mirror, axis, true.get(concept.path), elsewhere, shown) for concept, mirror in told),
        *(_untested(one, len(others)) for one in first.untested),
    )


def _row(
    concept: ConceptEffect,
    mirror: ConceptEffect | None,
    axis: plots.Axis,
    true: TrueEffect | None,
    elsewhere: Sequence[Mapping[Path, ConceptEffect]],
    shown: Collection[Path],
) -> Row:
    score, tone = concept.over_all.score, tone_of(concept)
    pictured = next((one.path for one in (concept, mirror) if one is not None and one.path in shown), None)
    return Row(
        name=concept.path[-1],
        mirror="" if mirror is None else mirror.path[-1],
        group=SEPARATOR.join(concept.path[:-1]),
        kind=kind_of(concept),
        tone=tone,
        number=number(concept),
        bar=plots.bar(score, axis, tone, None if true is None else true.effect.value),
        pairs=concept.over_all.n,
        seen="" if concept.took is None else f"edit seen in {wording.count(concept.took)}",
        details=_details(concept),
        true=true,
        others=tuple(number(known[concept.path]) if concept.path in known else None for known in elsewhere),
        pictures="" if pictured is None else anchor(pictured),
    )


def anchor(path: Path) -> str:
    """Where the page shows pictures of a concept, as an id."""
    return "pictures-" + "-".join("".join(c if c.isalnum() else "_" for c in name) for name in path)


def number(concept: ConceptEffect) -> Number:
    """A concept's effect with its interval, and what it does where it does it beyond doubt."""
    score = concept.over_all.score
    verb = verb_of(score.value) if concept.over_all.significant else ""
    return Number(verb, wording.signed(score.value), wording.interval(score), abs(score.value))


def _untested(one: Untested, others: int) -> Row:
    return Row(
        name=one.path[-1],
        mirror="",
        group=SEPARATOR.join(one.path[:-1]),
        kind=Verdict.NOT_TESTED.value,
        tone="plain",
        number=None,
        bar=None,
        pairs=0,
        seen="",
        details=(wording.capital(one.reason),),
        others=(None,) * others,
    )


def _details(concept: ConceptEffect) -> tuple[str, ...]:
    effect = concept.over_all
    parts = [concept.reason or f"adjusted p {wording.p_value(effect.adjusted_p)}"]
    if effect.significant and effect.holds_by_e is not None:
        parts.append(f"{'holds' if effect.holds_by_e else 'does not hold'} by e-value")
    if concept.inside is not None:
        parts.append(f"{wording.percent(concept.inside.value)} of it inside the object")
    if concept.strayed is not None:
        parts.append(f"the rest of the picture moved by {wording.number(concept.strayed)}")
    if effect.log_odds is not None:
        parts.append(f"log-odds {wording.signed(effect.log_odds.value)}")
    if concept.took is None:
        parts.append("edits not checked")
    elif concept.over_took is not None and concept.took.value < 1:
        parts.append(f"over the edits that took {wording.changed(concept.over_took.score)}")
    if concept.within_noise:
        parts.append("within what editing alone does")
    return (wording.capital(parts[0]), *parts[1:])
