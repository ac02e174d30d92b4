"""What the page says: the answer, what else was found, what is not known, and what the pictures show by themselves.

Nothing unmeasured is said.
"""

from __future__ import annotations

from diffexplain.effects.results import ConceptEffect, Ranking, Verdict, without_mirrors
from diffexplain.effects.verdicts import asks_for_more
from diffexplain.evaluation.results import ObjectAbsence
from diffexplain.report import confirmation, wording
from diffexplain.report.comparison import compared
from diffexplain.report.effect_sentences import (
    KINDS,
    TONES,
    effect_sentence,
    itself_sentence,
    kind_of,
    recognised_sentence,
    score_noun,
    tone_of,
    verb_of,
)
from diffexplain.report.summary import Summary

Toned = tuple[str, str]
QUICK = " (quick settings: too few pictures to rely on)"
_NOT_ITSELF = "Whether the {} itself matters was not tested."
_CONTROLS = {"random_weights": "the same network with random weights"}
MOST_TOLD = 8
"""Concepts that the findings tell in a sentence each."""
MOST_NAMED = 4
"""Concepts that a line names."""
SEEN_WELL = 0.8
"""Lower end of the sensitivity and of the specificity from which on it can be relied on where an object is seen."""


def headline(summary: Summary) -> list[Toned]:
    """The answer, as pieces of one sentence, each with its tone: what moves the target most, by how much, how sure."""
    if summary.same_answer is not None:
        return [(wording.same_answer(summary, summary.same_answer), "plain")]
    pieces: list[Toned]
    if summary.concepts:
        pieces = confirmation.headline(summary) or _moves_most(summary)
    elif summary.activation:
        pieces = [(activation_clause(summary), "plain")]
    else:
        pieces = [(untested_reason(summary).rstrip("."), "plain")]
    quick = summary.settings.get("effects") or {}
    return [*pieces, (f"{QUICK if quick.get('name') == 'quick' else ''}.", "plain")]


def activation_clause(summary: Summary) -> str:
    """How often the classifier says the target of the pictures that were made for it."""
    share, name, classifier = summary.found.share, wording.target_name(summary), summary.classifier.name
    is_class = summary.target.kind == "class"
    if share.n == 0:
        return f"No picture was made for {name}, so nothing is known about it"
    if share.value == 0:
        never = f"{classifier} never says {name} in {share.n} pictures made for it"
        return (
            never if is_class else f"{wording.capital(name)} of {classifier} is activated by none of {share.n} pictures"
        )
    if is_class:
        return f"{classifier} says {name} in {wording.count(share)} pictures made for it"
    return f"{wording.capital(name)} of {classifier} is activated by {wording.count(share)} pictures made for it"


def _moves_most(summary: Summary) -> list[Toned]:
    """The largest effect, and then the spurious concepts that a reader has to know of."""
    first, noun = largest(summary), f"the {score_noun(summary)}"
    if first is None:
        return [(wording.capital(_none_moves(summary, noun)), "plain")]
    score = first.over_all.score
    alone = sum(concept.over_all.significant for concept in summary.concepts) == 1
    by = f"by {wording.number(abs(score.value))} ({wording.interval_by(score)})"
    kinds = {
        Verdict.SPURIOUS: ", and is no part of the object",
        Verdict.CORE: ", and is part of the object",
        Verdict.APPEARANCE: ", and is a look of the object",
    }
    kind = ", which the class is named after" if _names_the_class(first) else kinds.get(first.verdict, "")
    pieces = [
        (wording.capital(_subject(first)), tone_of(first)),
        (f" {verb_of(score.value)} {noun}{'' if alone else ' most,'} {by}{kind}", "plain"),
    ]
    others = [one for one, _ in without_mirrors(summary.having(Verdict.SPURIOUS)) if one.path != first.path]
    others.sort(key=lambda one: one.over_all.score.value < 0)
    if not others:
        return pieces
    shown = [f"{wording.named(one)} ({wording.signed(one.over_all.score.value)})" for one in others[:2]]
    left = len(others) - len(shown)
    verb, too = "is" if len(others) == 1 else "are", ", too" if first.verdict is Verdict.SPURIOUS else ""
    names = wording.listed([*shown, *([f"{left} more"] if left else [])])
    return [*pieces, ("; ", "plain"), (names, "spurious"), (f" {verb} spurious{too}", "plain")]


def _names_the_class(concept: ConceptEffect) -> bool:
    """Whether it is a setting that the class is, such as a seashore."""
    return concept.kind == "setting" and concept.verdict is Verdict.CORE


