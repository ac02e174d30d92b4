"""Bringing proposals together: duplicates and synonyms become one concept, names become unique."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from diffexplain.concepts.concept import Concept, Kind, name_of
from diffexplain.target import slugify

if TYPE_CHECKING:  # A list of concepts is made without numpy.
    import numpy as np
    from numpy.typing import NDArray

Similarity = Callable[[Sequence[str]], "NDArray[np.float64]"]
"""N texts to their similarities (N, N), 1 for equal ones."""

SPELLED_ALIKE = 0.92
"""Texts whose normal forms share this much of their letters are the same: "side parting", "side-partings"."""

_VARIANTS = (
    (r"[-_/]", " "),
    (r"[^\w ]", ""),
    (r"\b(?:an?|the|some)\b", ""),
    (r"grey", "gray"),
    (r"(?<=[^s\W])s\b", ""),
    (r"our(?=(?:ed|ful)?\b)", "or"),
    (r"ould\b", "old"),
    (r" +", " "),
)
"""What makes no difference: signs, articles, British and American spelling, the plural's s."""


@dataclass
class Draft:
    """A concept that is still being put together; ``text`` is empty for a category."""

    name: str
    text: str
    kind: Kind
    children: list[Draft] = field(default_factory=list)


def merged(
    drafts: Sequence[Draft], similarity: Similarity | None = None, same_above: float = 0.95, fixed: int = 0
) -> list[Draft]:
    """The same tree with every concept once: where it first stands, with the sub-types of all its duplicates.

    Equal normal forms are duplicates wherever they stand. Texts that are alike are so only if of one kind and neither
    stands below the other: "a striped flag" is like "a flag", and is not the same.

    Args:
        drafts: the roots; they are changed.
        similarity: of texts' meanings; None: of their spelling, with a bound of its own.
        same_above: the bound for ``similarity``.
        fixed: so many of the first roots keep all that they have, because a person wrote them.
    """
    theirs = {id(draft) for root in drafts[:fixed] for draft, _ in _walk(root, ())}
    roots = _same_categories(drafts)
    entries = [(draft, above) for root in roots for draft, above in _walk(root, ()) if draft.text]
    texts = [draft.text for draft, _ in entries]
    forms = [normal_form(text) for text in texts]
    alike = similarity(texts) >= same_above if similarity is not None else spelled_alike(forms) >= SPELLED_ALIKE
    stands_for: dict[int, Draft] = {}
    kept: list[int] = []
    for index, (draft, above) in enumerate(entries):
        for first in kept if id(draft) not in theirs else ():
            other = entries[first][0]
            near = alike[first, index] and other.kind == draft.kind and not any(node is other for node in above)
            if forms[first] == forms[index] or near:
                stands_for[id(draft)] = other
                break
        else:
            kept.append(index)
    for draft, _ in entries:
        if id(draft) in stands_for:
            stands_for[id(draft)].children += draft.children
            draft.children = []
    return _without(roots, set(stands_for))


def finished(drafts: Sequence[Draft]) -> tuple[Concept, ...]:
    """The drafts as concepts; where a name is taken, by the category above perhaps, the text with its article is it."""
    used: set[str] = set()

    def unique(draft: Draft) -> str:
        numbered = (f"{draft.name} {number}" for number in itertools.count(2))
        candidates = itertools.chain([draft.name], [draft.text] if draft.text else [], numbered)
        name = next(name for name in candidates if slugify(name).casefold() not in used)
        used.add(slugify(name).casefold())
        return name

    def finish(draft: Draft) -> Concept:
        name = unique(draft)  # before its children's
        return Concept(name, draft.text, draft.kind, tuple(finish(child) for child in draft.children))

    return tuple(finish(draft) for draft in drafts)


def drafts_of(concepts: Sequence[Concept]) -> list[Draft]:
    """Finished concepts as drafts, to be brought together with others."""
    return [Draft(c.name, c.text, c.kind, drafts_of(c.children)) for c in concepts]


def draft_of(text: str, kind: Kind, children: Sequence[Draft] = ()) -> Draft:
    """A concept whose name follows from its text."""
    return Draft(name_of(text), text, kind, list(children))


def normal_form(text: str) -> str:
    """What is left of a text without what makes no difference.

    >>> normal_form("the Grey-blue eyes") == normal_form("a gray blue eye")
    True
    """
    form = text.casefold()
    for pattern, replacement in _VARIANTS:
        form = re.sub(pattern, replacement, form)
    return form.strip()


def spelled_alike(forms: Sequence[str]) -> NDArray[np.float64]:
    """The share of letters that each two of N texts have in common, in order: (N, N) in [0, 1]."""
    import numpy as np

    shares = np.eye(len(forms))
    for column, second in enumerate(forms):
        matcher = SequenceMatcher(None, "", second, autojunk=False)
        for row in range(column):
            matcher.set_seq1(forms[row])
            if matcher.real_quick_ratio() >= SPELLED_ALIKE and matcher.quick_ratio() >= SPELLED_ALIKE:
                shares[row, column] = shares[column, row] = matcher.ratio()
    return shares


def _walk(draft: Draft, above: tuple[Draft, ...]) -> Iterator[tuple[Draft, tuple[Draft, ...]]]:
    """Every node with those above it, parents first."""
    yield draft, above
    for child in draft.children:
        yield from _walk(child, (*above, draft))


def _same_categories(drafts: Sequence[Draft]) -> list[Draft]:
    """Roots that are categories of the same name, as one."""
    roots: list[Draft] = []
    for draft in drafts:
        same = (r for r in roots if not r.text and not draft.text and normal_form(r.name) == normal_form(draft.name))
        first = next(same, None)
        if first is None:
            roots.append(draft)
        else:
            first.children += draft.children
    return roots


def _without(drafts: Sequence[Draft], gone: set[int]) -> list[Draft]:
    """The tree without these nodes, and without categories that are empty then."""
    kept = []
    for draft in drafts:
        if id(draft) not in gone:
            draft.children = _without(draft.children, gone)
            if draft.text or draft.children:
                kept.append(draft)
    return kept
