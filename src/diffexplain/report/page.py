"""``report.html``: one file that needs nothing else, no network and no script."""

from __future__ import annotations

from pathlib import Path

from diffexplain.evaluation.results import Element, Evaluation, Verdict
from diffexplain.report import plots, prior, views, wording
from diffexplain.report.effects import render_effects
from diffexplain.report.found_images import render_images
from diffexplain.report.images import PHOTOGRAPHIC, write_pictures
from diffexplain.report.load import METRICS, REPORT, LoadedRun, load_run, read_curve
from diffexplain.report.summary import SUMMARY, ObjectAbsence, Summary
from diffexplain.report.templating import template
from diffexplain.runs.run import Run


def write_report(run: Run, summary: Summary, evaluation: Evaluation) -> Path:
    """Write ``summary.json``, the pictures and ``report.html`` into the run, and return the page's path."""
    gallery = write_pictures(run, evaluation)
    curve = read_curve(run.directory)
    page = render(LoadedRun(run.directory, summary, gallery.examples, gallery.edits, curve))
    run.write_text(SUMMARY, summary.to_json())
    return run.write_text(REPORT, page)


def render_run(directory: str | Path) -> str:
    """The page of a finished run, made again from its files.

    Raises:
        UserError: there is no finished run in ``directory``.
    """
    return render(load_run(directory))


def render(run: LoadedRun) -> str:
    """The page as HTML text; equal runs give equal text."""
    summary = run.summary
    if summary.effects is not None:
        return render_effects(run, summary.effects)
    if summary.words is None:
        return render_images(run)
    told = [element for element in summary.elements if _is_told(element)]
    axis, told_rows = views.rows(summary, told)
    _, other_rows = views.rows(summary, [element for element in summary.elements if not _is_told(element)])
    pictures = views.grid(run)
    control = summary.control
    return template("report.html.j2").render(
        summary=summary,
        words=wording,
        title=f"{summary.target.class_name or summary.target.text} \N{MIDDLE DOT} {summary.classifier.name}",
        headline=wording.headline(summary),
        findings=wording.findings(summary),
        facts=_facts(summary),
        pictures=pictures,
        activates=any(shown.activates for shown in pictures),
        drawn={style for shown in pictures for style, _ in shown.picture.outlines},
        large=any(max(shown.picture.width, shown.picture.height) >= PHOTOGRAPHIC for shown in pictures),
        strips=list(views.strips(run)),
        scale=plots.scale(axis),
        rows=told_rows,
        other_rows=other_rows,
        bars=views.bars(summary),
        quality=[views.quality_row(row) for row in summary.quality],
        prior_sentence=prior.prior_sentence(summary),
        control_sentence=None if control is None else prior.control_sentence(summary, control),
        control_prompts=() if control is None else prior.prompt_rows(summary, control),
        control_elements=() if control is None else prior.element_rows(summary, control),
        unit_scale=plots.scale(plots.UNIT_AXIS),
        curve=views.curve(run),
        metrics=METRICS,
        margin=wording.margin(summary),
        settings=list(views.flattened(summary.settings)),
    )


def _is_told(element: Element) -> bool:
    return element.verdict in (Verdict.SPURIOUS, Verdict.CORE) or element.removal is not None


def _facts(summary: Summary) -> list[dict[str, str]]:
    found = summary.found
    facts = [
        {
            "label": "Pictures that activate it",
            "value": wording.count(found.share),
            "tone": "",
            "more": f"interval {wording.percent(found.share.low)} to {wording.percent(found.share.high)}",
        }
    ]
    if summary.target.class_name is not None:
        facts.append(_leader(summary, Verdict.SPURIOUS, "Strongest spurious element"))
        facts.append(_leader(summary, Verdict.CORE, "Strongest core element"))
    absent = summary.object_absence or ObjectAbsence(None, None)
    if absent.share is not None:
        low, high = wording.percent(absent.share.low), wording.percent(absent.share.high)
        more = f"interval {low} to {high}"
        facts.append({"label": "Object itself absent", "value": wording.count(absent.share), "tone": "", "more": more})
    else:
        more = absent.reason or ""
        facts.append({"label": "Object itself absent", "value": "not known", "tone": "", "more": more})
    return facts


def _leader(summary: Summary, verdict: Verdict, label: str) -> dict[str, str]:
    elements = summary.having(verdict)
    if not elements:
        tested = any(element.removal is not None for element in summary.elements)
        return {"label": label, "value": "none found" if tested else "not tested", "tone": "", "more": ""}
    first = elements[0]
    more = ""
    if first.removal is not None:
        drop = first.removal.drop
        more = f"effect {wording.number(drop.value)}, interval {wording.interval(drop)}"
    return {"label": label, "value": first.phrase, "tone": views.tone(first), "more": more}
