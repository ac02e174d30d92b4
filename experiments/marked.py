"""Generated parts of hand-written pages: what stands between two marks is made by a command."""

from __future__ import annotations

from pathlib import Path


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put ``text`` between the marks ``begin`` and ``end`` in ``page``; the rest stays as it is.

    Raises:
        ValueError: the page lacks one of the marks.
    """
    content = page.read_text(encoding="utf-8")
    if begin not in content or end not in content.split(begin, 1)[1]:
        raise ValueError(f"{page} lacks the marks {begin} and {end}")
    before, rest = content.split(begin, 1)
    after = rest.split(end, 1)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
