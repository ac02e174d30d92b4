"""What is explained: the target's grammar, its look-up among a classifier's classes, did-you-mean.

``class:flagpole``, ``class:557`` (index), ``class:n03355925`` (WordNet id), ``unit:layer4.2:512``
(module path and channel), ``unit:layer4.2:512@flagpole`` (a unit, with the class whose core and
spurious features it is compared with).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from diffexplain.errors import UserError

Kind = Literal["class", "unit"]

GRAMMAR = (
    "class:<name>",
    "class:<index>",
    "class:<wnid>",
    "unit:<module>:<channel>",
    "unit:<module>:<channel>@<class>",
)
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Target:
    """A target as the user wrote it, its grammar checked, nothing looked up yet."""

    kind: Kind
    text: str
    module: str | None = None
    channel: int | None = None
    class_text: str | None = None

    @staticmethod
    def parse(text: str) -> Target:
        """Read ``text``.

        Raises:
            UserError: it does not follow the grammar.
        """
        text = str(text).strip()
        kind, _, rest = text.partition(":")
        if kind == "class" and rest:
            return Target("class", text, class_text=rest)
        if kind == "unit":
            unit, at, class_text = rest.partition("@")
            module, _, channel = unit.rpartition(":")
            if module and channel.isascii() and channel.isdigit() and bool(at) == bool(class_text):
                return Target("unit", text, module, int(channel), class_text or None)
        raise UserError("The target is not written as one can be.", given=text, accepted=GRAMMAR)

    def resolve(self, labels: Labels) -> ResolvedTarget:
        """Look the class up among ``labels``; a unit's module is checked where the model is known.

        Raises:
            UserError: no such class, or more than one.
        """
        index = None if self.class_text is None else labels.resolve(self.class_text)
        name = None if index is None else labels.names[index]
        key = None if index is None else labels.key(index)
        if self.kind == "class":
            text = f"class:{key}"
        else:
            text = f"unit:{self.module}:{self.channel}" + (f"@{key}" if key is not None else "")
        return ResolvedTarget(
            kind=self.kind,
            text=text,
            slug=slugify(text),
            class_index=index,
            class_name=name,
            module=self.module,
            channel=self.channel,
        )


@dataclass(frozen=True)
class ResolvedTarget:
    """A target that exists.

    Attributes:
        text: canonical, the same however the class was given: identity and draws are keyed by it.
        slug: the text as a file name.
        class_index: position of the class among the logits; ``None`` for a unit without a class.
        class_name: the class as the classifier names it.
        module: path of a unit's module, as in ``named_modules``.
        channel: a unit's channel.
    """

    kind: Kind
    text: str
    slug: str
    class_index: int | None = None
    class_name: str | None = None
    module: str | None = None
    channel: int | None = None


@dataclass(frozen=True)
class Label:
    """One class of a classifier; ``wnid`` is its WordNet id where there is one, ``slug`` a plain unmistakable name."""

    index: int
    name: str
    wnid: str | None = None
    synonyms: tuple[str, ...] = ()
    slug: str = ""


@dataclass(frozen=True)
class Labels:
    """A classifier's classes in the order of its logits."""

    name: str
    classes: tuple[Label, ...]

    @staticmethod
    def load(path: str | Path) -> Labels:
        """Read ``labels.json``, or the one in a classifier's folder.

        Raises:
            UserError: missing, not JSON, or indices that do not count up from 0.
        """
        path = Path(path)
        path = path / "labels.json" if path.is_dir() else path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return Labels.from_mapping(content)
        except FileNotFoundError:
            raise UserError(f"The classifier's class names are missing: {path}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"The class names in {path} cannot be read: {error}") from error

    @staticmethod
    def from_mapping(content: Mapping[str, Any]) -> Labels:
        """Labels from ``{"name": ..., "classes": [{"index", "name", "wnid", "synonyms", "slug"}, ...]}``.

        Raises:
            ValueError: the indices are not 0, 1, 2, ...
        """
        classes = tuple(
            Label(
                index=int(entry["index"]),
                name=str(entry["name"]),
                wnid=entry.get("wnid"),
                synonyms=tuple(entry.get("synonyms") or ()),
                slug=str(entry.get("slug") or ""),
            )
            for entry in content["classes"]
        )
        if [label.index for label in classes] != list(range(len(classes))):
            raise ValueError("the indices of the classes must be 0, 1, 2, ... in this order")
        return Labels(str(content["name"]), classes)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all classes, in the order of the logits."""
        return tuple(label.name for label in self.classes)

    def resolve(self, text: str) -> int:
        """The index of the class that ``text`` names by index, WordNet id, name, slug or synonym.

        Case, spaces, underscores and hyphens do not matter. A name goes before a synonym.

        Raises:
            UserError: nothing fits (with the nearest names), or several do (with their indices).
        """
        text = text.strip()
        if text.isascii() and text.isdigit():
            if int(text) < len(self):
                return int(text)
            message = f"{self.name} has {len(self)} classes, 0 to {len(self) - 1}."
            raise UserError(message, given=f"class index {text}", hint=self._list_command)
        if _WNID.fullmatch(text):
            found = [label.index for label in self.classes if label.wnid == text]
        else:
            wanted = _folded(text)
            found = [label.index for label in self.classes if wanted in (_folded(label.name), _folded(label.slug))]
            found = found or [
                label.index for label in self.classes if wanted in [_folded(synonym) for synonym in label.synonyms]
            ]
        if len(found) == 1:
            return found[0]
        if found:
            indices = ", ".join(f"class:{index}" for index in found)
            message = f"{len(found)} classes of {self.name} have this name; choose by index."
            raise UserError(message, given=text, accepted=[indices], hint=self._list_command)
        known = dict.fromkeys(name for label in self.classes for name in (label.name, *label.synonyms))
        raise UserError(
            f"{self.name} has no such class.",
            given=text,
            accepted=tuple(known),
            hint=self._list_command,
        )

    def key(self, index: int) -> str:
        """How class ``index`` is named unmistakably: its name, or else its WordNet id or index."""
        label = self.classes[index]
        folded = [_folded(other.name) for other in self.classes]
        readable = not _WNID.fullmatch(label.name) and not label.name.strip().isdigit()
        if readable and folded.count(_folded(label.name)) == 1:
            return label.name
        return label.wnid or str(index)

    @property
    def _list_command(self) -> str:
        return f"diffexplain list classes classifier={self.name}"


def slugify(text: str, limit: int = 80) -> str:
    """``text`` as a file name: ASCII letters, digits, ``.``, ``_`` and ``-`` only.

    What that loses (other scripts, slashes, length) is kept apart by a short hash of the whole.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.")
    harmless = re.fullmatch(r"[A-Za-z0-9._:@ -]+", text) is not None
    if harmless and slug and len(slug) <= limit:
        return slug
    return f"{slug[: limit - 9]}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
