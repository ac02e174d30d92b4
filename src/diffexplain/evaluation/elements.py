"""Every phrase of the vocabulary: is it seen, is it taken out, what is the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from diffexplain.evaluation.activation import PURPOSE, Seeds
from diffexplain.evaluation.removal import Edits, Remover, joined
from diffexplain.evaluation.results import Element, Estimate, Removal, Verdict
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.evaluation.sight import Sight, lift
from diffexplain.evaluation.statistics import bootstrap_mean
from diffexplain.evaluation.verdict import Trial, ordered, probability_drops, relevant, removal, try_out, verdict
from diffexplain.evaluation.vocabulary import Phrase, Vocabulary
from diffexplain.runs.draws import Draws

LARGE_DROP = 0.1
"""While the largest drop of one image stays below, more images would hardly show an effect."""


@dataclass(frozen=True)
class Looked:
    """The images in which elements are looked for, and what was seen in them."""

    activating: Tensor
    neutral: Tensor
    sight: Sight
    neutral_sight: Sight


def by_lift(vocabulary: Vocabulary, looked: Looked, settings: EvaluationSettings) -> list[Phrase]:
    """The phrases that activating images show often enough, largest lift first."""
    shown = [phrase for phrase in vocabulary.phrases if looked.sight.share(phrase.text).value >= settings.minimum_shown]
    return sorted(shown, key=lambda phrase: -_lift(looked, phrase).value)


def unseen_elements(vocabulary: Vocabulary, reason: str) -> tuple[Element, ...]:
    """All elements undecided: there are too few activating images to look at."""
    return tuple(
        Element(phrase.text, phrase.kind, phrase.of, Verdict.UNDECIDED, reason, None, None, None, None, None)
        for phrase in vocabulary.phrases
    )


def untested_elements(
    vocabulary: Vocabulary, looked: Looked, reason: str, settings: EvaluationSettings
) -> tuple[Element, ...]:
    """All elements with their lift, and no verdict but "not seen"."""
    shown = by_lift(vocabulary, looked, settings)
    return ordered(
        [
            _without_trial(phrase, looked, reason if phrase in shown else None, settings, None)
            for phrase in vocabulary.phrases
        ]
    )


def judge_elements(
    vocabulary: Vocabulary,
    looked: Looked,
    target_phrase: str,
    remover: Remover,
    draws: Draws,
    settings: EvaluationSettings,
    asked: Sequence[Phrase] = (),
) -> tuple[tuple[Element, ...], tuple[Trial, ...]]:
    """All elements with their verdicts, and the trials behind them.

    Objects and settings are tried first, then the kinds of those objects that proved relevant, and descriptions; p
    values are adjusted over all that were tried.

    Args:
        asked: descriptions that the found prompt itself says, which are tried before those that are seen.
    """
    shown = by_lift(vocabulary, looked, settings)
    reasons: dict[str, str] = {}

    def may_be_left_out(phrase: Phrase) -> bool:
        return phrase.kind != "attribute" and phrase.text != target_phrase and phrase not in asked

    def attempt(phrases: Sequence[Phrase], limit: int, what: str) -> list[Trial]:
        trials: list[Trial] = []
        for phrase in phrases:
            text = phrase.text
            count = len(looked.sight.showing(text))
            if count < settings.minimum_edits and phrase.kind != "description":
                reasons[text] = f"seen in {count} activating images, fewer than {settings.minimum_edits}"
            elif may_be_left_out(phrase) and _lift(looked, phrase).value < 0:
                # The found prompt does not ask for it; testing it would only cost the others certainty.
                reasons[text] = "not tried: seen less often than in neutral images"
            elif len(trials) >= limit:
                reasons[text] = f"not tried: {limit} other {what} came first"
            else:
                trial = _try(phrase, looked, target_phrase, remover, settings)
                if trial is None:
                    reasons[text] = "there was nothing to replace outside the target's own pixels"
                else:
                    trials.append(trial)
        return trials

    # The target itself is always tried, so that a report can say whether the object matters at all.
    first = [phrase for phrase in shown if phrase.of is None]
    first.sort(key=lambda phrase: phrase.text != target_phrase)
    trials = attempt(first, settings.elements_tried + _is_first(first, target_phrase), "elements")
    relevant_so_far = {text for text, p in relevant(trials, settings).items() if p <= settings.significance}
    kinds = [phrase for phrase in shown if phrase.of in relevant_so_far]
    trials += attempt(kinds, settings.attributes_tried, "kinds of objects")
    seen = [phrase for phrase in shown if phrase.kind == "description" and phrase not in asked]
    trials += attempt([*asked, *seen], settings.attributes_tried, "descriptions")
    for phrase in shown:
        if phrase.kind == "attribute" and phrase.of not in relevant_so_far:
            reasons[phrase.text] = f"not tried: {phrase.of} was not found relevant itself"

    adjusted = relevant(trials, settings)
    by_text = {trial.phrase.text: trial for trial in trials}
    elements = []
    for phrase in vocabulary.phrases:
        trial = by_text.get(phrase.text)
        overlap = _overlap(phrase, looked, target_phrase, draws, settings)
        if trial is None or trial.p is None:
            reason = trial.reason if trial else reasons.get(phrase.text)
            elements.append(_without_trial(phrase, looked, reason, settings, overlap))
            continue
        inside = None if overlap is None else overlap.value
        decision = verdict(adjusted[phrase.text], inside, settings)
        neutral = None
        # A description's edits are whole images already, of the target and nothing else.
        if inside is not None and decision in (Verdict.CORE, Verdict.SPURIOUS) and settings.neutral_edited_images:
            neutral = remover.take_out(
                phrase,
                looked.neutral,
                looked.neutral_sight,
                slice(settings.neutral_edited_images),
                inside < settings.core_overlap,
            )
        measured = removal(trial, adjusted[phrase.text], neutral, draws, settings)
        elements.append(_element(phrase, looked, decision, None, overlap, measured))
    return ordered(elements), tuple(trials)


def _try(
    phrase: Phrase, looked: Looked, target_phrase: str, remover: Remover, settings: EvaluationSettings
) -> Trial | None:
    # A part of the target lies in the target's pixels; from anything else that has pixels the target is spared.
    has_mask = phrase.kind != "description"
    spare = has_mask and float(looked.sight.overlaps(phrase.text, target_phrase).mean()) < settings.core_overlap
    half = settings.edited_images // 2

    def take_out(which: slice) -> Edits | None:
        return remover.take_out(phrase, looked.activating, looked.sight, which, spare)

    edits = take_out(slice(half))
    if edits is not None and not _hopeless(edits, settings):
        rest = take_out(slice(half, settings.edited_images))
        edits = edits if rest is None else joined(edits, rest)
    return None if edits is None else try_out(phrase, edits, settings)


def _hopeless(edits: Edits, settings: EvaluationSettings) -> bool:
    """Whether half of the edits show enough: no drop on average, and no single one that is large.

    Stopping early for want of an effect calls nothing relevant that would not have been.
    """
    drops = probability_drops(edits)
    enough = len(drops) >= settings.minimum_edits
    return bool(enough and drops.mean() <= settings.margin and drops.max() <= LARGE_DROP)


def _is_first(phrases: Sequence[Phrase], target_phrase: str) -> int:
    return int(bool(phrases) and phrases[0].text == target_phrase)


def _overlap(
    phrase: Phrase, looked: Looked, target_phrase: str, draws: Draws, settings: EvaluationSettings
) -> Estimate | None:
    shares = looked.sight.overlaps(phrase.text, target_phrase)
    if not len(shares) or phrase.kind == "description":
        return None
    return bootstrap_mean(shares, draws.generator(PURPOSE, Seeds.BOOTSTRAP), settings.resamples)


def _lift(looked: Looked, phrase: Phrase) -> Estimate:
    return lift(looked.sight, looked.neutral_sight, phrase.text)


def _without_trial(
    phrase: Phrase,
    looked: Looked,
    reason: str | None,
    settings: EvaluationSettings,
    overlap: Estimate | None,
) -> Element:
    seen = looked.sight.share(phrase.text).value >= settings.minimum_shown
    if not seen:
        share = f"{settings.minimum_shown:.0%}"
        return _element(phrase, looked, Verdict.NOT_SEEN, f"in fewer than {share} of activating images", overlap, None)
    return _element(phrase, looked, Verdict.UNDECIDED, reason, overlap, None)


def _element(
    phrase: Phrase,
    looked: Looked,
    decision: Verdict,
    reason: str | None,
    overlap: Estimate | None,
    measured: Removal | None,
) -> Element:
    return Element(
        phrase=phrase.text,
        kind=phrase.kind,
        of=phrase.of,
        verdict=decision,
        reason=reason,
        shown=looked.sight.share(phrase.text),
        shown_neutral=looked.neutral_sight.share(phrase.text),
        lift=_lift(looked, phrase),
        overlap=overlap,
        removal=measured,
    )
