"""What the images show by themselves: under a neutral prompt, and to a classifier that has learned nothing."""

from __future__ import annotations

from dataclasses import dataclass

from diffexplain.effects.results import Ranking
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
class ConceptRow:
    """A concept that moves the control: its effect on the explained classifier, and on the control."""

    name: str
    effect: str
    verdict: str
    control: str


def prior_sentence(summary: Summary) -> str | None:
    """What the prior draws where nothing steers it towards the target; None where that was not measured."""
    neutral = next((row for row in summary.baselines if row.name == "neutral"), None)
    if neutral is None:
        return None
    prompt, how_many = wording.quoted(neutral.text), wording.count(neutral.share)
    return f"Of the prior by itself, under {prompt}, {how_many} pictures activate the target."


def control_sentence(summary: Summary) -> str | None:
    """What a classifier that has learned nothing makes of the same pictures and edits; None where none was asked."""
    control, ranking = summary.control, _ranking(summary)
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
    kind = NAMES["random_weights"] if control is None else NAMES.get(control.kind, control.kind)
    sentence = f"The control, {kind}, {' and '.join(clauses).rstrip(',')}"
    if ranking is None or not any(concept.over_all.significant for concept in ranking.concepts):
        return f"{sentence}."
    return f"{sentence}: what is said of that may come from the prior's pictures, not from what was learned."


def concept_rows(summary: Summary) -> tuple[ConceptRow, ...]:
    """The concepts that move the control, the largest effect on it first."""
    ranking = _ranking(summary)
    if ranking is None:
        return ()
    own = {concept.path: concept for concept in summary.concepts}
    return tuple(
        ConceptRow(
            idle.text,
            wording.effect(own[idle.path].over_all.score),
            own[idle.path].verdict.value,
            wording.effect(idle.over_all.score),
        )
        for idle in ranking.ranked
        if idle.over_all.significant and idle.path in own
    )


def _ranking(summary: Summary) -> Ranking | None:
    return None if summary.effects is None else summary.effects.control


def prompt_rows(summary: Summary, control: Control) -> tuple[PromptRow, ...]:
    """The prompts that both classifiers read, the found one first."""
    pairs = zip(summary.activation, control.activation, strict=True)
    return tuple(_prompt_row(mine, idle) for mine, idle in pairs)


def _prompt_row(mine: Activation, idle: Activation) -> PromptRow:
    return PromptRow(mine.name, mine.text or "", wording.count(mine.share), wording.count(idle.share))
