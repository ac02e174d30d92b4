"""The numbers in words: a fixed template for every sentence, so that nothing unmeasured is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffexplain.effects.results import Verdict
from diffexplain.evaluation.results import Comparison, Estimate, SameAnswer
from diffexplain.report.summary import Summary

MINUS = "\N{MINUS SIGN}"
DEFAULT_MARGIN = 0.02


def number(value: float, digits: int = 2) -> str:
    """``value`` with a true minus sign and no minus zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """`number` with a plus sign where it is above zero."""
    text = number(value, digits)
    return text if text.startswith(MINUS) or float(text) == 0 else f"+{text}"


def interval(estimate: Estimate, digits: int = 2) -> str:
    """The 95 % interval of ``estimate``: ``0.60 to 0.73``."""
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def effect(estimate: Estimate) -> str:
    """An effect with its interval: ``0.67 (0.60 to 0.73)``."""
    return f"{number(estimate.value)} ({interval(estimate)})"


def percent(value: float) -> str:
    """A share as a whole percentage; never 0% or 100% unless it is exactly that."""
    if 0 < value < 0.005:
        return "<1%"
    if 0.995 <= value < 1:
        return ">99%"
    return f"{value * 100:.0f}%"


def count(share: Estimate) -> str:
    """A share as a count, ``97 of 100``, that is not broken over two lines."""
    return f"{round(share.value * share.n)} of {share.n}".replace(" ", "\N{NO-BREAK SPACE}")


def p_value(p: float) -> str:
    """``0.012``, or ``<0.001`` below that."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def capital(text: str) -> str:
    """``text`` with its first letter large."""
    return text[:1].upper() + text[1:]


def quoted(text: str | None) -> str:
    """``text`` in quotation marks."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{text}\N{RIGHT DOUBLE QUOTATION MARK}"


def target_name(summary: Summary) -> str:
    """What is explained, as a noun: the class in quotation marks, or the unit."""
    target = summary.target
    named = quoted(target.class_name or target.class_key)
    return named if target.kind == "class" else f"unit {target.channel} of {target.module}"


def object_name(summary: Summary) -> str | None:
    """The target's class as an English noun, or None if there is none or its name is no word."""
    name = summary.target.class_name
    return None if name is None else name.replace("_", " ")


def score_name(summary: Summary) -> str:
    """What the score of one picture is."""
    return "probability of the class" if summary.target.kind == "class" else "activation of the unit"


def margin(summary: Summary) -> float:
    """The effect up to which an element or a concept counts as not relevant, from the run's settings."""
    if summary.effects is not None and summary.target.kind == "unit":
        return 0.0
    engine = summary.settings.get("effects", summary.settings.get("explainer"))  # schema 3 had it with the explainer
    evaluation = summary.settings.get("evaluation") if summary.effects is None else engine
    value = evaluation.get("margin") if isinstance(evaluation, Mapping) else None
    return float(value) if isinstance(value, int | float) else DEFAULT_MARGIN


def headline(summary: Summary) -> list[tuple[str, str]]:
    """The first thing to know, as pieces of one sentence, each with its tone."""
    if summary.same_answer is not None:
        return [(same_answer(summary, summary.same_answer), "plain")]
    share, name, classifier = summary.found.share, target_name(summary), summary.classifier.name
    is_class = summary.target.kind == "class"
    if share.n == 0:
        return [(f"No picture was made for {name}, so nothing is known about it.", "plain")]
    if share.value == 0:
        never = f"{classifier} never says {name} in {share.n} pictures made for it."
        silent = f"{capital(name)} of {classifier} is activated by none of {share.n} pictures made for it."
        return [(never if is_class else silent, "plain")]
    says = f"{classifier} says {name} in {count(share)} pictures"
    active = f"{capital(name)} of {classifier} is activated by {count(share)} pictures"
    first = says if is_class else active
    spurious = [element.phrase for element in summary.having(Verdict.SPURIOUS)]
    if spurious:
        named = spurious if len(spurious) < 3 else [spurious[0], f"{len(spurious) - 1} other elements"]
        verb = " is spurious." if len(spurious) == 1 else " are spurious."
        return [(f"{first}; ", "plain"), (listed(named), "spurious"), (verb, "plain")]
    tested = sum(element.removal is not None for element in summary.elements)
    if not tested or summary.target.class_name is None:
        return [(f"{first}.", "plain")]
    untold = _untold(summary)
    if untold:  # What could not be tested was not found to be harmless.
        among = f"among the {tested} elements" if tested > 1 else "of the one element"
        return [(f"{first}; nothing spurious {among} that could be tested, and {untold} could not.", "plain")]
    return [(f"{first}; nothing spurious was found.", "plain")]


