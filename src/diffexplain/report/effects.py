"""The page of a method that ranks effects: the tree that folds, pictures, combinations, failed edits, the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffexplain.effects.results import (
    Combination,
    ConceptEffect,
    EffectsResult,
    Ranking,
    Verdict,
)
from diffexplain.evaluation.results import Estimate
from diffexplain.report import confirmation, plots, views, wording
from diffexplain.report.comparison import compared, differing
from diffexplain.report.effect_tree import (
    axis_of,
    called,
    effect_sentence,
    itself_sentence,
    recognised_sentence,
    score_noun,
    tone_of,
    tree_of,
)
from diffexplain.report.images import PHOTOGRAPHIC
from diffexplain.report.load import LoadedRun
from diffexplain.report.summary import Summary
from diffexplain.report.templating import template


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


def render_effects(run: LoadedRun, effects: EffectsResult) -> str:
    """The page as HTML text; equal runs give equal text."""
    summary, ranking = run.summary, effects.rankings[0]
    axis = axis_of(effects.rankings, effects.confirmation)
    strips = _strips(run, ranking)
    failed = [concept for concept in ranking.concepts if concept.took is not None and concept.took.value < 1]
    return template("effects.html.j2").render(
        summary=summary,
        words=wording,
        title=f"{summary.target.class_name or summary.target.text} \N{MIDDLE DOT} {summary.classifier.name}",
        headline=_headline(summary, ranking),
        findings=_findings(summary, effects),
        facts=_facts(ranking) if summary.same_answer is None else [],
        effects=effects,
        ranking=ranking,
        tree=tree_of(ranking, axis),
        called=called,
        scale=plots.scale(axis),
        margin=wording.margin(summary),
        compared=compared(summary, effects.rankings[1:], axis),
        differing=differing(effects),
        confirmation=effects.confirmation,
        confirmed=() if effects.confirmation is None else confirmation.rows(effects.confirmation, axis),
        strips=strips,
        large=any(max(pair.present.width, pair.present.height) >= PHOTOGRAPHIC for s in strips for pair in s.pairs),
        combinations=[_together(combination, axis) for combination in ranking.combinations],
        failed=sorted(failed, key=lambda concept: concept.took.value if concept.took else 0.0),
        settings=list(views.flattened(summary.settings)),
    )


def together(combination: Combination) -> str:
    """The concepts of a combination by name: "flag and snow"."""
    return wording.listed([path[-1] for path in combination.paths])


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
        strips.append(Strip(concept, tone_of(concept.over_all), effect_sentence(concept, run.summary), pairs))
    return strips


def _together(combination: Combination, axis: plots.Axis) -> Together:
    bar = plots.bar(combination.gain, axis, "found")
    return Together(together(combination), bar, combination.gain, combination.over_parent, combination.took)


def _headline(summary: Summary, ranking: Ranking) -> list[tuple[str, str]]:
    if summary.same_answer is not None:
        return [(wording.same_answer(summary, summary.same_answer), "plain")]
    score = score_noun(summary)
    first = next((concept for concept in ranking.ranked if concept.over_all.significant), None)
    if first is None:
        tested = len(ranking.concepts)
        return [(f"None of {tested} concepts moves the {score} of {summary.classifier.name} beyond doubt.", "plain")]
    verb = "raises" if first.over_all.score.value > 0 else "lowers"
    by = wording.number(abs(first.over_all.score.value))
    return [
        (wording.capital(first.text), tone_of(first.over_all)),
        (f" {verb} the {score} of {summary.classifier.name} by {by}{_kind(first)}.", "plain"),
    ]


def _kind(concept: ConceptEffect) -> str:
    """What kind of finding it is, as the end of a sentence."""
    kinds = {
        Verdict.SPURIOUS: ", and is no part of the object",
        Verdict.CORE: ", and is part of the object",
        Verdict.APPEARANCE: ", and is a look of the object",
    }
    return kinds.get(concept.verdict, "")


def _told_once(concepts: Sequence[ConceptEffect]) -> list[ConceptEffect]:
    """Without the mirror image of one before: of two values alone, one raises as much as the other lowers."""
    kept: list[ConceptEffect] = []
    for concept in concepts:
        value = concept.over_all.score.value
        beside = [other.over_all.score.value for other in kept if other.path[:-1] == concept.path[:-1]]
        if all(abs(other + value) > 1e-9 for other in beside):
            kept.append(concept)
    return kept


def _findings(summary: Summary, effects: EffectsResult) -> list[tuple[str, str]]:
    if summary.same_answer is not None:
        return [("plain", wording.NOTHING_TOLD)]
    ranking = effects.rankings[0]
    significant = [concept for concept in ranking.ranked if concept.over_all.significant]
    sentences = [
        (tone_of(concept.over_all), f"{wording.capital(concept.text)}: {effect_sentence(concept, summary)}.")
        for concept in _told_once(significant)[:4]
    ]
    itself = ranking.itself
    if itself is not None:
        sentences.append(("plain", itself_sentence(summary, itself)))
        recognised = recognised_sentence(summary, itself)
        sentences += [] if recognised is None else [("plain", recognised)]
    verb = "has" if len(significant) == 1 else "have"
    margin = wording.margin(summary)
    none = sum(concept.verdict is Verdict.NO_EFFECT for concept in ranking.concepts)
    undecided = len(ranking.concepts) - len(significant) - none
    sentences.append(
        (
            "plain",
            f"{len(significant)} of {len(ranking.concepts)} concepts {verb} an effect beyond "
            f"\N{PLUS-MINUS SIGN}{margin} once all of them are allowed for; {none} surely have none, "
            f"{undecided} are undecided, {len(ranking.untested)} were not tested.",
        )
    )
    if effects.confirmation is not None:
        sentences += confirmation.sentences(summary, ranking, effects.confirmation)[:4]
    best = ranking.best
    if best is not None and len(best.paths) > 1:
        gain = f"{wording.signed(best.gain.value)} (95% interval {wording.interval(best.gain)})"
        sentences.append(("plain", f"Best together: {together(best)}, {gain}."))
    return [*sentences, *(("plain", pair.sentence) for pair in differing(effects))]


def _facts(ranking: Ranking) -> list[dict[str, str]]:
    first, best = ranking.ranked[0], ranking.best
    checked = [concept.took for concept in ranking.concepts if concept.took is not None]
    significant = sum(concept.over_all.significant for concept in ranking.concepts)
    took, n = sum(round(share.value * share.n) for share in checked), sum(share.n for share in checked)
    return [
        _fact("Strongest concept", first.path[-1], tone_of(first.over_all), wording.signed(first.over_all.score.value)),
        _fact("Concepts with an effect", f"{significant} of {len(ranking.concepts)}"),
        *([] if best is None else [_fact("Best together", together(best), more=wording.signed(best.gain.value))]),
        _fact("Edits that took", wording.percent(took / n) if n else "not checked", more=f"{took} of {n}" if n else ""),
    ]


def _fact(label: str, value: str, tone: str = "", more: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "tone": tone, "more": more}
