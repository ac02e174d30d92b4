"""What is explained: the target's grammar, its look-up among a classifier's classes, did-you-mean.

``class:flagpole``, ``class:557`` (index), ``class:n03355925`` (WordNet id), ``unit:layer4.2:512``
(module path and channel), ``unit:layer4.2:512@flagpole`` (a unit, with the class whose core and
spurious features it is compared with). Where 10 is the index of one class and the name of another,
``class:index:10`` and ``class:name:10`` say which is meant. In a sweep ``all`` stands for every class, and
``file:<path>`` for what a text file lists.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from diffexplain.errors import UserError

Kind = Literal["class", "unit"]

GRAMMAR = (
    "class:<name>",
    "class:<index>",
    "class:<wnid>",
    "class:name:<name>",
    "class:index:<index>",
    "unit:<module>:<channel>",
    "unit:<module>:<channel>@<class>",
)
ALL, FILE = "all", "file:"
"""What stands for several targets."""
WNID = re.compile(r"n\d{8}")
"""A WordNet id of a noun, as ImageNet's classes have one."""
_INDEX, _NAME = "index:", "name:"
_NO_WORD = re.compile(r"((label|class|id)[\s_-]*)?\d+|n\d{8}", re.IGNORECASE)
"""What stands where a class has no name: LABEL_3, class 3, 3, n03355925."""
_APOSTROPHES = str.maketrans("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "''")
_ADDRESS = r"class:|unit:[A-Za-z0-9._]+:\d+@"


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
        if kind == "class" and rest.strip():
            return Target("class", text, class_text=rest)
        if kind == "unit":
            unit, at, class_text = rest.partition("@")
            module, _, channel = unit.rpartition(":")
            if module and channel.isascii() and channel.isdigit() and bool(at) == bool(class_text):
                return Target("unit", text, module, int(channel), class_text or None)
        if text == ALL or text.startswith(FILE):
            raise UserError(
                "These are several targets; -m makes a run of each.", given=text, accepted=[f"-m target={text}"]
            )
        meant = [f"class:{text}"] if text and ":" not in text else []
        raise UserError("The target is not written as one can be.", given=text, accepted=[*GRAMMAR, *meant])

    def resolve(self, labels: Labels) -> ResolvedTarget:
        """Look the class up among ``labels``; a unit's module is checked where the model is known.

        Warns where the name of the class is no word.

        Raises:
            UserError: no such class, or more than one.
        """
        index = None if self.class_text is None else labels.resolve(self.class_text)
        name = None if index is None else labels.classes[index].word
        key = None if index is None else labels.key(index)
        if self.kind == "class":
            text = f"class:{key}"
        else:
            text = f"unit:{self.module}:{self.channel}" + (f"@{key}" if key is not None else "")
        target = ResolvedTarget(
            kind=self.kind,
            text=text,
            slug=slugify(text),
            class_index=index,
            class_name=name,
            module=self.module,
            channel=self.channel,
        )
        if index is not None and name is None:
            warnings.warn(f"{target.no_object}.", stacklevel=2)
        return target


def several(text: str, labels: Callable[[], Labels]) -> list[str] | None:
    """The targets for which ``all`` or ``file:<path>`` stands; None where ``text`` is one target.

    Of a file, each line is a target, as a class also without ``class:``; empty lines and those behind ``#`` are none.

    Raises:
        UserError: the file cannot be read, or lists nothing.
    """
    text = text.strip()
    if text == ALL:
        known = labels()
        return [f"class:{known.key(index)}" for index in range(len(known))]
    if not text.startswith(FILE):
        return None
    path = Path(text.removeprefix(FILE).strip()).expanduser()
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UserError(f"The list of targets cannot be read: {reason}.", given=path) from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise UserError("The list of targets is empty; it has one a line, as class:bee or bee.", given=path)
    return list(dict.fromkeys(line if line.startswith(("class:", "unit:")) else f"class:{line}" for line in found))


@dataclass(frozen=True)
class ResolvedTarget:
    """A target that exists.

    Attributes:
        text: canonical, the same however the class was given: identity and draws are keyed by it.
        slug: the text as a file name.
        class_index: position of the class among the logits; ``None`` for a unit without a class.
        class_name: the class as the classifier names it; ``None`` without a class, or if that is no word that
            a prompt could say, as LABEL_3.
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

    @property
    def class_key(self) -> str | None:
        """The class as the target's text has it; ``None`` for a unit without a class."""
        if self.class_index is None:
            return None
        return self.text.partition(":" if self.kind == "class" else "@")[2]

    @property
    def no_object(self) -> str:
        """Why nothing can be said about the object itself where there is no ``class_name``, and the remedy."""
        if self.class_index is None:
            return "a unit has an object of its own, and verdicts, only when a class is named beside it"
        return (
            f"{self.class_key} is no word that a prompt could say, so nothing is said about the object itself, and no "
            "concept is tested; classifier.labels=<file or list> names the classes"
        )


@dataclass(frozen=True)
class Label:
    """One class of a classifier; ``wnid`` is its WordNet id where there is one, ``slug`` a plain unmistakable name.

    Neither these nor ``synonyms`` get into a prompt.
    """

    index: int
    name: str
    wnid: str | None = None
    synonyms: tuple[str, ...] = ()
    slug: str = ""

    @property
    def word(self) -> str | None:
        """The name, if a prompt can say it: not one that only counts, as LABEL_3 does, nor a bare WordNet id."""
        return None if _NO_WORD.fullmatch(self.name.strip()) else self.name


@dataclass(frozen=True)
class Labels:
    """A classifier's classes in the order of its logits; ``listed_by``: the overrides by which a command lists them."""

    name: str
    classes: tuple[Label, ...]
    listed_by: str = ""

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
                synonyms=tuple(str(synonym) for synonym in _list(entry.get("synonyms") or [])),
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
            UserError: nothing fits (with the nearest names), or several do (with what tells them apart).
        """
        text = text.strip()
        found = self.matching(text)
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown(text)
        by_name = self.matching(_NAME + text)
        if _is_number(text) and len(by_name) == 1:
            message = f"{text} is the index of one class of {self.name} and names another."
            (named,) = by_name
            readings = (f"class:{_INDEX}{int(text)} ({self.names[int(text)]})", f"class:{_NAME}{text} (class {named})")
            raise UserError(message, given=text, accepted=readings, hint=self._list_command)
        message = f"{len(found)} classes of {self.name} have this name; choose by index."
        indices = ", ".join(f"class:{self._by_index(index)}" for index in found)
        raise UserError(message, given=text, accepted=[indices], hint=self._list_command)

    def matching(self, text: str) -> list[int]:
        """The indices of all classes that ``text`` may mean."""
        text = text.strip()
        if text.casefold().startswith(_INDEX):
            return self._with_index(text[len(_INDEX) :])
        if text.casefold().startswith(_NAME):
            return self._with_name(text[len(_NAME) :])
        return sorted({*self._with_index(text), *self._with_name(text), *self._wnids.get(text.casefold(), ())})

    def key(self, index: int) -> str:
        """How class ``index`` is named unmistakably: its name, or else its WordNet id or index."""
        label = self.classes[index]
        written = (label.name, label.wnid or "", _NAME + label.name)
        return next((text for text in written if self.matching(text) == [index]), self._by_index(index))

    def _by_index(self, index: int) -> str:
        return str(index) if self.matching(str(index)) == [index] else f"{_INDEX}{index}"

    def _with_index(self, text: str) -> list[int]:
        return [int(text)] if _is_number(text) and int(text) < len(self) else []

    def _with_name(self, text: str) -> list[int]:
        wanted = _folded(text)
        return self._names.get(wanted) or self._synonyms.get(wanted) or []

    @cached_property
    def _names(self) -> dict[str, list[int]]:
        return _table((text, label.index) for label in self.classes for text in (label.name, label.slug))

    @cached_property
    def _synonyms(self) -> dict[str, list[int]]:
        return _table((text, label.index) for label in self.classes for text in label.synonyms)

    @cached_property
    def _wnids(self) -> dict[str, list[int]]:
        return _table((label.wnid or "", label.index) for label in self.classes)

    def _unknown(self, text: str) -> UserError:
        number = text[len(_INDEX) :] if text.casefold().startswith(_INDEX) else text
        if _is_number(number) or number != text:
            message = f"{self.name} has {len(self)} classes, 0 to {len(self) - 1}."
            return UserError(message, given=f"class index {number}", hint=self._list_command)
        parts = [part.strip().removeprefix("class:") for part in text.split(",")]
        if len(parts) > 1 and all(len(self.matching(part)) == 1 for part in parts):
            sweep = "-m target=" + ",".join(f"class:{part}" for part in parts)
            message = "These are several classes; a run explains one, and a sweep makes a run of each."
            return UserError(message, given=text, accepted=[sweep], hint=self._list_command)
        if WNID.fullmatch(text) and not self._wnids:
            message = f"The class names of {self.name} come without WordNet ids."
            return UserError(message, given=text, hint=self._list_command)
        known = dict.fromkeys(name for label in self.classes for name in (label.name, *label.synonyms))
        message = f"{self.name} has no such class."
        return UserError(message, given=text.removeprefix(_NAME), accepted=tuple(known), hint=self._list_command)

    @property
    def _list_command(self) -> str:
        return f"diffexplain list classes {self.listed_by or f'classifier={self.name}'}"


def slugify(text: str, limit: int = 80) -> str:
    """``text`` as a file name: ASCII letters, digits, ``.``, ``_`` and ``-`` only.

    What that loses (other scripts, slashes, length) is kept apart by a short hash of the whole. Of targets of one
    classifier, no two have the same, not even where the file system ignores case.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.")
    # Spaces, hyphens and underscores tell no class from another; colons may, but for those before its name.
    harmless = re.fullmatch(rf"({_ADDRESS})?[A-Za-z0-9._ -]*[A-Za-z0-9_]|unit:[A-Za-z0-9._]+:\d+", text) is not None
    if harmless and slug and len(slug) <= limit:
        return slug
    return f"{slug[: limit - 9]}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"synonyms must be a list, not {value!r}")
    return value


def _folded(name: str) -> str:
    name = unicodedata.normalize("NFC", name).translate(_APOSTROPHES).strip()
    return re.sub(r"[\s_-]+", " ", name).strip().casefold() or name


def _is_number(text: str) -> bool:
    # More digits than any index has; Python refuses to read thousands.
    return text.isascii() and text.isdigit() and len(text) < 10


def _table(named: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """The indices under each text that is not empty, folded."""
    table: dict[str, list[int]] = {}
    for text, index in named:
        indices = table.setdefault(_folded(text), [])
        if index not in indices:
            indices.append(index)
    table.pop("", None)
    return table
