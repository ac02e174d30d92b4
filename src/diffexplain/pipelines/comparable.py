"""Which finished runs can be compared: those of the same pictures. Nothing that computes is loaded to say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffexplain.concepts import Hierarchy
from diffexplain.errors import UserError
from diffexplain.report.summary import Summary
from diffexplain.runs.run import CONCEPTS
from diffexplain.weights.paths import resolve_folder

_SAME = ("target", "seed", "threads", "diffusion", "editor", "segmenter", "effects", "images")
"""Parts of a configuration that say which pictures are made."""


def comparable(runs: Sequence[str]) -> tuple[list[Path], list[Summary], Hierarchy]:
    """The directories and summaries of two or more finished runs, and the concepts of all of them.

    Raises:
        UserError: there is no such run, or their pictures are not the same.
    """
    if len(runs) < 2:
        raise UserError("Name the directories of two finished runs, or of more.", hint="diffexplain --help")
    directories = [resolve_folder(run) for run in runs]
    summaries = [Summary.load(directory) for directory in directories]
    for run, summary in zip(runs, summaries, strict=True):
        if summary.effects is None or summary.target.kind != "class":
            raise UserError("Runs are compared by the effects of concepts on a class.", given=run)
        if summary.same_answer is not None:
            raise UserError("The classifier of this run gives all pictures the same answer.", given=run)
        apart = [key for key in _SAME if _of(summaries[0], key) != _of(summary, key)]
        if apart:
            message = f"The pictures of these runs are not the same: {', '.join(apart)} differ."
            raise UserError(message, given=run)
    hierarchies = [Hierarchy.load(directory / CONCEPTS) for directory in directories]
    if any(one != hierarchies[0] for one in hierarchies):
        raise UserError("The pictures of these runs are not the same: their concepts differ.", given=" ".join(runs))
    return directories, summaries, hierarchies[0]


def _of(summary: Summary, key: str) -> Any:
    """A part of the configuration, with the checksums of what it names."""
    named = {name: digest for name, digest in summary.weights.items() if name.startswith(f"{key}.")}
    return summary.settings.get(key), named
