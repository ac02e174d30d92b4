"""What the images show by themselves: under a neutral prompt, and to a classifier that has learned nothing."""

from __future__ import annotations

from dataclasses import dataclass

from diffexplain.evaluation.results import Activation, Control
from diffexplain.report import wording
from diffexplain.report.summary import Summary

NAMES = {"random_weights": "the same network with random weights"}


@dataclass(frozen=True)
class PromptRow:
    """A prompt: how many of its pictures activate the target of the explained classifier, and of the control."""

    name: str
    text: str
    count: str
    control: str


@dataclass(frozen=True)
class ElementRow:
    """An element: the effect of taking it out on the explained classifier, and on the control."""

    phrase: str
    effect: str
    verdict: str
    control: str
    control_verdict: str


def prior_sentence(summary: Summary) -> str | None:
    """What the prior draws where nothing steers it towards the target; None where that was not measured."""
    neutral = next((row for row in summary.baselines if row.name == "neutral"), None)
    if neutral is None:
        return None
    text = f"Of the prior by itself, under {wording.quoted(neutral.text)}, {wording.count(neutral.share)} pictures "
    text += "activate the target"
    strongest = next((element for element in () if element.removal is not None), None)
    if strongest is None or strongest.shown is None or strongest.shown_neutral is None:
        return f"{text}."
    often, neutrally = wording.percent(strongest.shown.value), wording.percent(strongest.shown_neutral.value)
    return f"{text}; {strongest.phrase} is seen in {neutrally} of such pictures, and in {often} of the activating ones."


def control_sentence(summary: Summary, control: Control) -> str:
    """What the control makes of the same pictures and edits."""
    found = control.activation[0]
    name = NAMES.get(control.kind, control.kind)
    text = f"The control, {name}, is activated by {wording.count(found.share)} pictures of the found prompt"
    neutral = next((row for row in control.activation if row.name == "neutral"), None)
    text += f", by {wording.count(neutral.share)} of the neutral one," if neutral is not None else ""
    if not control.elements:
        return f"{text}; no edit could be read by it."
    relevant = [one.phrase for one in control.relevant]
    if not relevant:
        return f"{text} and answers to none of the {len(control.elements)} elements tested."
    answers = f"{text} and answers to {wording.listed(relevant)} too"
    return f"{answers}: what is said of that may come from the prior's pictures, not from what was learned."


def prompt_rows(summary: Summary, control: Control) -> tuple[PromptRow, ...]:
    """The prompts that both classifiers read, the found one first."""
    pairs = zip(summary.activation, control.activation, strict=True)
    return tuple(_prompt_row(mine, idle) for mine, idle in pairs)


def element_rows(summary: Summary, control: Control) -> tuple[ElementRow, ...]:
    """The elements that were taken out, in the order of the verdicts."""
    by_phrase = {element.phrase: element for element in ()}
    rows = []
    for idle in control.elements:
        element = by_phrase[idle.phrase]
        effect = wording.effect(element.removal.drop) if element.removal is not None else "\N{EN DASH}"
        rows.append(
            ElementRow(idle.phrase, effect, element.verdict.value, wording.effect(idle.drop), idle.verdict.value)
        )
    return tuple(rows)


def _prompt_row(mine: Activation, idle: Activation) -> PromptRow:
    return PromptRow(mine.name, mine.text or "", wording.count(mine.share), wording.count(idle.share))