def _none_moves(summary: Summary, what: str) -> str:
    tested = len(summary.concepts)
    more = summary.effects is not None and asks_for_more(summary.effects.rankings[0])
    none = f"none of the {tested} concepts tested moves" if tested > 1 else "the one concept tested does not move"
    undecided = sum(concept.verdict is Verdict.UNDECIDED for concept in summary.concepts)
    left = f"; {undecided} {'is' if undecided == 1 else 'are'} undecided" if undecided else ""
    unnamed = "; what it looks for may be something that no word here names" if more else ""
    return f"{none} {what} beyond doubt{left}{unnamed}"


def largest(summary: Summary) -> ConceptEffect | None:
    """The concept with the largest effect; of two that mirror each other, the one that raises."""

    def size(concept: ConceptEffect) -> tuple[float, bool]:
        value = concept.over_all.score.value
        return round(abs(value), 9), value > 0

    return max((concept for concept in summary.concepts if concept.over_all.significant), key=size, default=None)


def findings(summary: Summary) -> list[Toned]:
    """All that was found in sentences, each with its tone: spurious, core, found, absent or plain."""
    if summary.same_answer is not None:
        return [("plain", wording.NOTHING_TOLD)]
    sentences = [*_activates(summary), *_concepts(summary), *_itself(summary), ("plain", _how_many(summary))]
    return [*sentences, *_rest(summary)]


def of_pictures(summary: Summary) -> list[str]:
    """All that is said of a method that finds pictures: how far they activate the target, and nothing on concepts."""
    if summary.same_answer is not None:
        return [wording.NOTHING_TOLD]
    made = f"{summary.explainer} optimises the picture itself and not a prompt"
    share, mean = summary.found.share, summary.found.mean
    return [
        f"{wording.capital(made)}: nothing in it has a name, so nothing is called core or spurious.",
        f"{wording.count(share)} pictures activate it (95% interval {wording.percent(share.low)} to "
        f"{wording.percent(share.high)}); the mean {wording.score_name(summary)} is {wording.effect(mean)}.",
    ]


def beside(summary: Summary) -> list[Toned]:
    """The sentences that stand below the largest effects: what else was measured."""
    if summary.same_answer is not None:
        return [("plain", wording.NOTHING_TOLD)]
    itself = None if summary.effects is None else summary.effects.rankings[0].itself
    untested = itself is None or itself.effect is None
    return [*_activates(summary), *([] if untested else _itself(summary)), *_rest(summary)]


def _activates(summary: Summary) -> list[Toned]:
    if not summary.activation:
        return []
    found = []
    if summary.concepts:
        share = summary.found.share
        between = f" (95% interval {wording.percent(share.low)} to {wording.percent(share.high)})" if share.n else ""
        found.append(("plain", f"{activation_clause(summary)}{between}."))
    if round(summary.found.share.value * summary.found.share.n) == 0:
        nothing = "The search found nothing that activates the target: more steps or another seed may help."
        found.append(("plain", nothing))
    return found


def _rest(summary: Summary) -> list[Toned]:
    sentences, effects = _absent(summary), summary.effects
    if effects is None:
        return sentences
    if effects.confirmation is not None:
        sentences += confirmation.sentences(summary, effects.rankings[0], effects.confirmation)[:MOST_NAMED]
    best = effects.rankings[0].best
    if best is not None and len(best.paths) > 1:
        names = wording.listed([path[-1] for path in best.paths])
        sentences.append(("plain", f"Best together: {names}, {wording.stated(best.gain)}."))
    return [*sentences, *compared(summary, effects)]


