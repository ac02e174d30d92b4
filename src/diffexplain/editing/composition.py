"""Which concepts an image shows, what a change makes of them, and how a prompt says the result.

A *state* is the set of concepts that are in an image, each by its path in the hierarchy. An object is there or not; an
attribute or a setting has rivals, its siblings, of which one holds at a time; a sub-type says its object with it. A
word, of which nobody has said what it names, is said or not, behind all else or, a modifier, before the subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.concepts.vocabulary import described, says_where

Path = tuple[str, ...]
State = frozenset[Path]
Role = Literal["object", "sub-type", "attribute", "setting", "word"]


@dataclass(frozen=True)
class Change:
    """A concept put into an image or, with ``reverse``, taken out of it."""

    path: Path
    reverse: bool = False


class Composition:
    """States and sentences of one subject under one hierarchy.

    Args:
        hierarchy: of the concepts.
        subject: what all images show, as a noun phrase: "a flagpole".
        opening: begins every sentence.
    """

    def __init__(self, hierarchy: Hierarchy, subject: str, opening: str = "a photo of") -> None:
        self.hierarchy = hierarchy
        self.subject = subject
        self.opening = opening
        self.concepts: dict[Path, Concept] = dict(hierarchy.concepts())
        self._places = {path: place for place, path in enumerate(self.concepts)}

    def role(self, path: Path) -> Role:
        """What the concept is in an image: a sub-type is an attribute below an object, not of the subject."""
        concept = self.concepts[path]
        if concept.kind == "attribute" and self.object_of(path) is not None:
            return "sub-type"
        return "word" if concept.kind == "modifier" else concept.kind

    def says_where(self, path: Path) -> bool:
        """Whether the concept is a place of the subject in the image: "on the left"."""
        return self.role(path) == "attribute" and says_where(self.concepts[path].text)

    def rivals(self, path: Path) -> tuple[Path, ...]:
        """The siblings that an image shows in the concept's place; none of an object or a word."""
        if self.role(path) in ("object", "word"):
            return ()
        return tuple((*path[:-1], sibling.name) for sibling in self.hierarchy.siblings(path))

    def subtypes(self, path: Path) -> tuple[Path, ...]:
        """The sub-types of an object, in order."""
        return tuple(other for other in self.concepts if other[:-1] == path and self.role(other) == "sub-type")

    def object_of(self, path: Path) -> Path | None:
        """The nearest object that the concept stands below; None where there is none."""
        above = [path[:depth] for depth in range(len(path) - 1, 0, -1)]
        return next((p for p in above if p in self.concepts and self.concepts[p].kind == "object"), None)

    def tops(self) -> tuple[Path, ...]:
        """The concepts above which there are categories alone, in order: the roots of the search."""
        return tuple(path for path in self.concepts if not any(path[:k] in self.concepts for k in range(1, len(path))))

    def choices(self) -> tuple[list[list[Path]], list[Path]]:
        """The values of each thing that has several, and the objects: what a description is drawn from."""
        groups: dict[tuple[Path, str], list[Path]] = {}
        objects: list[Path] = []
        for path in self.tops():
            kind = self.concepts[path].kind
            if kind == "object":
                objects.append(path)
            elif self.role(path) != "word":
                groups.setdefault((path[:-1], kind), []).append(path)
        return [values for values in groups.values() if len(values) > 1], objects

    def words(self) -> list[Path]:
        """The words, in order."""
        return [path for path in self.tops() if self.role(path) == "word"]

    def draw_values(self, generator: np.random.Generator, stated: int) -> State:
        """One value each of at most ``stated`` things that have several."""
        several, _ = self.choices()
        chosen = sorted(generator.permutation(len(several))[:stated])
        return frozenset(several[place][int(generator.integers(len(several[place])))] for place in chosen)

    def shows(self, state: State, path: Path) -> bool:
        """Whether the concept, or a finer one below it, is in the state."""
        return any(other[: len(path)] == path for other in state)

    def compatible(self, one: Path, other: Path) -> bool:
        """Whether an image can show both: they do not lead to two values of the same thing."""
        for depth in range(1, min(len(one), len(other)) + 1):
            if one[:depth] != other[:depth]:
                branch = one[:depth]
                return branch not in self.concepts or other[:depth] not in self.rivals(branch)
        return True

    def put(self, state: State, path: Path) -> State:
        """The state with the concept in it: rivals give way, and a finer concept says the broader ones."""
        if self.shows(state, path):
            return state
        kept = {other for other in state if self.compatible(path, other) and path[: len(other)] != other}
        return frozenset({*kept, path})

    def take(self, state: State, path: Path, generator: np.random.Generator) -> State:
        """The state without the concept: an object is gone; in the place of a value is a rival, all equally likely.

        Of a sub-type its object stays, or is put in: without the sub-type means with another one.
        """
        rivals = self.rivals(path)
        if any(self.shows(state, rival) for rival in rivals):
            return state
        without = frozenset(other for other in state if other[: len(path)] != path)
        if rivals:
            return self.put(without, rivals[int(generator.integers(len(rivals)))])
        parent = self.object_of(path)
        return without if parent is None or self.role(path) != "sub-type" else self.put(without, parent)

    def apply(self, state: State, changes: Sequence[Change], generator: np.random.Generator) -> State:
        """The state after the changes, in their order; ``generator`` draws the rivals."""
        for change in changes:
            state = self.take(state, change.path, generator) if change.reverse else self.put(state, change.path)
        return state

    def ordered(self, state: State) -> list[Path]:
        """The state's concepts in the hierarchy's order."""
        return sorted(state, key=self._places.__getitem__)

    def sentence(self, state: State, before: State = frozenset()) -> str:
        """The prompt of a state: opening, attributes, modifiers and subject, objects, settings, words.

        For example "a photo of a red flagpole on the left with a striped flag in the snow, grass dog". Objects that the
        image showed ``before`` are named first: where priors place things in the order of their names, what is added
        then takes no other's place.
        """
        said: dict[Role, list[str]] = {"object": [], "sub-type": [], "attribute": [], "setting": [], "word": []}
        things: list[tuple[bool, str]] = []  # whether it is new, and what it is called
        for path in self.ordered(state):
            role, text = self.role(path), self.concepts[path].text
            said["attribute" if self.concepts[path].kind == "modifier" else role].append(text)
            if role in ("object", "sub-type"):
                things.append((not self.shows(before, self.object_of(path) or path), text))
        parts = [self.opening, described(self.subject, said["attribute"])]
        if things:
            parts.append("with " + " and ".join(text for _, text in sorted(things, key=lambda thing: thing[0])))
        sentence = " ".join(part for part in [*parts, *said["setting"]] if part)
        return ", ".join([sentence, " ".join(said["word"])]) if said["word"] else sentence

    def phrase(self, path: Path) -> str:
        """The concept as something to look for in an image: "a red flagpole", "a striped flag", "in the snow"."""
        text = self.concepts[path].text
        return described(self.subject, [text]) if self.role(path) == "attribute" else text

    def description(self, path: Path) -> str:
        """The subject with an attribute or in a setting, and nothing else: "a red flagpole", "a flagpole at night"."""
        text = self.concepts[path].text
        return described(self.subject, [text]) if self.role(path) == "attribute" else f"{self.subject} {text}"
