"""The phrases whose part in a decision is asked about, read from a YAML file; and sentences made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from diffexplain.errors import UserError
from diffexplain.paths import resolve_file

Kind = Literal["object", "setting", "attribute"]
_KEYS = ("phrase", "kind", "of", "caption", "companion")


@dataclass(frozen=True)
class Phrase:
    """One element of the vocabulary.

    Attributes:
        text: what the segmenter is asked for, and what the report calls it: "a flag".
        kind: an object; the setting of the whole picture; or an attribute, a kind of the object ``of``.
        of: the text of the object that an attribute is a kind of; None for the others.
        caption: how a description of a picture says it ("in the snow"); the text itself by default.
        companion: named after the main object, as in "a bee with a flower".
    """

    text: str
    kind: Kind = "object"
    of: str | None = None
    caption: str = ""
    companion: bool = False

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
            UserError: missing, not YAML, an unknown key or kind, a phrase twice, an attribute of nothing.
        """
        files = [resolve_file(text) for text in (path, more) if text is not None]
        contents = [_read(file) for file in files]
        phrases = tuple(
            _phrase(entry, str(file))
            for file, content in zip(files, contents, strict=True)
            for entry in content["elements"]
        )
        _check(phrases, " with ".join(map(str, files)))
        sentences = {
            key: str(content[key]) for content in contents for key in ("opening", "anything") if key in content
        }
        return Vocabulary(phrases, **sentences)

    def find(self, text: str) -> Phrase | None:
        """The phrase with this text, whatever its case; None if there is none."""
        return next((phrase for phrase in self.phrases if phrase.text.casefold() == text.casefold()), None)

    def including(self, phrase: Phrase) -> Vocabulary:
        """The same vocabulary with ``phrase`` in front, unless it has it."""
        if self.find(phrase.text):
            return self
        return Vocabulary((phrase, *self.phrases), self.opening, self.anything)

    def siblings(self, phrase: Phrase) -> tuple[Phrase, ...]:
        """What ``phrase`` can be exchanged for: the other settings, or the other kinds of its object."""
        if phrase.kind == "object":
            return ()
        return tuple(
            other
            for other in self.phrases
            if other.kind == phrase.kind and other.of == phrase.of and other.text != phrase.text
        )

    @property
    def has_companions(self) -> bool:
        """Whether there are objects that come along with one main object."""
        return any(phrase.companion for phrase in self.phrases)

    def describe(self, things: Sequence[Phrase]) -> str:
        """One sentence that names these objects (and kinds of object) and settings and nothing else.

        >>> Vocabulary(()).describe([Phrase("a bee"), Phrase("a flower", companion=True)])
        'a photo of a bee with a flower'
        """
        main = [thing.said for thing in things if thing.kind != "setting" and not thing.companion]
        companions = [thing.said for thing in things if thing.kind != "setting" and thing.companion]
        settings = [thing.said for thing in things if thing.kind == "setting"]
        if companions and not main:
            main = [self.anything]
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


def _read(file: Path) -> dict[str, Any]:
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"The vocabulary {file} is not valid YAML: {error}") from error
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
    if kind not in get_args(Kind):
        raise UserError(f"An element of {file} has an unknown kind.", given=kind, accepted=get_args(Kind))
    return Phrase(
        text=entry["phrase"].strip(),
        kind=kind,
        of=entry.get("of"),
        caption=entry.get("caption") or "",
        companion=bool(entry.get("companion", False)),
    )


def _check(phrases: tuple[Phrase, ...], file: str) -> None:
    objects = {phrase.text for phrase in phrases if phrase.kind == "object"}
    seen: set[str] = set()
    for phrase in phrases:
        if phrase.text.casefold() in seen:
            raise UserError(f"{file} names a phrase twice.", given=phrase.text)
        seen.add(phrase.text.casefold())
        if (phrase.kind == "attribute") != (phrase.of is not None):
            raise UserError(f"In {file}, attributes and only they say what they are `of`.", given=phrase.text)
        if phrase.of is not None and phrase.of not in objects:
            message = f"In {file}, {phrase.text!r} is a kind of an object that is not there."
            raise UserError(message, given=phrase.of, accepted=tuple(sorted(objects)))