def unknown(summary: Summary) -> list[tuple[str, str]]:
    """What was not looked at, not tested or not settled: each in a few words, and what is to be said of it."""
    effects = summary.effects
    if effects is None or summary.same_answer is not None:
        return [] if summary.same_answer is not None else [("No concept was tested", untested_reason(summary))]
    ranking, found = effects.rankings[0], []
    open_still: dict[str, list[ConceptEffect]] = {}
    for concept in summary.concepts:
        if concept.verdict is Verdict.UNDECIDED and not concept.over_all.significant:
            open_still.setdefault(concept.reason or "the pictures do not tell", []).append(concept)
    for reason, concepts in open_still.items():
        named = [_with_interval(one) for one, _ in without_mirrors(concepts)[:3]]
        more = "among them " if len(concepts) > len(named) else ""
        label = f"{len(concepts)} of {len(summary.concepts)} concepts undecided"
        label += "" if effects.confirmation is None else " over both ways of editing together"
        found.append((label, f"{reason}; {more}{wording.listed(named)}"))
    reasons: dict[str, list[str]] = {}
    for one in ranking.untested:
        reasons.setdefault(one.reason, []).append(one.path[-1])
    for reason, names in reasons.items():
        named = names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"]
        found.append((f"{len(names)} proposed and not tested", f"{reason}: {wording.listed(named)}"))
    if summary.concepts:
        groups = dict.fromkeys(concept.path[0].replace("_", " ") for concept in ranking.concepts)
        named = [*groups][:9]
        listed = ", ".join(named) + ("" if len(groups) == len(named) else ", ...")
        count = f"{len(ranking.concepts)} concept{'' if len(ranking.concepts) == 1 else 's'}"
        found.append(("Anything else", f"not looked at; what was: {count}, of {listed}"))
    if effects.confirmation is not None:
        failed = [(one, round((1 - one.took.value) * one.took.n), one.took.n) for one in summary.concepts if one.took]
        named = [f"{wording.named(one)} in {count} of {n}" for one, count, n in failed if count]
        if named:
            why = "they count, and may hide an effect"
            found.append(("Edits that failed their check", f"{wording.listed(named)}; {why}"))
    unchecked = [concept for concept in ranking.concepts if concept.took is None]
    if unchecked:
        label = f"Edits of {len(unchecked)} of {len(ranking.concepts)} concepts not checked"
        found.append((label, "nothing at hand can see whether they took"))
    itself, name = ranking.itself, wording.object_name(summary)
    if itself is None and name is not None and not _is_a_concept(summary):
        found.append(("The object itself not tested", _NOT_ITSELF.format(name).rstrip(".")))
    elif itself is not None and itself.effect is None:
        found.append(("The object itself not tested", str(itself.reason)))
    if not wording.by_inpainting(summary) and not effects.budget.search_images:
        found.append(("Concepts together not tested", "no combination was asked for"))
    if effects.calibration is None and summary.concepts:
        found.append(("What the prior draws wrongly", "not in the intervals: it was not measured"))
    if wording.of_words(summary):
        words = (
            "an effect is of the word in a prompt, and how far the picture shows what it names is not in the intervals"
        )
        found.append(("What the words stand for", words))
    return found


def untested_reason(summary: Summary) -> str:
    """Why no concept was tested."""
    target = summary.target
    if target.class_name is not None:
        return "No concept was tested."
    remedy = f"; target={target.text}@<class> names one" if target.class_index is None else ""
    return f"No concept was tested: {target.no_object}{remedy}."


def _concepts(summary: Summary) -> list[Toned]:
    """The concepts that move the target, spurious ones first; a value that mirrors another is said with it."""
    moving = without_mirrors([concept for concept in summary.concepts if concept.over_all.significant])
    moving.sort(key=lambda pair: KINDS.index(kind_of(pair[0])))
    sentences = []
    for concept, mirror in moving[:MOST_TOLD]:
        called = f" is {concept.verdict.value}: it" if concept.verdict in TONES else ""
        text = f"{wording.capital(_subject(concept))}{called} {effect_sentence(concept, summary)}"
        if mirror is not None:
            text += f"; {_subject(mirror)} {verb_of(mirror.over_all.score.value)} it as much"
        text += f"; {concept.reason}" if concept.verdict is Verdict.RELEVANT and concept.reason else ""
        sentences.append((tone_of(concept), f"{text}."))
    left = [_with_interval(concept) for concept, _ in moving[MOST_TOLD:]]
    return [*sentences, *([("found", f"So do {wording.listed(left)}.")] if left else [])]


def _subject(concept: ConceptEffect) -> str:
    """A concept as the subject of a sentence: "being large"."""
    return f"being {concept.text}" if concept.verdict is Verdict.APPEARANCE else wording.named(concept)


def _itself(summary: Summary) -> list[Toned]:
    """Whether the object itself matters; that it was not tested, where it was not."""
    if summary.effects is None or summary.target.class_name is None:
        return []
    ranking = summary.effects.rankings[0]
    itself = ranking.itself
    if itself is None:
        return [] if _is_a_concept(summary) else [("plain", _NOT_ITSELF.format(wording.object_name(summary)))]
    tone = "core" if itself.helps else "plain"
    sentences = [(tone, itself_sentence(summary, itself))]
    recognised = recognised_sentence(summary, ranking)
    return sentences if recognised is None else [*sentences, ("plain", recognised)]


def _is_a_concept(summary: Summary) -> bool:
    """Whether the object is one of the concepts, as it was once."""
    name = wording.object_name(summary)
    return any(concept.text.partition(" ")[2] == name for concept in summary.concepts)


