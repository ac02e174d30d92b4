"""Hierarchies that somebody wrote down: those of the package, and files of the user's."""

from __future__ import annotations

from pathlib import Path

from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.errors import UserError

FOLDER = Path(__file__).parent / "data" / "hierarchies"
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
