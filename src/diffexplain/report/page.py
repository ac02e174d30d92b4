"""``report.html``: one file that needs nothing else and no network; without its script it shows all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffexplain.config.from_run import SUMMARY
from diffexplain.effects.results import EffectExample, EffectsResult, Verdict
from diffexplain.evaluation.results import Example
from diffexplain.report import confirmation, findings, plots, views, wording
from diffexplain.report.comparison import differing
from diffexplain.report.concept_rows import Row, axis_of, rows_of
from diffexplain.report.effect_sentences import KINDS
from diffexplain.report.images import PHOTOGRAPHIC, write_pictures
from diffexplain.report.load import METRICS, LoadedRun, read_curve
from diffexplain.report.model_card import model_card
from diffexplain.report.summary import Summary
from diffexplain.report.templating import template
from diffexplain.report.terms import terms
from diffexplain.report.truth import true_effects, truth_sentence
from diffexplain.runs.run import REPORT, Run

MOST_EFFECTS, MOST_PAIRS = 5, 2
"""Effects that the first screen tells, and concepts that it shows a pair of pictures of."""


@dataclass(frozen=True)
class Part:
    """Of all concepts those of one answer."""

    label: str
    style: str
    kinds: tuple[str, ...]
    count: int


def write_report(
    run: Run, summary: Summary, *, examples: Sequence[Example] = (), effects: Sequence[EffectExample] = ()
) -> Path:
    """Write ``summary.json``, the pictures and ``report.html`` into the run, and return the page's path."""
    gallery = write_pictures(run, examples, effects)
    page = render(LoadedRun(run.directory, summary, gallery.examples, gallery.effects, read_curve(run.directory)))
    run.write_text(SUMMARY, summary.to_json())
    return run.write_text(REPORT, page)


def render(run: LoadedRun) -> str:
    """The page as HTML text; equal runs give equal text."""
    summary, pictures = run.summary, views.grid(run)
    shared = {
        "summary": summary,
        "words": wording,
        "title": f"{summary.target.class_name or summary.target.text} \N{MIDDLE DOT} {summary.classifier.name}",
        "headline": findings.headline(summary),
        "pictures": pictures,
        "activates": any(shown.activates for shown in pictures),
        "bars": views.bars(summary) if summary.activation else (),
        "unit_scale": plots.scale(plots.UNIT_AXIS),
        "curve": views.curve(run),
        "metrics": METRICS,
        "settings": list(views.flattened(summary.settings)),
    }
    if summary.effects is None and summary.words is None:  # A method that finds pictures, in which nothing has a name.
        said, large = findings.of_pictures(summary), _large(shown.picture for shown in pictures)
        return template("images.html.j2").render(**shared, findings=said, large=large)
    strips, control = views.strips(run), summary.control
    return template("report.html.j2").render(
        **shared,
        beside=findings.beside(summary),
        unknown=findings.unknown(summary),
        drawn={style for shown in pictures for style, _ in shown.picture.outlines},
        large=_large(_framed(pictures, strips)),
        **_tested(summary, summary.effects, strips),
        untested_reason=findings.untested_reason(summary),
        by_inpainting=wording.by_inpainting(summary),
        beyond=wording.beyond(summary),
        strips=strips,
        prior_sentence=findings.prior_sentence(summary),
        control_sentence=findings.control_sentence(summary),
        control_prompts=() if control is None else list(zip(summary.activation, control.activation, strict=True)),
        control_concepts=findings.moving_both(summary),
    )


def _tested(summary: Summary, effects: EffectsResult | None, strips: Sequence[views.Strip]) -> dict[str, Any]:
    """What the template shows of concepts."""
    if effects is None or summary.same_answer is not None:
        nothing = dict.fromkeys(("rows", "coverage", "top", "leading", "further"), ())
        card = {"terms": terms(summary, ()), "card": model_card(summary, (), None)}
        return {**nothing, **card, "effects": effects, "ranking": None if effects is None else effects.rankings[0]}
    ranking, axis = effects.rankings[0], axis_of(effects.rankings, effects.confirmation)
    true = true_effects(summary)
    rows = rows_of(effects.rankings, axis, true, {strip.concept.path for strip in strips})
    moving, told = [row for row in rows if row.moves], truth_sentence(summary.concepts, true)
    counts = {kind: sum(row.concepts for row in rows if row.kind == kind) for kind in KINDS}
    kinds = [(kind, count) for kind, count in counts.items() if count]
    top = moving[:MOST_EFFECTS]
    leading = [strip for row in top for strip in strips if strip.anchor == row.pictures]
    asked = effects.confirmation
    return {
        "effects": effects,
        "ranking": ranking,
        "rows": rows,
        "order": {kind: place for place, kind in enumerate(KINDS)},
        "concept_count": sum(counts.values()),
        "kinds": kinds,
        # What the run was asked is whether something is confirmed, which both ways of editing together do not tell.
        "coverage": _coverage(rows) if rows and not confirmation.headline(summary) else (),
        "top": top,
        "more": len(moving) - len(top),
        "leading": leading[:MOST_PAIRS],
        "true_known": bool(true),
        "truth_sentence": told,
        "further": [other.classifier for other in effects.rankings[1:]],
        "scale": plots.scale(axis),
        "combinations": [(one, plots.bar(one.gain, axis, "found")) for one in ranking.combinations],
        "confirmed": () if asked is None else confirmation.rows(summary, ranking, asked, axis),
        "differing": differing(effects),
        "terms": terms(summary, [kind for kind, _ in kinds]),
        "card": model_card(summary, rows, told),
    }


def _coverage(rows: Sequence[Row]) -> tuple[Part, ...]:
    """How many concepts move the target, are undecided, have no effect, and were not tested."""
    still = (Verdict.UNDECIDED.value, Verdict.NO_EFFECT.value, Verdict.NOT_TESTED.value)
    moving = tuple(kind for kind in KINDS if kind not in still)
    parts = [("move it", "moving", moving), *((kind, kind.replace(" ", "-"), (kind,)) for kind in still)]
    return tuple(
        Part(label, style, kinds, sum(row.concepts for row in rows if row.kind in kinds))
        for label, style, kinds in parts
    )


def _framed(pictures: Sequence[views.Shown], strips: Sequence[views.Strip]) -> Iterator[views.Picture]:
    yield from (shown.picture for shown in pictures)
    yield from (pair.present for strip in strips for pair in strip.pairs)


def _large(pictures: Iterable[views.Picture]) -> bool:
    return any(max(one.width, one.height) >= PHOTOGRAPHIC for one in pictures)