_OUTPUTS = {
    "softmax": "the logits of classes that exclude each other (softmax)",
    "sigmoid": "the logits of classes of which each may be there or not (sigmoid)",
    "probabilities": "probabilities",
}
_TAKEN = {
    "asked for": "as classifier.output says",
    "stated by its source": "as the model\N{RIGHT SINGLE QUOTATION MARK}s own files say",
    "found": "as its values for the built-in pictures show",
    "usual": "as is usual, since nothing says otherwise",
}


def output(summary: Summary) -> str:
    """What the classifier's output was taken for, and why; empty in a summary of before that was said."""
    facts = summary.classifier.facts
    kind = str(facts.get("output"))
    if kind not in _OUTPUTS:
        return ""
    text = f"What {summary.classifier.name} gives was taken for {_OUTPUTS[kind]}"
    if kind == "probabilities":
        alone = "that exclude each other" if _exclusive(summary) else "of which each may be there or not"
        text += f" of classes {alone}"
    text += f", {_TAKEN.get(str(facts.get('output_taken_as')), 'as the run says')}."
    return f"{text} {facts['output_note']}" if "output_note" in facts else text


def activates(summary: Summary) -> str:
    """When a picture activates the target."""
    if summary.target.kind == "class":
        if _exclusive(summary):
            return f"Of all classes, the classifier finds {target_name(summary)} the likeliest."
        return f"The classifier gives {target_name(summary)} a probability above one half."
    above = "" if summary.unit_threshold is None else f"{number(summary.unit_threshold)}, "
    return f"The unit lies above {above}the 99th percentile of its activation on pictures of a neutral prompt."


def _exclusive(summary: Summary) -> bool:
    return bool(summary.classifier.facts.get("classes_exclude_each_other", True))


def same_answer(summary: Summary, same: SameAnswer) -> str:
    """That the classifier answered all pictures alike."""
    return (
        f"{summary.classifier.name} gives all {same.pictures} pictures the same answer, a {score_name(summary)} of "
        f"{number(same.score, 3)}, so nothing can be told about {target_name(summary)}."
    )


NOTHING_TOLD = (
    "Whatever the pictures show, the answer stays the same: no verdict and no effect follows from that. Are these the "
    "trained weights, is the preprocessing the one of the training, and does classifier.output say what comes out?"
)
"""The finding where the classifier answers all pictures alike."""


def findings(summary: Summary) -> list[tuple[str, str]]:
    """The sentences under the headline, each with its tone: spurious, core, absent or plain."""
    if summary.same_answer is not None:
        return [("plain", NOTHING_TOLD)]
    if summary.found.share.value == 0 or summary.found.share.n == 0:
        nothing = "The search found nothing that activates the target, so no element was tested: "
        return [
            (
                "plain",
                nothing + "nothing can be called core or spurious. More steps or another seed may help.",
            )
        ]
    sentences = [*_spurious(summary), *_core(summary), *_absent(summary)]
    undecided = _untold(summary)
    if summary.target.class_index is not None and summary.target.class_name is None:
        sentences.append(("plain", f"{capital(summary.target.no_object)}."))
    elif summary.target.class_name is None:
        remedy = f"target={summary.target.text}@<class> names one"
        none = "No class was named beside this unit, so no element is called core or spurious"
        sentences.append(("plain", f"{none}; {remedy}."))
    elif undecided:
        subject = "1 element was" if undecided == 1 else f"{undecided} elements were"
        sentences.append(("plain", f"{subject} seen but could not be tested."))
    return sentences


