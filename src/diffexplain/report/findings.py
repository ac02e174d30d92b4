"""What the page says first: the headline, the findings below it, and the facts; nothing unmeasured is said."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.effects.results import Combination, ConceptEffect, Path, Verdict
from diffexplain.evaluation.results import ObjectAbsence
from diffexplain.report import confirmation, wording
from diffexplain.report.comparison import differing
from diffexplain.report.effect_tree import (
    TONES,
    effect_sentence,
    itself_sentence,
    moves,
    recognised_sentence,
    score_noun,
    tone_of,
    verb_of,
)
from diffexplain.report.summary import Summary
from diffexplain.statistics.estimates import Estimate

Toned = tuple[str, str]
QUICK = " (quick settings: too few pictures to rely on)"
MOST_TOLD = 4
"""Concepts, or groups of them, of one kind that the findings name."""
SEEN_WELL = 0.8
"""Lower end of the sensitivity and of the specificity from which on it can be relied on where an object is seen."""
_EQUAL = 1e-9


def headline(summary: Summary) -> list[Toned]:
    """The first thing to know, as pieces of one sentence, each with its tone."""
    if summary.same_answer is not None:
        return [(wording.same_answer(summary, summary.same_answer), "plain")]
    if summary.activation and (summary.found.share.n or not summary.concepts):
        pieces = _of_activation(summary)
    else:
        pieces = _of_the_largest(summary)
    quick = summary.settings.get("effects") or {}
    return [*pieces, (f"{QUICK if quick.get('name') == 'quick' else ''}.", "plain")]


def _of_activation(summary: Summary) -> list[Toned]:
    share, name, classifier = summary.found.share, wording.target_name(summary), summary.classifier.name
    is_class = summary.target.kind == "class"
    if share.n == 0:
        return [(f"No picture was made for {name}, so nothing is known about it", "plain")]
    if share.value == 0:
        never = f"{classifier} never says {name} in {share.n} pictures made for it"
        silent = f"{wording.capital(name)} of {classifier} is activated by none of {share.n} pictures made for it"
        first = never if is_class else silent
    else:
        says = f"{classifier} says {name} in {wording.count(share)} pictures"
        active = f"{wording.capital(name)} of {classifier} is activated by {wording.count(share)} pictures"
        first = says if is_class else active
    return [(f"{first}; ", "plain"), *_what_counts(summary)] if summary.concepts else [(first, "plain")]


def _what_counts(summary: Summary) -> list[Toned]:
    """The concepts that a reader has to know of, as the second half of the headline."""
    raising = [concept for concept in summary.having(Verdict.SPURIOUS) if concept.over_all.score.value > 0]
    if raising:
        names = [wording.named(concept) for concept in raising]
        shown = names if len(names) < 3 else [names[0], f"{len(names) - 1} others"]
        return [(wording.listed(shown), "spurious"), (f" {'is' if len(names) == 1 else 'are'} spurious", "plain")]
    first = largest(summary)
    if first is None:
        return [(_none_moves(summary, "it"), "plain")]
    name, by = wording.named(first), wording.number(abs(first.over_all.score.value))
    verb = verb_of(first.over_all.score.value)
    if first.verdict is Verdict.SPURIOUS:
        return [(name, "spurious"), (f", which {verb} it by {by}, is spurious", "plain")]
    if first.verdict is Verdict.CORE:
        part = "which the class is named after" if first.kind == "setting" else "part of the object"
        return [(name, "core"), (f", {part}, {verb} it by {by}", "plain")]
    if first.verdict is Verdict.APPEARANCE and len(first.path) > 1:
        return [(f"its {_group(first.path[:-1])} matters most: {name} {verb} it by {by}", "plain")]
    return [(f"{name} {verb} it by {by}", "plain")]


def _of_the_largest(summary: Summary) -> list[Toned]:
    """The largest effect, where nothing else was measured."""
    first, what = largest(summary), f"the {score_noun(summary)} of {summary.classifier.name}"
    if first is None:
        return [(wording.capital(_none_moves(summary, what)), "plain")]
    kinds = {
        Verdict.SPURIOUS: ", and is no part of the object",
        Verdict.CORE: ", and is part of the object",
        Verdict.APPEARANCE: ", and is a look of the object",
    }
    kind = kinds.get(first.verdict, "") if first.kind != "setting" else ""
    by = wording.number(abs(first.over_all.score.value))
    return [
        (wording.capital(wording.named(first)), tone_of(first)),
        (f" {verb_of(first.over_all.score.value)} {what} by {by}{kind}", "plain"),
    ]


def _none_moves(summary: Summary, what: str) -> str:
    tested = len(summary.concepts)
    if not tested:
        return "no concept was tested"
    if tested == 1:
        return f"the one concept tested does not move {what} beyond doubt"
    return f"none of the {tested} concepts tested moves {what} beyond doubt"


def largest(summary: Summary) -> ConceptEffect | None:
    """The concept with the largest effect; of two that mirror each other, the one that raises."""

    def size(concept: ConceptEffect) -> tuple[float, bool]:
        value = concept.over_all.score.value
        return round(abs(value), 9), value > 0

    return max((concept for concept in summary.concepts if concept.over_all.significant), key=size, default=None)


def findings(summary: Summary) -> list[Toned]:
    """The sentences under the headline, each with its tone: spurious, core, found, absent or plain."""
    if summary.same_answer is not None:
        return [("plain", wording.NOTHING_TOLD)]
    sentences: list[Toned] = []
    if summary.activation and round(summary.found.share.value * summary.found.share.n) == 0:
        nothing = "The search found nothing that activates the target: more steps or another seed may help."
        sentences.append(("plain", nothing))
    if summary.concepts:
        sentences += [*_spurious(summary), *_core(summary), *_appearance(summary), *_others(summary)]
    sentences += [*_itself(summary), ("plain", _how_many(summary)), *_absent(summary)]
    effects = summary.effects
    if effects is None:
        return sentences
    if effects.confirmation is not None:
        sentences += confirmation.sentences(summary, effects.rankings[0], effects.confirmation)[:MOST_TOLD]
    best = effects.rankings[0].best
    if best is not None and len(best.paths) > 1:
        gain = f"{wording.signed(best.gain.value)} (95% interval {wording.interval(best.gain)})"
        sentences.append(("plain", f"Best together: {together(best)}, {gain}."))
    return [*sentences, *(("plain", pair.sentence) for pair in differing(effects))]


def together(combination: Combination) -> str:
    """The concepts of a combination by name: "flag and snow"."""
    return wording.listed([path[-1] for path in combination.paths])


def untested_reason(summary: Summary) -> str:
    """Why no concept was tested."""
    target = summary.target
    if target.class_name is not None:
        return "No concept was tested."
    remedy = f"; target={target.text}@<class> names one" if target.class_index is None else ""
    return f"No concept was tested: {target.no_object}{remedy}."


def _spurious(summary: Summary) -> list[Toned]:
    """Those that raise, then those that lower; a value that mirrors another is said with it."""
    found = summary.having(Verdict.SPURIOUS)
    raising = [concept for concept in found if concept.over_all.score.value > 0]
    mirrors = [_mirror(concept, found) for concept in raising]
    lowering = [concept for concept in found if concept not in raising and concept not in mirrors]
    return [*_told(summary, raising, found), *_told(summary, lowering, ())]


def _core(summary: Summary) -> list[Toned]:
    return _told(summary, summary.having(Verdict.CORE), ())


def _told(summary: Summary, concepts: Sequence[ConceptEffect], beside: Sequence[ConceptEffect]) -> list[Toned]:
    """That these have one verdict: the first with its effect, the others by name."""
    if not concepts:
        return []
    first, *others = concepts
    name, verdict = wording.capital(wording.named(first)), first.verdict.value
    text = f"{name} is {verdict}: it {effect_sentence(first, summary)}"
    mirror = _mirror(first, beside)
    text += "." if mirror is None else f"; {wording.named(mirror)} {verb_of(mirror.over_all.score.value)} it as much."
    if others:
        shown = [f"{wording.named(one)} ({wording.signed(one.over_all.score.value)})" for one in others[:MOST_TOLD]]
        left = len(others) - len(shown)
        text += f" So {'is' if len(others) == 1 else 'are'} {wording.listed(shown)}"
        text += f", and {left} more." if left else "."
    return [(TONES[first.verdict], text)]


def _appearance(summary: Summary) -> list[Toned]:
    """For each group of looks, such as the colours, what its values do."""
    groups: dict[Path, list[ConceptEffect]] = {}
    for concept in summary.having(Verdict.APPEARANCE):
        groups.setdefault(concept.path[:-1], []).append(concept)
    sentences = []
    for path, members in list(groups.items())[:MOST_TOLD]:
        first, *others = sorted(members, key=lambda one: (-round(abs(one.over_all.score.value), 9), -_value(one)))
        label = f"Appearance ({_group(path)})" if path else "Appearance"
        noun, mirror = score_noun(summary), _mirror(first, others)
        if mirror is not None and len(others) == 1:
            score = first.over_all.score
            said = f"{wording.named(first)} {verb_of(_value(first))} the {noun} and {wording.named(mirror)} "
            said += f"{verb_of(_value(mirror))} it by {wording.number(abs(score.value))} ({wording.interval_by(score)})"
        else:
            parts = [f"{wording.named(first)} {moves(first, f'the {noun}')}"]
            parts += [f"{wording.named(one)} {moves(one, 'it')}" for one in others[: MOST_TOLD - 1]]
            said = ", ".join(parts)
        sentences.append(("found", f"{label}: {said}."))
    left = len(groups) - len(sentences)
    return [*sentences, *_left(left, "group of looks has an effect", "groups of looks have an effect")]


def _others(summary: Summary) -> list[Toned]:
    """Those that move the target, and no more can be said of where they lie."""
    told = (Verdict.SPURIOUS, Verdict.CORE, Verdict.APPEARANCE)
    all_others = [one for one in summary.concepts if one.over_all.significant and one.verdict not in told]
    kept: list[ConceptEffect] = []
    for concept in all_others:
        if _mirror(concept, kept) is None:
            kept.append(concept)
    sentences = []
    for concept in kept[:MOST_TOLD]:
        name, mirror = wording.capital(wording.named(concept)), _mirror(concept, all_others)
        text = f"{name} {effect_sentence(concept, summary)}"
        if mirror is not None:
            text += f", and {wording.named(mirror)} {verb_of(_value(mirror))} it as much"
        text += f"; {concept.reason}" if concept.verdict is Verdict.RELEVANT and concept.reason else ""
        sentences.append(("found", f"{text}."))
    left = len(kept) - len(sentences)
    return [*sentences, *_left(left, "concept has an effect", "concepts have an effect")]


def _left(count: int, one: str, many: str) -> list[Toned]:
    """That the page names more below."""
    return [("plain", f"{count} more {one if count == 1 else many}, in the tree below.")] if count else []


def _itself(summary: Summary) -> list[Toned]:
    """Whether the object itself matters; that it was not tested, where it was not."""
    if summary.effects is None or summary.target.class_name is None:
        return []
    itself = summary.effects.rankings[0].itself
    if itself is None:
        name = wording.object_name(summary)
        if any(concept.text.partition(" ")[2] == name for concept in summary.concepts):
            return []
        return [("plain", f"Whether the {name} itself matters was not tested.")]
    tone = "core" if itself.helps else "plain"
    sentences = [(tone, itself_sentence(summary, itself))]
    recognised = recognised_sentence(summary, itself)
    return sentences if recognised is None else [*sentences, ("plain", recognised)]


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


def _mirror(concept: ConceptEffect, among: Sequence[ConceptEffect]) -> ConceptEffect | None:
    """The other value of the same group with the same effect the other way: of two, each is the lack of the other."""
    return next(
        (
            other
            for other in among
            if other.path[:-1] == concept.path[:-1]
            and other.path != concept.path
            and abs(_value(other) + _value(concept)) < _EQUAL
        ),
        None,
    )


def _value(concept: ConceptEffect) -> float:
    return concept.over_all.score.value


def _group(path: Path) -> str:
    return path[-1].replace("_", " ")


def facts(summary: Summary) -> list[dict[str, str]]:
    """At most four numbers to stand below the findings."""
    if summary.same_answer is not None:
        return []
    activation = [] if not summary.activation else [_activation(summary.found.share)]
    if not summary.concepts:
        return [*activation, *_absence_fact(summary)]
    if activation:
        return [*activation, *_spurious_fact(summary), *_itself_fact(summary), *_absence_fact(summary)]
    first, best = summary.concepts[0], summary.effects.rankings[0].best if summary.effects else None
    checked = [concept.took for concept in summary.concepts if concept.took is not None]
    significant = sum(concept.over_all.significant for concept in summary.concepts)
    took, n = sum(round(share.value * share.n) for share in checked), sum(share.n for share in checked)
    return [
        _fact("Largest effect", first.path[-1], tone_of(first), wording.signed(first.over_all.score.value)),
        _fact("Concepts with an effect", f"{significant} of {len(summary.concepts)}"),
        *([] if best is None else [_fact("Best together", together(best), more=wording.signed(best.gain.value))]),
        _fact("Edits that took", wording.percent(took / n) if n else "not checked", more=f"{took} of {n}" if n else ""),
    ]


def _activation(share: Estimate) -> dict[str, str]:
    between = f"interval {wording.percent(share.low)} to {wording.percent(share.high)}"
    return _fact("Pictures that activate it", wording.count(share), more=between)


def _spurious_fact(summary: Summary) -> list[dict[str, str]]:
    if not wording.judged(summary):
        first = summary.concepts[0]
        return [_fact("Largest effect", first.text, tone_of(first), _with_interval(first.over_all.score))]
    first_spurious = summary.leading(Verdict.SPURIOUS)
    if first_spurious is None:
        return [_fact("Largest spurious effect", "none found", more=f"of {len(summary.concepts)} concepts tested")]
    more = _with_interval(first_spurious.over_all.score)
    return [_fact("Largest spurious effect", first_spurious.text, "spurious", more)]


def _itself_fact(summary: Summary) -> list[dict[str, str]]:
    itself = None if summary.effects is None else summary.effects.rankings[0].itself
    if itself is None:
        return []
    if itself.effect is None:
        return [_fact("The object itself", "not tested")]
    tone = "core" if itself.helps else ""
    more = f"interval {wording.interval(itself.effect.score)}, against another object"
    return [_fact("The object itself", wording.signed(itself.effect.score.value), tone, more)]


def _absence_fact(summary: Summary) -> list[dict[str, str]]:
    absence = summary.object_absence
    if absence is None or summary.target.class_name is None:
        return []
    if absence.share is None:
        return [_fact("Object not seen", "not known", more=absence.reason or "")]
    if not is_seen_well(absence):
        measured = absence.sensitivity is not None and absence.specificity is not None
        more = "seen too badly to rely on it" if measured else "how well it is seen was not measured"
        return [_fact("Object not seen", wording.count(absence.share), more=more)]
    low, high = wording.percent(absence.share.low), wording.percent(absence.share.high)
    return [_fact("Object not seen", wording.count(absence.share), more=f"interval {low} to {high}")]


def _with_interval(score: Estimate) -> str:
    return f"{wording.signed(score.value)}, interval {wording.interval(score)}"


def _fact(label: str, value: str, tone: str = "", more: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "tone": tone, "more": more}
