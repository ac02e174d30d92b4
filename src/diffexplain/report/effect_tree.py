"""The tree of effects as the page shows it: every concept under its categories, with a bar on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.evaluation.effect_results import ConceptEffect, Confirmation, Effect, Path, Ranking
from diffexplain.report import plots, wording
from diffexplain.report.summary import Summary


@dataclass(frozen=True)
class Node:
    """A node of the tree: a concept with its effect, or a category, which has none.

    ``weight``: the largest absolute effect of itself and all below it. ``more``: what stands in small print.
    """

    name: str
    concept: ConceptEffect | None
    tone: str
    bar: Markup | None
    number: str
    interval: str
    more: str
    children: tuple[Node, ...]
    weight: float
    unfolded: bool


def tone_of(effect: Effect) -> str:
    """Blue for what raises the score, orange for what lowers it, grey for what is not significant."""
    if not effect.significant:
        return "plain"
    return "core" if effect.score.value > 0 else "spurious"


def axis_of(rankings: Sequence[Ranking], confirmation: Confirmation | None = None) -> plots.Axis:
    """One axis for the effects and combinations of all classifiers, so that their bars can be compared."""
    estimates = [concept.over_all.score for ranking in rankings for concept in ranking.concepts]
    estimates += [combination.gain for ranking in rankings for combination in ranking.combinations]
    for one in () if confirmation is None else confirmation.concepts:
        estimates += [effect.score for effect in (one.added, one.taken_out) if effect is not None]
    return plots.axis_for([end for e in estimates for end in (e.low, e.value, e.high)])


def tree_of(ranking: Ranking, axis: plots.Axis) -> tuple[Node, ...]:
    """The concepts under their categories, on each level the largest absolute effect first."""
    by_path = {concept.path: concept for concept in ranking.concepts}

    def below(above: Path) -> tuple[Node, ...]:
        depth = len(above)
        names = dict.fromkeys(p[depth] for p in by_path if len(p) > depth and p[:depth] == above)
        nodes = [_node(name, by_path.get((*above, name)), below((*above, name)), axis) for name in names]
        return tuple(sorted(nodes, key=lambda node: -node.weight))

    return below(())


def _node(name: str, concept: ConceptEffect | None, children: tuple[Node, ...], axis: plots.Axis) -> Node:
    weight = max((child.weight for child in children), default=0.0)
    unfolded = concept is None or any(c.concept is not None and c.concept.over_all.significant for c in children)
    if concept is None:
        return Node(name, None, "plain", None, "", "", "", children, weight, unfolded)
    effect = concept.over_all
    tone, score = tone_of(effect), effect.score
    return Node(
        name=name,
        concept=concept,
        tone=tone,
        bar=plots.bar(score, axis, tone),
        number=wording.signed(score.value),
        interval=wording.interval(score),
        more=_small_print(concept),
        children=children,
        weight=max(weight, abs(score.value)),
        unfolded=unfolded,
    )


def _small_print(concept: ConceptEffect) -> str:
    effect = concept.over_all
    parts = [f"{effect.n} pairs", f"adjusted p {wording.p_value(effect.adjusted_p)}"]
    if effect.log_odds is not None:
        parts.append(f"log-odds {wording.signed(effect.log_odds.value)}")
    if concept.took is None:
        parts.append("edits not checked")
    else:
        parts.append(f"edit took in {wording.count(concept.took)}")
    if concept.over_took is not None and concept.took is not None and concept.took.value < 1:
        parts.append(f"over those {wording.signed(concept.over_took.score.value)}")
    if concept.within_noise:
        parts.append("within what editing alone does")
    return ", ".join(parts)


def effect_sentence(concept: ConceptEffect, summary: Summary) -> str:
    """What putting the concept in does to the score, with its interval."""
    score = concept.over_all.score
    if not concept.over_all.significant:
        return f"no effect beyond doubt, {wording.signed(score.value)} (95% interval {wording.interval(score)})"
    verb = "raises" if score.value > 0 else "lowers"
    by = wording.number(abs(score.value))
    return f"{verb} the {score_noun(summary)} by {by} (95% interval {wording.interval(score)})"


def score_noun(summary: Summary) -> str:
    """What is moved, as a noun."""
    name = wording.target_name(summary)
    return f"probability of {name}" if summary.target.kind == "class" else f"activation of {name}"