def effect_sentence(element: Any, summary: Summary) -> str:
    """What taking ``element`` out does to the class probability, with its interval."""
    if element.removal is None:
        return element.reason or "it was not tested"
    drop = element.removal.drop
    lowers = "lowers" if drop.value >= 0 else "raises"
    low, high = (drop.low, drop.high) if drop.value >= 0 else (-drop.high, -drop.low)
    name = quoted(summary.target.class_name)
    done = f"another {element.of} in its place" if element.kind == "description" else "taking it out"
    return (
        f"{done} {lowers} the probability of {name} by {number(abs(drop.value))} "
        f"(95% interval {number(low)} to {number(high)})"
    )


def comparison(one: Comparison) -> str:
    """How one prompt does beside another: ``+0.34 (+0.24 to +0.43) beside the class name, p <0.001``."""
    difference = one.difference
    ends = f"{signed(difference.low)} to {signed(difference.high)}"
    p = p_value(one.p)
    return f"{signed(difference.value)} ({ends}) beside the {one.than}, p {p if p.startswith('<') else f'= {p}'}"


def _spurious(summary: Summary) -> list[tuple[str, str]]:
    if summary.target.class_name is None:
        return []
    spurious = summary.having(Verdict.SPURIOUS)
    if not spurious:
        return [("plain", f"Nothing of the vocabulary was found to be spurious ({_tested(summary)}).")]
    first, *others = spurious
    text = f"{capital(first.phrase)} is spurious: {effect_sentence(first, summary)}."
    if others:
        verb = "is" if len(others) == 1 else "are"
        text += f" So {verb} {listed([element.phrase for element in others[:4]])}"
        text += f", and {len(others) - 4} more." if len(others) > 4 else "."
    return [("spurious", text)]


def _core(summary: Summary) -> list[tuple[str, str]]:
    if summary.target.class_name is None:
        return []
    core = summary.having(Verdict.CORE)
    if not core:
        name = str(object_name(summary))
        own = [element for element in summary.elements if element.phrase.partition(" ")[2] == name]
        if not any(element.removal is not None for element in own):
            reason = next((f": {element.reason}" for element in own if element.reason), "")
            return [("plain", f"Whether the {name} itself matters was not tested{reason}.")]
        return [("plain", f"Nothing that is part of the {name} itself was found to matter.")]
    first, *others = core
    text = f"{capital(first.phrase)} is core: {effect_sentence(first, summary)}."
    if others:
        verb = "is" if len(others) == 1 else "are"
        text += f" So {verb} {listed([element.phrase for element in others])}."
    return [("core", text)]


def _absent(summary: Summary) -> list[tuple[str, str]]:
    name = object_name(summary)
    absence = summary.object_absence
    if name is None or absence is None:
        return []
    share = absence.share
    if share is None:
        reason = absence.reason or "it was not measured"
        return [("plain", f"How often the {name} itself is absent is not known: {reason.rstrip('.')}.")]
    if round(share.value * share.n) == 0:
        return [("plain", f"The {name} itself can be seen in all {share.n} activating pictures.")]
    if share.value == 1:
        return [("absent", f"The {name} itself cannot be seen in any of the {share.n} activating pictures.")]
    return [("absent", f"The {name} itself cannot be seen in {count(share)} activating pictures.")]


def _untold(summary: Summary) -> int:
    """How many elements were seen and could not be tested."""
    return sum(element.shown is not None for element in summary.having(Verdict.UNDECIDED))


def _tested(summary: Summary) -> str:
    tested = sum(element.removal is not None for element in summary.elements)
    return f"{tested} of {len(summary.elements)} elements were seen often enough to be tested"
