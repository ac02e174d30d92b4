"""The phrases whose part in a decision is asked about, read from a YAML file; and sentences made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from diffexplain.concepts.content_words import content_words
from diffexplain.errors import UserError
from diffexplain.weights.documents import MOST_OF_YAML, from_yaml, read_text
from diffexplain.weights.paths import resolve_file

Kind = Literal["object", "setting", "sub-type", "attribute"]
_FORMER = "description"
"""What files of earlier versions call an attribute; and attribute what is a sub-type."""
_KEYS = ("phrase", "kind", "of", "caption", "companion")
_ARTICLES = ("a", "an")
_PREPOSITIONS = (
    *("above", "among", "at", "before", "behind", "below", "beside", "by", "during", "from", "in", "inside"),
    *("near", "of", "on", "outside", "over", "under", "with"),
)
"""A text that begins so stands behind the noun."""
_SIDES = frozenset(("left", "right", "centre", "center", "middle", "top", "bottom", "corner"))


@dataclass(frozen=True)
class Phrase:
    """One element of the vocabulary.

    Attributes:
        text: what the segmenter is asked for, and what the report calls it: "a flag".
        kind: an object; the setting of the whole picture; a sub-type of the object ``of``; or an attribute of the
            main object, which has no mask of its own: its colour, pattern, size, place or weather.
        of: the text of the object that a sub-type is one of, or in what an attribute is one of several ("colour");
            None for the others.
        caption: how a description of a picture says it ("in the snow"); the text itself by default.
        companion: named after the main object, as in "a bee with a flower".
    """

    text: str
    kind: Kind = "object"
    of: str | None = None
    caption: str = ""
    companion: bool = False

    @property
    def is_thing(self) -> bool:
        """Whether it names an object, or one by its sub-type."""
        return self.kind in ("object", "sub-type")

    @property
    def said(self) -> str:
        """The phrase as a description says it."""
        return self.caption or self.text


@dataclass(frozen=True)
class Vocabulary:
    """All phrases asked about, in the file's order.

    ``opening`` begins every description; ``anything`` stands for the main object where none is known and
    there are companions to be named after it.
    """

    phrases: tuple[Phrase, ...]
    opening: str = "a photo"
    anything: str = "something"

    @staticmethod
    def load(path: str, more: str | None = None) -> Vocabulary:
        """Read a vocabulary file, and perhaps a second one whose phrases and sentences are added.

        Raises:
            UserError: missing, not YAML, an unknown key or kind, a phrase twice, a sub-type of nothing, an attribute
            that nothing can stand in the place of.
        """
        files = [resolve_file(text) for text in (path, more) if text is not None]
        contents = [_read(file) for file in files]
        phrases = tuple(
            _phrase(entry, str(file))
            for file, content in zip(files, contents, strict=True)
            for entry in content["elements"]
        )
        objects = {phrase.text for phrase in phrases if phrase.kind == "object"}
        phrases = tuple(_as_present(phrase, objects) for phrase in phrases)
        _check(phrases, objects, " with ".join(map(str, files)))
        sentences = {
            key: str(content[key]) for content in contents for key in ("opening", "anything") if key in content
        }
        return Vocabulary(phrases, **sentences)

    def find(self, text: str) -> Phrase | None:
        """The phrase with this text, whatever its case; None if there is none."""
        return next((phrase for phrase in self.phrases if phrase.text.casefold() == text.casefold()), None)

    def said_with(self, word: str) -> list[Phrase]:
        """The phrases that a description says with this word, whatever its case."""
        return [phrase for phrase in self.phrases if word.casefold() in content_words([phrase.said])]

    def including(self, phrase: Phrase) -> Vocabulary:
        """The same vocabulary with ``phrase`` in front, unless it has it."""
        if self.find(phrase.text):
            return self
        return Vocabulary((phrase, *self.phrases), self.opening, self.anything)

    @property
    def has_companions(self) -> bool:
        """Whether there are objects that come along with one main object."""
        return any(phrase.companion for phrase in self.phrases)

    def describe(self, things: Sequence[Phrase]) -> str:
        """One sentence that names these objects (and sub-types), settings and attributes, and nothing else.

        >>> Vocabulary(()).describe([Phrase("a bee"), Phrase("red", "attribute"), Phrase("a flower", companion=True)])
        'a photo of a red bee with a flower'
        """
        named = [thing for thing in things if thing.is_thing]
        main = [thing.said for thing in named if not thing.companion]
        companions = [thing.said for thing in named if thing.companion]
        settings = [thing.said for thing in things if thing.kind == "setting"]
        attributes = [thing.said for thing in things if thing.kind == "attribute"]
        if (companions or attributes) and not main:
            main = [self.anything]
        main[:1] = [described(noun, attributes) for noun in main[:1]]
        parts = [self.opening]
        if main:
            parts.append("of " + " and ".join(main))
        if companions:
            parts.append("with " + " and ".join(companions))
        return " ".join([*parts, *settings])


def class_phrase(class_name: str) -> str:
    """A class's name as a noun phrase: ``dog_sled`` becomes "a dog sled"."""
    noun = class_name.replace("_", " ").strip()
    silent = noun.lower().startswith(("hour", "heir", "honest"))
    return f"an {noun}" if silent or noun[:1].lower() in tuple("aeiou") else f"a {noun}"


