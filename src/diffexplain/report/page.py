"""``report.html``: one file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffexplain.effects.results import EffectExample
from diffexplain.evaluation.results import Example
from diffexplain.report.effects import render_effects
from diffexplain.report.found_images import render_images
from diffexplain.report.images import write_pictures
from diffexplain.report.load import REPORT, LoadedRun, load_run, read_curve
from diffexplain.report.summary import SUMMARY, Summary
from diffexplain.runs.run import Run


def write_report(
    run: Run, summary: Summary, *, examples: Sequence[Example] = (), effects: Sequence[EffectExample] = ()
) -> Path:
    """Write ``summary.json``, the pictures and ``report.html`` into the run, and return the page's path."""
    gallery = write_pictures(run, examples, effects)
    page = render(LoadedRun(run.directory, summary, gallery.examples, gallery.effects, read_curve(run.directory)))
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
    raise NotImplementedError
