"""The tree of effects as the page shows it: every concept under its categories, with a bar on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import (
    ConceptEffect,
    Confirmation,
    ObjectItself,
    Path,
    Ranking,
    Verdict,
)
from diffexplain.report import plots, wording
from diffexplain.report.summary import Summary

RECOGNISED = 0.25
"""Share of its pictures below which a class is hardly recognised."""


@dataclass(frozen=True)
class Node:
    """A node of the tree: a concept with its effect, or a category, which has none.

    ``weight``: the largest absolute effect of itself and all below it. ``more``: what stands in small print.
    """

    name: str
    concept: ConceptEffect | None
    tone: str
    bar: Markup | None
    number: str
    interval: str
    more: str
    children: tuple[Node, ...]
    weight: float
    unfolded: bool


TONES: Mapping[Verdict, str] = {Verdict.SPURIOUS: "spurious", Verdict.CORE: "core"}


def tone_of(concept: ConceptEffect) -> str:
    """The colour of a concept: of its verdict, dark for another effect, grey where there is none beyond doubt."""
    if not concept.over_all.significant:
        return "plain"
    return TONES.get(concept.verdict, "found")


def axis_of(rankings: Sequence[Ranking], confirmation: Confirmation | None = None) -> plots.Axis:
    """One axis for the effects and combinations of all classifiers, so that their bars can be compared."""
    estimates = [concept.over_all.score for ranking in rankings for concept in ranking.concepts]
    estimates += [combination.gain for ranking in rankings for combination in ranking.combinations]
    for one in () if confirmation is None else confirmation.concepts:
        estimates += [effect.score for effect in (one.added, one.taken_out) if effect is not None]
    return plots.axis_for([end for e in estimates for end in (e.low, e.value, e.high)])


def tree_of(ranking: Ranking, axis: plots.Axis) -> tuple[Node, ...]:
    """The concepts under their categories, on each level the largest absolute effect first."""
    by_path = {concept.path: concept for concept in ranking.concepts}

    def below(above: Path) -> tuple[Node, ...]:
        depth = len(above)
        names = dict.fromkeys(p[depth] for p in by_path if len(p) > depth and p[:depth] == above)
        nodes = [_node(name, by_path.get((*above, name)), below((*above, name)), axis) for name in names]
        return tuple(sorted(nodes, key=lambda node: -node.weight))

    return below(())


def _node(name: str, concept: ConceptEffect | None, children: tuple[Node, ...], axis: plots.Axis) -> Node:
    weight = max((child.weight for child in children), default=0.0)
    unfolded = concept is None or any(c.concept is not None and c.concept.over_all.significant for c in children)
    if concept is None:
        return Node(name, None, "plain", None, "", "", "", children, weight, unfolded)
    effect = concept.over_all
    tone, score = tone_of(concept), effect.score
    return Node(
        name=name,
        concept=concept,
        tone=tone,
        bar=plots.bar(score, axis, tone),
        number=wording.signed(score.value),
        interval=wording.interval(score),
        more=_small_print(concept),
        children=children,
        weight=max(weight, abs(score.value)),
        unfolded=unfolded,
    )


def _small_print(concept: ConceptEffect) -> str:
    effect = concept.over_all
    parts = [f"{effect.n} pairs"]
    if concept.reason is not None:
        parts.append(concept.reason)
    else:
        parts.append(f"adjusted p {wording.p_value(effect.adjusted_p)}")
    if effect.significant and effect.holds_by_e is not None:
        parts.append(f"{'holds' if effect.holds_by_e else 'does not hold'} by e-value")
    if concept.inside is not None:
        parts.append(f"{wording.percent(concept.inside.value)} of it inside the object")
    if concept.strayed is not None:
        parts.append(f"the rest moved by {wording.number(concept.strayed)}")
    if effect.log_odds is not None:
        parts.append(f"log-odds {wording.signed(effect.log_odds.value)}")
    if concept.took is None:
        parts.append("edits not checked")
    else:
        parts.append(f"edit took in {wording.count(concept.took)}")
    if concept.over_took is not None and concept.took is not None and concept.took.value < 1:
        parts.append(f"over those {wording.signed(concept.over_took.score.value)}")
    if concept.within_noise:
        parts.append("within what editing alone does")
    return ", ".join(parts)


def called(concept: ConceptEffect) -> str:
    """The verdict and what the concept does, in two or three words: "spurious, raises"."""
    effect = concept.over_all
    verb = verb_of(effect.score.value) if effect.significant else ""
    unnamed = (Verdict.RAISES, Verdict.LOWERS, Verdict.RELEVANT)
    known = concept.verdict not in unnamed and not (verb and concept.verdict is Verdict.UNDECIDED)
    return ", ".join(word for word in (concept.verdict.value if known else "", verb) if word)


def verb_of(value: float) -> str:
    """What an effect of this size does."""
    return "raises" if value > 0 else "lowers"


def moves(concept: ConceptEffect, what: str) -> str:
    """What a concept does to ``what``, with the interval: ``raises it by 0.39 (95% interval 0.25 to 0.53)``."""
    score = concept.over_all.score
    by = wording.number(abs(score.value))
    return f"{verb_of(score.value)} {what} by {by} ({wording.interval_by(score)})"


def itself_sentence(summary: Summary, itself: ObjectItself) -> str:
    """What the target's own object does, outside the ranking."""
    name = f"The object itself ({itself.text})"
    if itself.effect is None:
        return f"{name} was not tested: {itself.reason}."
    score = itself.effect.score
    by, between = wording.number(abs(score.value)), f"95% interval {wording.interval(score)}"
    if itself.helps is None:
        return f"{name}: undecided, {wording.signed(score.value)} against another object in its place ({between})."
    if not itself.helps and not itself.effect.significant:
        return f"{name} makes no difference: {wording.signed(score.value)} against another object ({between})."
    helps = "helps" if itself.helps else "does harm"
    moved = f"{verb_of(score.value)} the {score_noun(summary)} by {by}"
    return f"{name} {helps}: it {moved} against another object ({wording.interval_by(score)})."


def recognised_sentence(summary: Summary, itself: ObjectItself) -> str | None:
    """Whether the classifier recognises what the prior draws; None of a unit."""
    share = itself.recognised
    if share is None:
        return None
    text = f"{summary.classifier.name} says {wording.target_name(summary)} of {wording.count(share)} pictures of it"
    if share.high < RECOGNISED:
        return f"{text}: it hardly knows the class as this prior draws it, and its reasons elsewhere may be others."
    return f"{text}."


def effect_sentence(concept: ConceptEffect, summary: Summary) -> str:
    """What putting the concept in does to the score, with its interval."""
    score = concept.over_all.score
    if concept.over_all.significant:
        return moves(concept, f"the {score_noun(summary)}")
    found = "no effect" if concept.verdict is Verdict.NO_EFFECT else "undecided"
    return f"{found}, {wording.signed(score.value)} (95% interval {wording.interval(score)})"


def score_noun(summary: Summary) -> str:
    """What is moved, as a noun, of this target."""
    if wording.of_class(summary):
        return f"probability of {wording.quoted(summary.target.class_name or summary.target.class_key)}"
    return f"activation of {wording.target_name(summary)}"
