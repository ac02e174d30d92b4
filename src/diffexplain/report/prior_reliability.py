"""What the images show by themselves: under a neutral prompt, and to a classifier that has learned nothing."""

from __future__ import annotations

from diffexplain.effects.results import ConceptEffect, Ranking
from diffexplain.report import wording
from diffexplain.report.summary import Summary

NAMES = {"random_weights": "the same network with random weights"}


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


def moving_both(summary: Summary) -> list[tuple[ConceptEffect, ConceptEffect]]:
    """The concepts that move the control, the largest effect on it first: as they are on the classifier, and on it."""
    ranking = _ranking(summary)
    own = {concept.path: concept for concept in summary.concepts}
    idle = () if ranking is None else ranking.ranked
    return [(own[one.path], one) for one in idle if one.over_all.significant and one.path in own]


def _ranking(summary: Summary) -> Ranking | None:
    return None if summary.effects is None else summary.effects.control
