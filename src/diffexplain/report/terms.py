"""What the words on the page mean, once each: below the page, and where one of them is pointed at."""

from __future__ import annotations

from collections.abc import Collection

from diffexplain.effects.results import Verdict
from diffexplain.report import wording
from diffexplain.report.effect_sentences import EFFECT
from diffexplain.report.summary import Summary

Term = tuple[str, str, str]


def terms(summary: Summary, kinds: Collection[str]) -> list[Term]:
    """Id, name and meaning of the words that this page says; ``kinds``: what its concepts are called."""
    known: list[Term] = []
    if summary.activation:
        known.append(("activates", "Activates", wording.activates(summary)))
    if wording.output(summary):
        known.append(("output", "Output", wording.output(summary)))
    if summary.effects is None:
        return known
    known += [*_of_effects(summary), *((kind, wording.capital(kind), _meaning(kind, summary)) for kind in kinds)]
    allows = "Allows for the number of concepts that were tried (Benjamini-Hochberg)."
    if not wording.by_inpainting(summary) and not wording.before_verdicts(summary):
        allows += " It comes from pictures that had no part in choosing what is tested."
    if summary.effects.budget.policy == "screened":
        allows += (
            " Concepts that the screen put first share one half of the rate of false discoveries, the others the other "
            "half."
        )
    known.append(("p", "Adjusted p", allows))
    if any(concept.over_all.holds_by_e is not None for concept in summary.concepts):
        by_e = (
            "The same without any assumption on how differences are spread; it needs about three times as many "
            "pictures."
        )
        known.append(("e", "By e-value", by_e))
    if any(concept.took is not None for concept in summary.concepts):
        took = (
            "The concept is seen with the edit and not without it, and the rest of the picture stayed. Effects are "
            "over all edits, since dropping those that failed selects; how they are without these stands beside them."
        )
        known.append(("took", "Edit seen", took))
    return known


def _of_effects(summary: Summary) -> list[Term]:
    effects = summary.effects
    effect = (
        f"The {wording.effect_score(summary)} with the concept minus the same without it, averaged over the pictures."
    )
    if not wording.by_inpainting(summary):
        effect += (
            " Where a picture shows the concept already, it is taken out instead. Of a colour or a setting, which one "
            "holds at a time, without it means with another one, all equally likely."
        )
    interval = "It holds the true value in 95 of 100 such runs, for one concept looked at alone. "
    calibration = None if effects is None else effects.calibration
    if calibration is None:
        interval += (
            "It covers sampling alone: how far this prior\N{RIGHT SINGLE QUOTATION MARK}s own drawing is off is not "
            "calibrated."
        )
    else:
        interval += (
            "It allows for the draw of pictures and for what this prior draws wrongly, as measured on "
            f"{calibration.effects} known effects on {calibration.classifiers} classifiers."
        )
        if wording.of_words(summary):
            interval += " Words were not among these: it is of the word in a prompt, not of the thing that it names."
    return [("effect", "Effect", effect), ("interval", "95% interval", interval)]


def _meaning(kind: str, summary: Summary) -> str:
    moves = f"It moves the target{wording.beyond(summary) or ' beyond doubt'}, with all concepts allowed for"
    equivalence = f"\N{PLUS-MINUS SIGN}{wording.equivalence(summary):g}"
    return {
        Verdict.SPURIOUS.value: f"{moves}, and lies beside the object; a setting always does. The classifier may fail "
        "where it is missing, or be fooled where it is there alone.",
        Verdict.CORE.value: f"{moves}, and at least half of it lies inside the object.",
        Verdict.APPEARANCE.value: f"{moves}, and is a look of the object itself; whether the class means it is for you "
        "to say.",
        Verdict.RELEVANT.value: f"{moves}; where it lies cannot be told.",
        EFFECT: f"{moves}.",
        Verdict.NO_EFFECT.value: f"The whole interval lies within {equivalence}.",
        Verdict.UNDECIDED.value: "There may be an effect or none: these pictures do not tell.",
        Verdict.NOT_TESTED.value: "Proposed, and not tested: nothing is known of it, which is not to say that it has "
        "no effect.",
    }[kind]
