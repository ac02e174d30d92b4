"""The numbers in words: a fixed template for every sentence, so that nothing unmeasured is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from diffexplain.concepts.concept import WORDS
from diffexplain.effects.results import ConceptEffect
from diffexplain.evaluation.results import Comparison
from diffexplain.report.older import BEFORE, INPAINTING
from diffexplain.report.summary import Summary
from diffexplain.statistics.estimates import Estimate, SameAnswer

MINUS = "\N{MINUS SIGN}"
DEFAULT_MARGIN = 0.02
PROMPTS = {
    "found prompt": "The found prompt",
    "found images": "The optimised pictures",
    "best phrase": "The best phrase",
    "class name": "The class by its name",
    "neutral": "A neutral prompt",
    "random words": "Random words",
    "given text": "A text of yours",
    "captions": "Captions of its pictures",
}
"""What the page calls the prompts that are compared."""
_BEFORE_A_PLACE = re.compile(
    r"(?:above|against|among|at|before|behind|below|beside|between|by|during|from|in|inside|near|of|on|outside|over|"
    r"through|under|with|without)\s+",
    re.IGNORECASE,
)


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


def changed(estimate: Estimate, digits: int = 2) -> str:
    """An effect by its direction, with its interval: ``+0.67 (0.60 to 0.73)``."""
    return f"{signed(estimate.value, digits)} ({interval(estimate, digits)})"


def stated(estimate: Estimate, digits: int = 2) -> str:
    """As `changed`, where nothing else says what the interval is: ``+0.67 (95% interval 0.60 to 0.73)``."""
    return f"{signed(estimate.value, digits)} (95% interval {interval(estimate, digits)})"


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
    if summary.target.kind == "class":
        return "probability of the class"
    scaled = _unit_margin(summary) is not None
    return f"activation of the unit{', in standard deviations from its mean on neutral pictures' if scaled else ''}"


def by_inpainting(summary: Summary) -> bool:
    """Whether concepts were taken out of pictures by inpainting, an earlier way of testing."""
    return summary.effects is not None and summary.effects.budget.policy == INPAINTING


def of_words(summary: Summary) -> bool:
    """Whether words of a prompt were tested, of which nobody has said what they name."""
    return any(concept.kind in WORDS for concept in summary.concepts)


def of_class(summary: Summary) -> bool:
    """Whether effects are on the probability of the class; those of a unit are on its activation."""
    return summary.target.kind == "class" or by_inpainting(summary)


def effect_score(summary: Summary) -> str:
    """What an effect moves, as a noun."""
    return "probability of the class" if of_class(summary) else "activation of the unit"


def margin(summary: Summary) -> float:
    """The effect up to which a concept is not relevant, from the run's settings; of a unit in earlier summaries 0."""
    if not of_class(summary):
        return _unit_margin(summary) or 0.0
    return _setting(summary, "margin", DEFAULT_MARGIN)


def equivalence(summary: Summary) -> float:
    """Where the whole interval lies within ± this, a concept has no effect; in earlier summaries the margin."""
    return _setting(summary, "equivalence", margin(summary)) if of_class(summary) else margin(summary)


def _unit_margin(summary: Summary) -> float | None:
    """None in summaries of before units were counted in standard deviations."""
    value = (summary.settings.get("effects") or {}).get("unit_margin")
    return float(value) if isinstance(value, int | float) else None


def _setting(summary: Summary, name: str, default: float) -> float:
    for group in ("effects", "explainer", "evaluation"):  # schema 3 had them with the explainer or the evaluation
        settings = summary.settings.get(group)
        value = settings.get(name) if isinstance(settings, Mapping) else None
        if isinstance(value, int | float):
            return float(value)
    return default


def beyond(summary: Summary) -> str:
    """The margin that an effect lies beyond: `` beyond ±0.02``; empty where it is 0."""
    value = margin(summary)
    return f" beyond \N{PLUS-MINUS SIGN}{value:g}" if value else ""


def before_verdicts(summary: Summary) -> bool:
    """Whether effects were measured when none had a verdict yet."""
    return any(concept.reason == BEFORE for concept in summary.concepts)


def judged(summary: Summary) -> bool:
    """Whether concepts were told apart as core and spurious, so that "none" can be said of either."""
    has_object = of_class(summary) and summary.target.class_name is not None
    return bool(summary.concepts) and has_object and not before_verdicts(summary)


def named(concept: ConceptEffect) -> str:
    """A concept as the subject of a sentence: a word, or what says how or where ("in the snow"), in quotation marks."""
    said = concept.kind in WORDS or _BEFORE_A_PLACE.match(concept.text)
    return quoted(concept.text) if said else concept.text


def bare(concept: ConceptEffect) -> str:
    """A concept's text without an article in front; of a setting without "in the", too."""
    text = _BEFORE_A_PLACE.sub("", concept.text, count=1) if concept.kind == "setting" else concept.text
    return re.sub(r"^(?:an?|the)\s+", "", text, flags=re.IGNORECASE)


def speaks_of(text: str, words: str) -> bool:
    """Whether ``text`` has ``words`` in it, as whole words."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def interval_by(estimate: Estimate) -> str:
    """The interval of how far something is raised or lowered, whose sign the verb says."""
    low, high = (estimate.low, estimate.high) if estimate.value >= 0 else (-estimate.high, -estimate.low)
    return f"95% interval {number(low)} to {number(high)}"


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


def comparison(one: Comparison) -> str:
    """How one prompt does beside another: ``+0.34 (+0.24 to +0.43) beside the class name, p <0.001``."""
    difference, p = one.difference, p_value(one.p)
    ends = f"{signed(difference.low)} to {signed(difference.high)}"
    return f"{signed(difference.value)} ({ends}) beside the {one.than}, p {p if p.startswith('<') else f'= {p}'}"
