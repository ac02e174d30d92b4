"""What is known of one edited image, and what two of them say about an edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffexplain.editing import Composition
from diffexplain.editing.checks import SUBJECT, appeared, by_mask, by_similarity, fits_best, gained
from diffexplain.editing.composition import Path

SEPARATOR = " > "
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """What is known of one edited image.

    Attributes:
        scores: class probability or activation, one for each classifier, as its `TargetReader` counts it.
        activates: whether it is classified as the class, or lies above the unit's threshold.
        log_odds: of the class; None for a unit without a class.
        seen: whether it shows each object and sub-type that was looked for.
        fits: how similar it is to the subject with each attribute or setting that was asked about, and without any.
        strayed: how far the rest of the image moved from the null edit, a mean in [0, 1]; None if unchecked.
        inside: of what was edited and is seen by its mask, the share of that inside the subject's own.
    """

    scores: tuple[float, ...]
    activates: tuple[bool, ...]
    log_odds: tuple[float | None, ...]
    seen: Mapping[Path, bool]
    fits: Mapping[Path, float]
    strayed: float | None
    inside: Mapping[Path, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "scores": list(self.scores),
            "activates": list(self.activates),
            "log_odds": list(self.log_odds),
            "seen": {SEPARATOR.join(path): there for path, there in self.seen.items()},
            "fits": {SEPARATOR.join(path): fit for path, fit in self.fits.items()},
            "strayed": self.strayed,
            "inside": {SEPARATOR.join(path): share for path, share in self.inside.items()},
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Record:
        """What `to_json` wrote."""
        return Record(
            tuple(content["scores"]),
            tuple(content["activates"]),
            tuple(content["log_odds"]),
            {path_of(text): there for text, there in content["seen"].items()},
            {path_of(text): fit for text, fit in content["fits"].items()},
            content["strayed"],
            {path_of(text): share for text, share in content["inside"].items()},
        )


def key_of(paths: Iterable[Path]) -> str:
    """Concepts as one text: the same for the same set."""
    return "; ".join(sorted(SEPARATOR.join(path) for path in paths))


def path_of(text: str) -> Path:
    """The path that was written down as ``text``."""
    return tuple(text.split(SEPARATOR)) if text else SUBJECT


def scores(records: Sequence[Record], who: int) -> Values:
    """One classifier's scores, (n,)."""
    return np.asarray([record.scores[who] for record in records], dtype=np.float64)


def log_odds_differences(present: Sequence[Record], absent: Sequence[Record], who: int) -> Values | None:
    """Differences of one classifier's log-odds, (n,); None where there are none."""
    values = [(one.log_odds[who], other.log_odds[who]) for one, other in zip(present, absent, strict=True)]
    known = [one - other for one, other in values if one is not None and other is not None]
    return np.asarray(known) if len(known) == len(values) else None


def took(composition: Composition, path: Path, present: Record, absent: Record, strayed: float) -> bool | None:
    """Whether a concept is in one image and not in the other, and the rest of both stayed.

    None where nothing was checked, or nothing can tell: what a word was to put into an image, nobody has said.
    """
    if composition.role(path) == "word":
        return None
    there: bool | None = None
    if by_mask(composition, path):
        if path in present.seen and path in absent.seen:
            there = present.seen[path] and not absent.seen[path]
    elif by_similarity(composition, path):
        there = appeared(composition, path, present.fits, absent.fits)
    if there is None:
        return None
    return there and all((record.strayed or 0.0) <= strayed for record in (present, absent))


def shows(composition: Composition, path: Path, record: Record, null: Record) -> bool | None:
    """Whether an edited image shows a concept; None where nothing was checked, or nothing can tell.

    What the edit did not touch is as it was: of an attribute then nothing is asked.
    """
    if by_mask(composition, path):
        return record.seen.get(path, null.seen.get(path))
    if not by_similarity(composition, path) or path not in null.fits:
        return None
    touched = record is not null and path in record.fits
    if composition.role(path) == "setting":
        best = fits_best(composition, path, record.fits if touched else null.fits)
        if best is not None:
            return best
    return gained(composition, path, record.fits, null.fits) if touched else True
