"""The page of a method that ranks effects: the tree that folds, pictures, combinations, failed edits, the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from markupsafe import Markup

from diffexplain.evaluation.effect_results import (
    Combination,
    ConceptEffect,
    DiffExResult,
    Effect,
    EffectExample,
    Path,
    Ranking,
)
from diffexplain.evaluation.results import Estimate
from diffexplain.report import plots, views, wording
from diffexplain.report.images import PHOTOGRAPHIC, write_effect_pictures
from diffexplain.report.load import REPORT, LoadedRun
from diffexplain.report.summary import SUMMARY, Summary
from diffexplain.report.templating import template
from diffexplain.runs.run import Run


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


@dataclass(frozen=True)
class Pair:
    """One image without the concept and with it, and the scores of both."""

    without: views.Picture
    present: views.Picture
    score_without: str
    score_present: str


@dataclass(frozen=True)
class Strip:
    """What one concept does, shown on several images."""

    concept: ConceptEffect
    tone: str
    sentence: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Together:
    """A row of the combinations."""

    name: str
    bar: Markup
    gain: Estimate
    over_parent: Estimate | None
    took: Estimate | None


def write_effects_report(run: Run, summary: Summary, examples: Sequence[EffectExample]) -> FilePath:
    """Write ``summary.json``, the pictures and ``report.html`` into the run, and return the page's path."""
    assert summary.effects is not None
    gallery = write_effect_pictures(run, examples)
    page = render_effects(LoadedRun(run.directory, summary, (), (), (), gallery.effects), summary.effects)
    run.write_text(SUMMARY, summary.to_json())
    return run.write_text(REPORT, page)


def render_effects(run: LoadedRun, effects: DiffExResult) -> str:
    """The page as HTML text; equal runs give equal text."""
    summary, ranking = run.summary, effects.rankings[0]
    axis = _axis(ranking)
    strips = _strips(run, ranking)
    failed = [concept for concept in ranking.concepts if concept.took is not None and concept.took.value < 1]
    return template("effects.html.j2").render(
        summary=summary,
        words=wording,
        title=f"{summary.target.class_name or summary.target.text} \N{MIDDLE DOT} {summary.classifier.name}",
        headline=_headline(summary, ranking),
        findings=_findings(summary, ranking),
        facts=_facts(ranking),
        effects=effects,
        ranking=ranking,
        tree=_tree(ranking, axis),
        scale=plots.scale(axis),
        margin=wording.margin(summary),
        strips=strips,
        large=any(max(pair.present.width, pair.present.height) >= PHOTOGRAPHIC for s in strips for pair in s.pairs),
        combinations=[_together(combination, axis) for combination in ranking.combinations],
        failed=sorted(failed, key=lambda concept: concept.took.value if concept.took else 0.0),
        settings=list(views.flattened(summary.settings)),
    )


def together(combination: Combination) -> str:
    """The concepts of a combination by name: "flag and snow"."""
    return wording.listed([path[-1] for path in combination.paths])


def _tone(effect: Effect) -> str:
    """Blue for what raises the score, orange for what lowers it, grey for what is not significant."""
    if not effect.significant:
        return "plain"
    return "core" if effect.score.value > 0 else "spurious"


def _axis(ranking: Ranking) -> plots.Axis:
    estimates = [concept.over_all.score for concept in ranking.concepts]
    estimates += [combination.gain for combination in ranking.combinations]
    return plots.axis_for([end for e in estimates for end in (e.low, e.value, e.high)])


def _tree(ranking: Ranking, axis: plots.Axis) -> tuple[Node, ...]:
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
    tone, score = _tone(effect), effect.score
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
    if effect.logit is not None:
        parts.append(f"logit {wording.signed(effect.logit.value)}")
    if concept.took is None:
        parts.append("edits not checked")
    else:
        parts.append(f"edit took in {wording.count(concept.took)}")
    if concept.over_took is not None and concept.took is not None and concept.took.value < 1:
        parts.append(f"over those {wording.signed(concept.over_took.score.value)}")
    if concept.within_noise:
        parts.append("within what editing alone does")
    return ", ".join(parts)


