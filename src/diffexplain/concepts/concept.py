"""A concept with the finer ones below it, and what is wrong with a tree of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from diffexplain.target import slugify

Kind = Literal["object", "attribute", "setting", "word", "modifier"]
KINDS: tuple[str, ...] = get_args(Kind)
WORDS: tuple[Kind, ...] = ("word", "modifier")
"""The kinds of words, of which nobody has said what they name."""
SEPARATOR = " > "
"""Between the names of a path, where a path is shown."""

Names = tuple[str, ...]
_NAME = re.compile(r"[^\W_][\w '&.,()%+-]*")
_NO_NAME = re.compile(r"^[\W_]+|[^\w '&.,()%+-]+")
_NAME_LIMIT = 60
_TEXT_LIMIT = 200
_ARTICLE = re.compile(r"(?:an?|the|some) (?=\S)")


@dataclass(frozen=True)
class Concept:
    """One node of a hierarchy.

    Attributes:
        name: unique in its hierarchy, readable in tables: "striped flag".
        text: what a prompt says for it: "a striped flag", "in the snow", "red". Empty for a category ("companion",
            "colour"): it groups what is below it and is never edited itself.
        kind: an object, which may be there or not ("a beard"); an attribute, a value of the subject ("red", "on the
            left") or, below an object, a sub-type of that ("a striped flag"); the setting of the whole image; or a word
            that says none of this, behind all else ("flag") or, as a modifier, before the subject ("yellow"). Of a
            category: what is below it unless that says otherwise.
        children: finer ones, in order.
    """

    name: str
    text: str
    kind: Kind
    children: tuple[Concept, ...] = ()

    @property
    def is_category(self) -> bool:
        """Whether it only groups others."""
        return not self.text

    def walk(self, above: Names = ()) -> Iterator[tuple[Names, Concept]]:
        """Itself and all below it with their paths, parents first; categories too."""
        path = (*above, self.name)
        yield path, self
        for child in self.children:
            yield from child.walk(path)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a hierarchy, and where: the position of the node, counted from 0 at each level."""

    message: str
    given: str | None = None
    position: tuple[int, ...] = ()


def find_fault(domain: str, roots: tuple[Concept, ...]) -> Fault | None:
    """The first thing that is wrong with a hierarchy of these; None if nothing is."""
    if not _is_line(domain, _TEXT_LIMIT):
        return Fault("The domain of a hierarchy is one short line.", domain)
    named: dict[str, str] = {}
    said: dict[str, str] = {}
    for position, path, concept in _positions(roots):
        shown = SEPARATOR.join(path)
        message = None
        slug, text = slugify(concept.name).casefold(), concept.text.casefold()
        if len(concept.name) > _NAME_LIMIT or not _NAME.fullmatch(concept.name) or concept.name[-1] == " ":
            message = "A concept's name is a few words without slashes and other signs."
        elif concept.kind not in KINDS:
            message = f"A concept's kind is one of {', '.join(KINDS)}, not {concept.kind!r}."
        elif not _is_line(concept.text, _TEXT_LIMIT):
            message = "A concept's text is one short line."
        elif concept.is_category and not concept.children:
            message = "A concept needs a text, or, as a category, finer ones below it."
        elif slug in named:
            message = f"Two concepts have the same name; the other is {named[slug]}."
        elif text and text in said:
            message = f"Two concepts have the same text, {concept.text!r}; the other is {said[text]}."
        if message is not None:
            return Fault(message, shown, position)
        named[slug] = said[text] = shown
    # A leaf without a text is a fault above, so that wherever there is a root there is a concept.
    return None if roots else Fault("A hierarchy needs at least one concept.")


def name_of(text: str) -> str:
    """The name of a concept that has only a text: the text without its article and without odd signs, cut short.

    >>> name_of("a striped flag")
    'striped flag'
    """
    without = _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
    return " ".join(_NO_NAME.sub(" ", without).split())[:_NAME_LIMIT].strip()


def kind_below(concept: Concept | None) -> Kind | None:
    """The kind of what stands below ``concept`` and does not say its own: a sub-type of an object is an attribute.

    None at the root, where every concept says its kind.
    """
    if concept is None:
        return None
    return "attribute" if concept.kind == "object" and not concept.is_category else concept.kind


def _positions(
    concepts: tuple[Concept, ...], position: tuple[int, ...] = (), path: Names = ()
) -> Iterator[tuple[tuple[int, ...], Names, Concept]]:
    for index, concept in enumerate(concepts):
        here, named = (*position, index), (*path, concept.name)
        yield here, named, concept
        yield from _positions(concept.children, here, named)


def _is_line(text: str, limit: int) -> bool:
    return len(text) <= limit and text == text.strip() and all(sign.isprintable() for sign in text)
