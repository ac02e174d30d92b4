"""What one concept, or the object itself, does: in a sentence, in two words, and in the colour of the page."""

from __future__ import annotations

from collections.abc import Mapping

from diffexplain.effects.results import ConceptEffect, ObjectItself, Ranking, Verdict
from diffexplain.effects.verdicts import MUCH, asks_for_more
from diffexplain.report import wording
from diffexplain.report.summary import Summary

TONES: Mapping[Verdict, str] = {Verdict.SPURIOUS: "spurious", Verdict.CORE: "core"}
EFFECT = "effect"
"""What a concept is called that moves the target and was not judged."""
KINDS = (
    Verdict.SPURIOUS.value,
    Verdict.CORE.value,
    Verdict.APPEARANCE.value,
    Verdict.RELEVANT.value,
    EFFECT,
    Verdict.UNDECIDED.value,
    Verdict.NO_EFFECT.value,
    Verdict.NOT_TESTED.value,
)
"""Whatever a concept may be called, in the order of the page."""


def tone_of(concept: ConceptEffect) -> str:
    """The colour of a concept: of its verdict, dark for another effect, grey where there is none beyond doubt."""
    if not concept.over_all.significant:
        return "plain"
    return TONES.get(concept.verdict, "found")


def kind_of(concept: ConceptEffect) -> str:
    """The verdict in a word; "effect" where it moves the target and was judged no further."""
    unnamed = concept.verdict in (Verdict.RAISES, Verdict.LOWERS, Verdict.UNDECIDED)
    return EFFECT if concept.over_all.significant and unnamed else concept.verdict.value


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


def recognised_sentence(summary: Summary, ranking: Ranking) -> str | None:
    """Whether the classifier recognises what the prior draws, and what it means if not; None of a unit."""
    share = None if ranking.itself is None else ranking.itself.recognised
    if share is None:
        return None
    text = f"{summary.classifier.name} says {wording.target_name(summary)} of {wording.count(share)} pictures of it"
    if asks_for_more(ranking):
        return (
            f"{text}, and nothing that was tested raises its probability by {MUCH} or more: it looks for something "
            "that no word here names, or does not know the class as this prior draws it."
        )
    return f"{text}."


def effect_sentence(concept: ConceptEffect, summary: Summary) -> str:
    """What putting the concept in does to the score, with its interval."""
    if concept.over_all.significant:
        return moves(concept, f"the {score_noun(summary)}")
    found = "no effect" if concept.verdict is Verdict.NO_EFFECT else "undecided"
    return f"{found}, {wording.stated(concept.over_all.score)}"


def score_noun(summary: Summary) -> str:
    """What is moved, as a noun, of this target."""
    if wording.of_class(summary):
        return f"probability of {wording.quoted(summary.target.class_name or summary.target.class_key)}"
    return f"activation of {wording.target_name(summary)}"
