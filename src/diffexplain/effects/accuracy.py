"""Labelled photographs as they are: how often the classifier is right where a concept is seen, and where it is not.

Nothing is edited. What else differs between the two lots is not held fixed, so that their difference is no effect: it
says what an effect comes to in somebody's own data, or that these data cannot say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.editing import Composition
from diffexplain.editing.checks import by_mask, fits_best
from diffexplain.effects.edits import ChecksLike
from diffexplain.effects.results import Accuracy, ConceptAccuracy, LabelledPhotographs, Path, Sight
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson

FAILURES = 10
"""Photographs that are named of each concept."""
NOT_SEEN = "nothing that is at hand can see it in a single photograph"
NOT_THERE = "not in your data: it is seen in none of the photographs"
NOT_WITHOUT = "your data never are without it: it is seen in all of the photographs"

Seen = Mapping[Path, NDArray[np.bool_] | None]
"""Of each concept whether it is seen in each of some images; None where nothing can see it in one image."""


@dataclass(frozen=True)
class Lot:
    """Some photographs, (N, 3, H, W) in [0, 1], their names, and whether each is of the target's class."""

    names: tuple[str, ...]
    own: NDArray[np.bool_]
    images: Tensor


def can_be_seen(composition: Composition, path: Path) -> bool:
    """Whether a single image tells: of how the target itself looks, two images alone do."""
    by_fit = composition.role(path) == "setting" and bool(composition.rivals(path))
    return by_fit or by_mask(composition, path)


def look_for(checks: ChecksLike, composition: Composition, images: Tensor, paths: Sequence[Path]) -> Seen:
    """Objects and their sub-types by mask; a setting where it fits better than every other."""
    visible = [path for path in paths if can_be_seen(composition, path)]
    masked = [path for path in visible if by_mask(composition, path)]
    settings = [path for path in visible if path not in masked]
    similar = dict.fromkeys(other for path in settings for other in (path, *composition.rivals(path)))
    look = checks.look(composition, images, masked, list(similar))
    fits = [look.fits(place) for place in range(len(images))]
    best = {path: np.array([bool(fits_best(composition, path, one)) for one in fits]) for path in settings}
    return dict.fromkeys(paths) | {path: look.seen(path) for path in masked} | best


def sight(with_it: NDArray[np.bool_], without: NDArray[np.bool_]) -> Sight:
    """How well a concept is seen, from pictures that were made with it and without it."""
    return Sight(wilson(int(with_it.sum()), len(with_it)), wilson(int(without.sum()), len(without)))


def measure(
    lots: Iterable[Lot],
    reader: TargetReader,
    checks: ChecksLike,
    composition: Composition,
    raises: Mapping[Path, bool],
    sights: Mapping[Path, Sight],
) -> LabelledPhotographs | None:
    """What the classifier makes of labelled photographs, and of those that show each concept.

    Args:
        lots: of photographs; none gives None.
        reader: of the target's class.
        checks: see what photographs show.
        composition: of the concepts.
        raises: of each concept that is asked about, whether it raises the class: where its absence in the class, or its
            presence elsewhere, should mislead.
        sights: how well each of them is seen, where that is known.
    """
    names: list[str] = []
    parts: list[tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]] = []
    looked: list[Seen] = []
    for lot in lots:
        read = reader.read(lot.images, lot.names)
        names += lot.names
        parts.append((lot.own, lot.own == read.activates, np.where(lot.own, read.score, 1 - read.score)))
        looked.append(look_for(checks, composition, lot.images, list(raises)))
    if not names:
        return None
    own, right, certainty = (np.concatenate([part[place] for part in parts]) for place in range(3))
    concepts = []
    for path, lifts in raises.items():
        columns = [seen[path] for seen in looked]
        known = [column for column in columns if column is not None]
        if len(known) < len(columns):
            nothing = Accuracy(None, None)
            concepts.append(ConceptAccuracy(path, nothing, nothing, sights.get(path), (), NOT_SEEN))
            continue
        shown = np.concatenate(known)
        misled = np.flatnonzero(~right & ((own & (shown != lifts)) | (~own & (shown == lifts))))
        worst = sorted(misled, key=lambda place: float(certainty[place]))[:FAILURES]
        concepts.append(
            ConceptAccuracy(
                path,
                Accuracy(_share(right, own & shown), _share(right, own & ~shown)),
                Accuracy(_share(right, ~own & shown), _share(right, ~own & ~shown)),
                sights.get(path),
                tuple(names[place] for place in worst),
                NOT_THERE if not shown.any() else NOT_WITHOUT if shown.all() else None,
            )
        )
    return LabelledPhotographs(_share(right, own), _share(right, ~own), tuple(concepts))


def _share(right: NDArray[np.bool_], those: NDArray[np.bool_]) -> Estimate | None:
    return wilson(int(right[those].sum()), int(those.sum())) if those.any() else None
