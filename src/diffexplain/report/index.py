"""The page of all runs in a folder: how each stands, what a finished one says, and where its report is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from diffexplain.config.from_run import SUMMARY
from diffexplain.errors import UserError
from diffexplain.report.findings import headline
from diffexplain.report.summary import Summary
from diffexplain.report.templating import template
from diffexplain.runs.inventory import Entry
from diffexplain.runs.run import REPORT
from diffexplain.runs.sweep import SWEEP
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json

INDEX = "index.html"


def write_index(outputs: Path, entries: Sequence[Entry]) -> Path:
    """Write ``index.html`` into the folder of all runs; returns its path."""
    count = Counter(entry.status for entry in entries)
    sweeps = sorted(path.parent for path in outputs.glob(f"sweeps/*/{SWEEP}") if (path.parent / REPORT).is_file())
    page = template("index.html.j2").render(
        title=f"{len(entries)} runs",
        headline=", ".join(f"{number} {status}" for status, number in count.most_common()),
        rows=[
            {
                "entry": entry,
                "link": quote(f"{entry.directory.relative_to(outputs).as_posix()}/{REPORT}"),
                "changed": datetime.fromtimestamp(entry.changed).strftime("%Y-%m-%d %H:%M"),
                "said": _said(entry) if entry.status == "finished" else None,
            }
            for entry in entries
        ],
        sweeps=[(path.name, quote(f"sweeps/{path.name}/{REPORT}")) for path in sweeps],
    )
    atomic.write_text(outputs / INDEX, page)
    return outputs / INDEX


def _said(entry: Entry) -> str | None:
    """The answer of a finished run, as its page begins; None where its summary cannot be read."""
    try:
        plain = read_json(entry.directory / SUMMARY)
        if plain["statement"]:  # Which begins with it, and needs nothing else of the summary to be read.
            return str(plain["statement"]["text"]).partition(". ")[0].rstrip(".") + "."
        return "".join(text for text, _ in headline(Summary.load(entry.directory / SUMMARY)))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None