def _strips(run: LoadedRun, ranking: Ranking) -> list[Strip]:
    by_path = {concept.path: concept for concept in ranking.concepts}
    strips = []
    for path in dict.fromkeys(example.path for example in run.effects):
        concept = by_path[path]
        pairs = tuple(
            Pair(
                views.picture(example.without, f"picture {example.index} without {concept.text}"),
                views.picture(example.present, f"picture {example.index} with {concept.text}"),
                wording.number(example.score_without),
                wording.number(example.score_present),
            )
            for example in run.effects
            if example.path == path
        )
        strips.append(Strip(concept, _tone(concept.over_all), _sentence(concept, run.summary), pairs))
    return strips


def _together(combination: Combination, axis: plots.Axis) -> Together:
    bar = plots.bar(combination.gain, axis, "found")
    return Together(together(combination), bar, combination.gain, combination.over_parent, combination.took)


def _headline(summary: Summary, ranking: Ranking) -> list[tuple[str, str]]:
    score, first = _score(summary), ranking.ranked[0]
    if not first.over_all.significant:
        return [(f"No concept moves the {score} of {summary.classifier.name} beyond doubt.", "plain")]
    verb = "raises" if first.over_all.score.value > 0 else "lowers"
    by = wording.number(abs(first.over_all.score.value))
    return [
        (wording.capital(first.text), _tone(first.over_all)),
        (f" {verb} the {score} of {summary.classifier.name} by {by}.", "plain"),
    ]


def _findings(summary: Summary, ranking: Ranking) -> list[tuple[str, str]]:
    significant = [concept for concept in ranking.ranked if concept.over_all.significant]
    sentences = [
        (_tone(concept.over_all), f"{wording.capital(concept.text)}: {_sentence(concept, summary)}.")
        for concept in significant[:4]
    ]
    verb = "has" if len(significant) == 1 else "have"
    margin = wording.margin(summary)
    sentences.append(
        (
            "plain",
            f"{len(significant)} of {len(ranking.concepts)} concepts {verb} an effect beyond "
            f"\N{PLUS-MINUS SIGN}{margin} once all of them are allowed for.",
        )
    )
    best = ranking.best
    if best is not None and len(best.paths) > 1:
        gain = f"{wording.signed(best.gain.value)} (95% interval {wording.interval(best.gain)})"
        sentences.append(("plain", f"Best together: {together(best)}, {gain}."))
    return sentences


def _facts(ranking: Ranking) -> list[dict[str, str]]:
    first, best = ranking.ranked[0], ranking.best
    checked = [concept.took for concept in ranking.concepts if concept.took is not None]
    significant = sum(concept.over_all.significant for concept in ranking.concepts)
    took, n = sum(round(share.value * share.n) for share in checked), sum(share.n for share in checked)
    return [
        _fact("Strongest concept", first.path[-1], _tone(first.over_all), wording.signed(first.over_all.score.value)),
        _fact("Concepts with an effect", f"{significant} of {len(ranking.concepts)}"),
        _fact("Best together", "none", more="no concept raises the score")
        if best is None
        else _fact("Best together", together(best), more=wording.signed(best.gain.value)),
        _fact("Edits that took", wording.percent(took / n) if n else "not checked", more=f"{took} of {n}" if n else ""),
    ]


def _fact(label: str, value: str, tone: str = "", more: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "tone": tone, "more": more}


def _sentence(concept: ConceptEffect, summary: Summary) -> str:
    """What putting the concept in does to the score, with its interval."""
    score = concept.over_all.score
    if not concept.over_all.significant:
        return f"no effect beyond doubt, {wording.signed(score.value)} (95% interval {wording.interval(score)})"
    verb = "raises" if score.value > 0 else "lowers"
    return (
        f"{verb} the {_score(summary)} by {wording.number(abs(score.value))} (95% interval {wording.interval(score)})"
    )


def _score(summary: Summary) -> str:
    """What is moved, as a noun."""
    name = wording.target_name(summary)
    return f"probability of {name}" if summary.target.kind == "class" else f"activation of {name}"