def described(noun: str, descriptions: Sequence[str]) -> str:
    """A noun phrase with adjectives before its noun and what begins with a preposition behind it.

    >>> described("a bee", ["orange", "on the left"])
    'an orange bee on the left'
    """
    before = [text for text in descriptions if text.split()[0].lower() not in _PREPOSITIONS]
    behind = [text for text in descriptions if text not in before]
    first, _, rest = noun.partition(" ")
    if before and first.lower() in _ARTICLES and rest:
        noun = class_phrase(" ".join([*before, rest]))
    else:
        noun = " ".join([*before, noun])
    return " ".join([noun, *behind])


def says_where(description: str) -> bool:
    """Whether a description is a place in the image: "on the left"; which neither a mask nor CLIP tells."""
    first, *others = description.lower().split()
    return first in _PREPOSITIONS and not _SIDES.isdisjoint(others)


def _read(file: Path) -> dict[str, Any]:
    try:
        content: Any = from_yaml(read_text(file, MOST_OF_YAML))
    except ValueError as error:
        raise UserError(f"The vocabulary {file} is not valid YAML: {error}") from error
    except OSError as error:
        raise UserError(f"The vocabulary {file} cannot be read: {error.strerror}.") from error
    if isinstance(content, list):
        content = {"elements": content}
    if not isinstance(content, dict) or not isinstance(content.get("elements"), list):
        raise UserError(f"The vocabulary {file} must be a list, or hold one under `elements`.")
    for key in content:
        if key not in ("elements", "opening", "anything"):
            accepted = ("elements", "opening", "anything")
            raise UserError(f"The vocabulary {file} has an unknown key.", given=key, accepted=accepted)
    return content


def _phrase(entry: Any, file: str) -> Phrase:
    if not isinstance(entry, dict) or not isinstance(entry.get("phrase"), str) or not entry["phrase"].strip():
        raise UserError(f"Every element of {file} needs a `phrase`.", given=entry)
    for key in entry:
        if key not in _KEYS:
            raise UserError(f"An element of {file} has an unknown key.", given=key, accepted=_KEYS)
    kind = entry.get("kind", "object")
    if kind not in (*get_args(Kind), _FORMER):
        raise UserError(f"An element of {file} has an unknown kind.", given=kind, accepted=get_args(Kind))
    return Phrase(
        text=entry["phrase"].strip(),
        kind=kind,
        of=entry.get("of"),
        caption=entry.get("caption") or "",
        companion=bool(entry.get("companion", False)),
    )


def _as_present(phrase: Phrase, objects: Container[str]) -> Phrase:
    """With the present name of its kind: what is `of` an object is a sub-type, of anything else an attribute."""
    if phrase.kind not in ("attribute", _FORMER):
        return phrase
    return replace(phrase, kind="sub-type" if phrase.kind == "attribute" and phrase.of in objects else "attribute")


def _check(phrases: tuple[Phrase, ...], objects: set[str], file: str) -> None:
    seen: set[str] = set()
    for phrase in phrases:
        if phrase.text.casefold() in seen:
            raise UserError(f"{file} names a phrase twice.", given=phrase.text)
        seen.add(phrase.text.casefold())
        if (phrase.kind in ("sub-type", "attribute")) != (phrase.of is not None):
            message = f"In {file}, sub-types and attributes, and only they, say what they are `of`."
            raise UserError(message, given=phrase.text)
        if phrase.kind == "sub-type" and phrase.of not in objects:
            message = f"In {file}, {phrase.text!r} is a sub-type of an object that is not there."
            raise UserError(message, given=phrase.of, accepted=tuple(sorted(objects)))
    aspects = Counter(phrase.of for phrase in phrases if phrase.kind == "attribute")
    for aspect in (aspect for aspect, count in aspects.items() if count == 1):
        message = f"In {file}, an attribute needs another `of` the same that can stand in its place."
        raise UserError(message, given=aspect, accepted=tuple(sorted(objects)))
