"""Judge: what a concept is to the target, from its effect and from where it lies; one rule, whatever found it."""

from __future__ import annotations

from diffexplain.effects.results import Effect, Ranking, Verdict
from diffexplain.statistics.estimates import Estimate

HALF = 0.5
"""Of its mask inside the target's own: from here on a concept is part of the object."""
SELDOM = 0.5
"""Of the pictures of its own object, so few are given a class that asks for something more."""
MUCH = 0.2
"""An effect on the probability that would account for that."""
WHERE_NOT_TOLD = "it was not seen in enough pictures to tell whether it is part of the object"
IN_ITS_PLACE = "what a word names may stand in the object's place, which lowers the target whatever the word is"
NOT_TO_THE_END = "dropped on the first pictures, since its effect is surely not among the largest"
WIDE = "the interval is too wide to tell"


def judge(
    effect: Effect, role: str, inside: Estimate | None, *, equivalence: float, of_class: bool, is_setting_of_class: bool
) -> Verdict:
    """Core, spurious, appearance; no effect; or undecided.

    Args:
        effect: of the concept.
        role: object, sub-type, attribute (a look of the target itself), setting or word.
        inside: share of its mask that lies inside the target's own.
        equivalence: the whole interval within ± this is no effect.
        of_class: whether the score is a class's; a unit without one has no object that a concept could be part of.
        is_setting_of_class: whether the class's own name denotes this setting (a seashore).
    """
    if not effect.significant:
        return Verdict.NO_EFFECT if has_none(effect, equivalence) else Verdict.UNDECIDED
    if not of_class:
        return Verdict.RAISES if effect.score.value > 0 else Verdict.LOWERS
    if role == "attribute":
        return Verdict.APPEARANCE
    if role == "setting":
        return Verdict.CORE if is_setting_of_class else Verdict.SPURIOUS
    if inside is None or may_displace(effect, role):
        return Verdict.RELEVANT
    return Verdict.CORE if inside.value >= HALF else Verdict.SPURIOUS


def may_displace(effect: Effect, role: str) -> bool:
    """Whether it may lower the target because the object is no longer there: "a photo of a dog sled, bee"."""
    return role == "word" and effect.score.value < 0


def has_none(effect: Effect, equivalence: float) -> bool:
    """Whether the whole interval lies within ±equivalence."""
    return -equivalence <= effect.score.low and effect.score.high <= equivalence


def asks_for_more(ranking: Ranking) -> bool:
    """Whether surely few pictures of the object are given the class, and surely nothing tested raises it by much.

    Then the class answers to something that no concept here names (a watermark, a tint), or does not know what the
    prior draws. `experiments/shortcut_bench` counts how often it is said where it is so, and where nothing was planted.
    """
    itself = ranking.itself
    if itself is None or itself.recognised is None or itself.recognised.high >= SELDOM:
        return False
    return all(one.over_all.score.high < MUCH for one in ranking.concepts)
