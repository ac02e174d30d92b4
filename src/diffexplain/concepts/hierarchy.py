"""A hierarchy of concepts: category > concept > sub-type, a tree that a person can read, edit and hand back.

This module imports neither torch nor anything that loads a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from diffexplain.concepts.concept import SEPARATOR, Concept, Names, find_fault, kind_below, name_of
from diffexplain.concepts.reading import read_concepts
from diffexplain.errors import UserError
from diffexplain.weights import atomic
from diffexplain.weights.paths import resolve_file


@dataclass(frozen=True)
class Hierarchy:
    """All concepts that one domain is explained by.

    Attributes:
        domain: the phrase that the concepts are about: "a face". Empty: the target's own class.
        roots: the categories, or concepts that stand alone, in order.

    Raises:
        UserError: a name or text that is malformed or given twice, or nothing that could be edited.
    """

    domain: str
    roots: tuple[Concept, ...]

    def __post_init__(self) -> None:
        fault = find_fault(self.domain, self.roots)
        if fault is not None:
            raise UserError(fault.message, given=fault.given)

    def concepts(self) -> Iterator[tuple[Names, Concept]]:
        """Every concept that can be edited with its path, parents first; categories are in the paths alone."""
        for root in self.roots:
            yield from ((path, concept) for path, concept in root.walk() if not concept.is_category)

    def find(self, path: Names) -> Concept:
        """The node at ``path``, category or not.

        Raises:
            KeyError: there is none.
        """
        nodes = self.roots
        found = None
        for name in path:
            found = next((node for node in nodes if node.name == name), None)
            if found is None:
                break
            nodes = found.children
        if found is None:
            raise KeyError(SEPARATOR.join(path))
        return found

    def siblings(self, path: Names) -> tuple[Concept, ...]:
        """The other values beside the concept at ``path``: of its parent and its kind, and no categories.

        Raises:
            KeyError: there is no such path.
        """
        concept = self.find(path)
        beside = self.find(path[:-1]).children if len(path) > 1 else self.roots
        return tuple(c for c in beside if c is not concept and c.kind == concept.kind and not c.is_category)

    @classmethod
    def load(cls, path: str | Path) -> Hierarchy:
        """Read a hierarchy from YAML (``docs/concepts.md``); ``embedded:`` names work.

        Raises:
            UserError: missing, not YAML, or not a hierarchy; the message names the line.
        """
        return cls(*read_concepts(resolve_file(str(path))))

    def save(self, path: str | Path) -> None:
        """Write it as YAML, atomically; loading that gives an equal hierarchy."""
        atomic.write_text(Path(path), self.to_yaml())

    def to_yaml(self) -> str:
        """The content of its file: no more than is needed to read it back."""
        content = {"domain": self.domain, "concepts": [_plain(root, None) for root in self.roots]}
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _plain(concept: Concept, parent: Concept | None) -> Any:
    """A concept as YAML has it: its text alone where all else follows from that."""
    content: dict[str, Any] = {}
    if concept.is_category or concept.name != name_of(concept.text):
        content["name"] = concept.name
    if not concept.is_category:
        content["text"] = concept.text
    if concept.kind != kind_below(parent):
        content["kind"] = concept.kind
    if concept.children:
        content["children"] = [_plain(child, concept) for child in concept.children]
    return concept.text if list(content) == ["text"] else content
