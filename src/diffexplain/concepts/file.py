"""Concepts that somebody wrote down: a hierarchy of the package, or a file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diffexplain.concepts.found import RunProposer
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.merging import drafts_of, finished, merged
from diffexplain.errors import UserError
from diffexplain.paths import DATA_ROOT
from diffexplain.target import ResolvedTarget

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = DATA_ROOT / "hierarchies"
SUFFIXES = (".yaml", ".yml")


def shipped() -> list[str]:
    """The names of the package's hierarchies."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load_hierarchy(hierarchy: str) -> Hierarchy:
    """A hierarchy of the package by its name, or any other by its path, which ends in ``.yaml``.

    Raises:
        UserError: there is none, or it is not written as it should be.
    """
    if Path(hierarchy).suffix in SUFFIXES:
        return Hierarchy.load(hierarchy)
    if hierarchy not in shipped():
        message = "There is no such hierarchy; one of yours is named by its path, which ends in .yaml."
        raise UserError(message, given=hierarchy, accepted=shipped(), hint="diffexplain list hierarchies")
    return Hierarchy.load(FOLDER / f"{hierarchy}.yaml")


class FileProposer:
    """Proposes what a file says, whatever the images.

    Args:
        hierarchy: a name of the package's, or a path.
        from_run: the directory of a finished run of DiffExplainer, whose findings come on top.

    Raises:
        UserError: a file is missing or wrong.
    """

    def __init__(self, hierarchy: str, from_run: str | None = None) -> None:
        self.hierarchy = load_hierarchy(hierarchy)
        self.found = None if from_run is None else RunProposer(from_run)

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """The file's concepts, then those of the run that the file has not; see `Proposer`."""
        if self.found is None:
            return self.hierarchy
        own = drafts_of(self.hierarchy.roots)
        drafts = merged([*own, *self.found.drafts(target)], fixed=len(own))
        return Hierarchy(self.hierarchy.domain, finished(drafts))