def _how_many(summary: Summary) -> str:
    """How many concepts have an effect, have none, are undecided, and were not tested."""
    concepts = summary.concepts
    untested = 0 if summary.effects is None else len(summary.effects.rankings[0].untested)
    if not concepts:
        more = f" {untested} {'was' if untested == 1 else 'were'} proposed." if untested else ""
        return untested_reason(summary) + more
    significant = sum(concept.over_all.significant for concept in concepts)
    none = sum(concept.verdict is Verdict.NO_EFFECT for concept in concepts)
    undecided = len(concepts) - significant - none
    text = (
        f"{significant} of {len(concepts)} concepts {'has' if significant == 1 else 'have'} an effect"
        f"{wording.beyond(summary)} once all of them are allowed for"
    )
    parts = []
    if not wording.by_inpainting(summary) and wording.judged(summary):
        parts.append(f"{none} surely {'has' if none == 1 else 'have'} none")
    if not wording.by_inpainting(summary) and (wording.judged(summary) or not wording.of_class(summary)):
        parts.append(f"{undecided} {'is' if undecided == 1 else 'are'} undecided")
    if untested or parts:
        parts.append(f"{untested} {'was' if untested == 1 else 'were'} not tested")
    return f"{text}; {', '.join(parts)}." if parts else f"{text}."


def _absent(summary: Summary) -> list[Toned]:
    """How often the object cannot be seen, and how well that is seen."""
    name, absence = wording.object_name(summary), summary.object_absence
    if name is None or absence is None:
        return []
    share = absence.share
    if share is None:
        reason = absence.reason or "it was not measured"
        return [("plain", f"How often the {name} itself is absent is not known: {reason.rstrip('.')}.")]
    how_well = _how_well(absence)
    missing = round(share.value * share.n)
    if missing == 0:
        return [("plain", f"The {name} can be seen in all {share.n} activating pictures {how_well}.")]
    where = f"any of the {share.n}" if missing == share.n else wording.count(share)
    return [("absent", f"The {name} cannot be seen in {where} activating pictures {how_well}.")]


def _how_well(absence: ObjectAbsence) -> str:
    sensitivity, specificity = absence.sensitivity, absence.specificity
    if sensitivity is None or specificity is None:
        return "(how well that is seen was not measured)"
    wrongly = specificity.n - round(specificity.value * specificity.n)
    text = (
        f"(CLIP finds it in {wording.count(sensitivity)} of the prior\N{RIGHT SINGLE QUOTATION MARK}s own pictures of "
        f"it, and wrongly in {wrongly} of {specificity.n} others"
    )
    return f"{text}: not well enough to rely on)" if not is_seen_well(absence) else f"{text})"


def is_seen_well(absence: ObjectAbsence) -> bool:
    """Whether it can be relied on where the object is seen."""
    known = (absence.sensitivity, absence.specificity)
    return all(share is not None and share.low >= SEEN_WELL for share in known)


def _with_interval(concept: ConceptEffect) -> str:
    score = concept.over_all.score
    return f"{wording.named(concept)} ({wording.signed(score.value)}, {wording.interval(score)})"


def prior_sentence(summary: Summary) -> str | None:
    """What the prior draws where nothing steers it towards the target; None where that was not measured."""
    neutral = next((row for row in summary.baselines if row.name == "neutral"), None)
    if neutral is None:
        return None
    prompt, how_many = wording.quoted(neutral.text), wording.count(neutral.share)
    return f"Of the prior by itself, under {prompt}, {how_many} pictures activate the target."


def control_sentence(summary: Summary) -> str | None:
    """What a classifier that has learned nothing makes of the same pictures and edits; None where none was asked."""
    control, ranking = summary.control, _control(summary)
    clauses = []
    if control is not None:
        text = f"is activated by {wording.count(control.activation[0].share)} pictures of the found prompt"
        neutral = next((row for row in control.activation if row.name == "neutral"), None)
        clauses.append(text + (f", by {wording.count(neutral.share)} of the neutral one," if neutral else ""))
    if ranking is not None and ranking.concepts:
        moving = [wording.named(concept) for concept in ranking.ranked if concept.over_all.significant]
        none = f"answers to none of the {len(ranking.concepts)} concepts tested"
        clauses.append(f"answers to {wording.listed(moving)}, too" if moving else none)
    if not clauses:
        return None
    kind = _CONTROLS["random_weights"] if control is None else _CONTROLS.get(control.kind, control.kind)
    sentence = f"The control, {kind}, {' and '.join(clauses).rstrip(',')}"
    if ranking is None or not any(concept.over_all.significant for concept in ranking.concepts):
        return f"{sentence}."
    return f"{sentence}: what is said of that may come from the prior's pictures, not from what was learned."


def moving_both(summary: Summary) -> list[tuple[ConceptEffect, ConceptEffect]]:
    """The concepts that move the control, the largest effect on it first: as they are on the classifier, and on it."""
    ranking = _control(summary)
    own = {concept.path: concept for concept in summary.concepts}
    idle = () if ranking is None else ranking.ranked
    return [(own[one.path], one) for one in idle if one.over_all.significant and one.path in own]


def _control(summary: Summary) -> Ranking | None:
    return None if summary.effects is None else summary.effects.control
