"""The page of a method that finds images: what it made, how far it activates the target, and nothing on concepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from diffexplain.config.from_run import SUMMARY
from diffexplain.evaluation.results import Evaluation
from diffexplain.report import findings, plots, views, wording
from diffexplain.report.images import PHOTOGRAPHIC, write_pictures
from diffexplain.report.load import METRICS, LoadedRun, read_curve
from diffexplain.report.summary import Summary, summarise
from diffexplain.report.templating import template
from diffexplain.runs.run import REPORT, Run


def summarise_images(evaluation: Evaluation, **made: Any) -> Summary:
    """As `summarise`, of pictures that no prompt makes: there are neither words nor concepts."""
    return replace(
        summarise(evaluation, None, same_answer=evaluation.same_answer, **made), words=None, object_absence=None
    )


def write_images_report(run: Run, summary: Summary, evaluation: Evaluation) -> Path:
    """Write ``summary.json``, the pictures and ``report.html`` into the run, and return the page's path."""
    gallery = write_pictures(run, evaluation.examples)
    page = render_images(LoadedRun(run.directory, summary, gallery.examples, (), read_curve(run.directory)))
    run.write_text(SUMMARY, summary.to_json())
    return run.write_text(REPORT, page)


def render_images(run: LoadedRun) -> str:
    """The page as HTML text; equal runs give equal text."""
    summary = run.summary
    pictures = views.grid(run)
    return template("images.html.j2").render(
        summary=summary,
        words=wording,
        title=f"{summary.target.class_name or summary.target.text} \N{MIDDLE DOT} {summary.classifier.name}",
        headline=findings.headline(summary),
        findings=_findings(summary),
        pictures=pictures,
        activates=any(shown.activates for shown in pictures),
        large=any(max(shown.picture.width, shown.picture.height) >= PHOTOGRAPHIC for shown in pictures),
        bars=views.bars(summary),
        unit_scale=plots.scale(plots.UNIT_AXIS),
        curve=views.curve(run),
        metrics=METRICS,
        settings=list(views.flattened(summary.settings)),
    )


def _findings(summary: Summary) -> list[str]:
    if summary.same_answer is not None:
        return [wording.NOTHING_TOLD]
    made = f"{summary.explainer} optimises the picture itself and not a prompt"
    share, mean = summary.found.share, summary.found.mean
    return [
        f"{wording.capital(made)}: nothing in it has a name, so nothing is called core or spurious.",
        f"{wording.count(share)} pictures activate it (95% interval {wording.percent(share.low)} to "
        f"{wording.percent(share.high)}); the mean {wording.score_name(summary)} is {wording.effect(mean)}.",
    ]
