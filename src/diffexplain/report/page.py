"""``report.html``: one file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diffexplain.config.from_run import SUMMARY
from diffexplain.effects.results import EffectExample, EffectsResult
from diffexplain.evaluation.results import Example
from diffexplain.report import confirmation, findings, plots, prior_reliability, views, wording
from diffexplain.report.comparison import compared, differing
from diffexplain.report.effect_tree import axis_of, called, tree_of
from diffexplain.report.found_images import render_images
from diffexplain.report.images import PHOTOGRAPHIC, write_pictures
from diffexplain.report.load import METRICS, REPORT, LoadedRun, read_curve
from diffexplain.report.summary import Summary
from diffexplain.report.templating import template
from diffexplain.runs.run import Run


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
    summary = run.summary
    if summary.effects is None and summary.words is None:
        return render_images(run)
    pictures, strips = views.grid(run), views.strips(run)
    control = summary.control
    return template("report.html.j2").render(
        summary=summary,
        words=wording,
        title=f"{summary.target.class_name or summary.target.text} \N{MIDDLE DOT} {summary.classifier.name}",
        headline=findings.headline(summary),
        findings=findings.findings(summary),
        facts=findings.facts(summary),
        pictures=pictures,
        activates=any(shown.activates for shown in pictures),
        drawn={style for shown in pictures for style, _ in shown.picture.outlines},
        large=any(max(one.width, one.height) >= PHOTOGRAPHIC for one in _framed(pictures, strips)),
        **({"effects": None} if summary.effects is None else _tested(summary, summary.effects)),
        untested_reason=findings.untested_reason(summary),
        by_inpainting=wording.by_inpainting(summary),
        margin=wording.margin(summary),
        beyond=wording.beyond(summary),
        by_e_value=any(concept.over_all.holds_by_e is not None for concept in summary.concepts),
        strips=strips,
        bars=views.bars(summary) if summary.activation else (),
        quality=[views.quality_row(row) for row in summary.quality],
        prior_sentence=prior_reliability.prior_sentence(summary),
        control_sentence=prior_reliability.control_sentence(summary),
        control_prompts=() if control is None else prior_reliability.prompt_rows(summary, control),
        control_concepts=prior_reliability.concept_rows(summary),
        unit_scale=plots.scale(plots.UNIT_AXIS),
        curve=views.curve(run),
        metrics=METRICS,
        settings=list(views.flattened(summary.settings)),
    )


def _tested(summary: Summary, effects: EffectsResult) -> dict[str, Any]:
    """What the template shows of concepts."""
    ranking, axis = effects.rankings[0], axis_of(effects.rankings, effects.confirmation)
    failed = [concept for concept in ranking.concepts if concept.took is not None and concept.took.value < 1]
    confirmed = () if effects.confirmation is None else confirmation.rows(ranking, effects.confirmation, axis)
    return {
        "effects": effects,
        "ranking": ranking,
        "tree": tree_of(ranking, axis),
        "called": called,
        "scale": plots.scale(axis),
        "combinations": [views.combination_row(combination, axis) for combination in ranking.combinations],
        "confirmed": confirmed,
        "compared": compared(summary, effects.rankings[1:], axis),
        "differing": differing(effects),
        "checked": any(concept.took is not None for concept in ranking.concepts),
        "failed": sorted(failed, key=lambda concept: concept.took.value if concept.took else 0.0),
    }


def _framed(pictures: Sequence[views.Shown], strips: Sequence[views.Strip]) -> Iterator[views.Picture]:
    yield from (shown.picture for shown in pictures)
    yield from (pair.present for strip in strips for pair in strip.pairs)
