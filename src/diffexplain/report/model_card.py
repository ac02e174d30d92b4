"""The run as a section of a model card, in Markdown: what was asked, found and not found out, how sure, with what."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.report import findings, wording
from diffexplain.report.concept_rows import Row
from diffexplain.report.summary import Summary

MOST_ROWS = 12


def model_card(summary: Summary, rows: Sequence[Row], truth: str | None) -> str:
    """As text to be pasted; ``rows``: of the page's table, those that move the target first."""
    moving = [row for row in rows if row.moves]
    answer = "".join(text for text, _ in findings.headline(summary))
    lines = [
        f"## What moves {wording.target_name(summary)} in {summary.classifier.name}",
        "",
        answer,
        "",
        "### Asked",
        "",
        f"- target: {summary.target.text}",
        f"- classifier: {summary.classifier.name} ({summary.classifier.source})",
        f"- method: {summary.explainer} of diffexplain, pictures by {summary.prior.name} ({summary.prior.source})",
    ]
    if summary.concepts:
        pairs = [concept.over_all.n for concept in summary.concepts]
        n = f"{min(pairs)} to {max(pairs)}" if min(pairs) < max(pairs) else f"{pairs[0]}"
        lines.append(f"- concepts: {len(pairs)} tested, each on {n} pairs of pictures without it and with it")
    lines += ["", "### Found", ""]
    if moving:
        lines += _table(moving[:MOST_ROWS])
        if len(moving) > MOST_ROWS:
            lines += ["", f"{len(moving) - MOST_ROWS} more in the report."]
        lines.append("")
    lines += [f"- {sentence}" for _, sentence in findings.beside(summary)]
    lines += [f"- {truth}"] if truth else []
    lines += ["", "### Not known", "", *(f"- {label}: {text}" for label, text in findings.unknown(summary))]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(summary.versions.items()))
    lines += ["", "### Made with", "", f"- run {summary.identity[:12]}: `{summary.command}`", f"- {versions}"]
    return "\n".join(_inert(line) for line in lines) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    head = ["| concept | verdict | effect | 95% interval |", "|---|---|---|---|"]
    cells = [
        (
            f"{row.name}{f' ({row.mirror}: the opposite)' if row.mirror else ''}",
            row.kind,
            row.number.value,
            row.number.interval,
        )
        for row in rows
        if row.number is not None
    ]
    return [*head, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)]


def _inert(line: str) -> str:
    """On one line, and nothing in it a tag where Markdown is turned into HTML."""
    return " ".join(line.split()).replace("<", "&lt;")
