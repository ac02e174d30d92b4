"""Reading a hierarchy that a person wrote: YAML, every mistake named with its line.

The file is read as nodes and not as values, since only nodes know their lines; so every scalar is text, and a concept
may be called ``no`` or ``5``.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import yaml

from diffexplain.concepts.concept import Concept, Fault, Kind, find_fault, kind_below, name_of
from diffexplain.errors import UserError
from diffexplain.weights.documents import MOST_OF_YAML, read_text, yaml_nodes

_TOP = ("domain", "concepts")
_KEYS = ("name", "text", "kind", "children")
_DEEPEST = 12


def read_concepts(file: Path) -> tuple[str, tuple[Concept, ...]]:
    """The domain and the roots of the hierarchy in a YAML file, in which nothing is wrong.

    Raises:
        UserError: not YAML, or not a hierarchy; the message names file and line.
    """
    try:
        content = yaml_nodes(read_text(file, MOST_OF_YAML))
    except ValueError as error:
        raise UserError(f"The hierarchy {file} is not valid YAML: {error}") from error
    except OSError as error:
        raise UserError(f"The hierarchy {file} cannot be read: {error.strerror}.") from error
    return _Reader(file).content(content)


class _Reader:
    """Goes through the nodes of one file and remembers the line of every concept by its position."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[tuple[int, ...], int] = {}
        self.visited: set[int] = set()

    def content(self, node: yaml.Node | None) -> tuple[str, tuple[Concept, ...]]:
        if node is None:
            raise UserError(f"The hierarchy {self.file} is empty.")
        fields = self._mapping(node, _TOP, "A hierarchy")
        if "concepts" not in fields:
            raise self._error("A hierarchy has its concepts in a list under `concepts`.", node)
        domain = self._text(fields["domain"]) if "domain" in fields else ""
        entries = self._items(fields["concepts"], "concepts")
        roots = tuple(self._concept(entry, None, (index,)) for index, entry in enumerate(entries))
        fault = find_fault(domain, roots)
        if fault is not None:
            raise self._fault(fault, node)
        return domain, roots

    def _concept(self, node: yaml.Node, parent: Concept | None, position: tuple[int, ...]) -> Concept:
        self.lines[position] = _line(node)
        if len(position) > _DEEPEST:
            raise self._error(f"A hierarchy is at most {_DEEPEST} levels deep.", node)
        usual = kind_below(parent)
        if isinstance(node, yaml.ScalarNode):
            fields: dict[str, yaml.Node] = {"text": node}
        else:
            fields = self._mapping(node, _KEYS, "A concept")
        text = self._text(fields["text"]) if "text" in fields else ""
        name = self._text(fields["name"]) if "name" in fields else name_of(text)
        if not name:
            raise self._error("A concept needs a `text`, or, as a category, a `name`.", node)
        kind = self._kind(fields["kind"]) if "kind" in fields else usual
        if kind is None:
            raise self._error("A concept that stands at the top needs a `kind`.", node, name, get_args(Kind))
        concept = Concept(name, text, kind)
        if "children" not in fields:
            return concept
        entries = self._items(fields["children"], "children")
        children = tuple(self._concept(entry, concept, (*position, index)) for index, entry in enumerate(entries))
        return Concept(name, text, kind, children)

    def _kind(self, node: yaml.Node) -> Kind:
        given = self._text(node)
        for kind in get_args(Kind):
            if kind == given:
                return kind
        raise self._error("There is no such kind of concept.", node, given, get_args(Kind))

    def _mapping(self, node: yaml.Node, known: tuple[str, ...], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(f"{what} is a mapping with the keys {', '.join(known)}.", node)
        self._visit(node)
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name not in known:
                raise self._error(f"{what} has no such key.", key, name, known)
            if name in fields:
                raise self._error(f"{what} has a key twice.", key, name)
            fields[name] = value
        return fields

    def _items(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        if isinstance(node, yaml.ScalarNode) and not self._text(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(f"`{key}` is a list.", node)
        self._visit(node)
        return list(node.value)

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error("Here a text is wanted.", node)
        return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value).strip()

    def _visit(self, node: yaml.Node) -> None:
        """A node that is met again is an alias, which might hold itself."""
        if id(node) in self.visited:
            raise self._error("An alias repeats what is written here; every concept is written out.", node)
        self.visited.add(id(node))

    def _fault(self, fault: Fault, top: yaml.Node) -> UserError:
        line = self.lines.get(fault.position, _line(top))
        return UserError(f"{self.file}, line {line}: {fault.message}", given=fault.given)

    def _error(
        self, message: str, node: yaml.Node, given: str | None = None, accepted: tuple[str, ...] = ()
    ) -> UserError:
        return UserError(f"{self.file}, line {_line(node)}: {message}", given=given, accepted=accepted)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
