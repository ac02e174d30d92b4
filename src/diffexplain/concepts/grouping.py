"""Phrases of a vocabulary as a tree: sub-types below their object, all below their categories."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.concepts.merging import Draft, draft_of
from diffexplain.concepts.vocabulary import Phrase, Vocabulary

COMPANIONS, OBJECTS, SETTINGS = "companions", "objects", "settings"


def grouped(phrases: Sequence[Phrase], vocabulary: Vocabulary) -> list[Draft]:
    """The phrases in their order, below categories; of a sub-type whose object is not there, the object comes too.

    Attributes stand below what they are one of: "colour".
    """
    categories = {
        COMPANIONS: Draft(COMPANIONS, "", "object"),
        OBJECTS: Draft(OBJECTS, "", "object"),
        SETTINGS: Draft(SETTINGS, "", "setting"),
    }
    things: dict[str, Draft] = {}

    def category_of(phrase: Phrase) -> Draft:
        if phrase.kind == "attribute":
            return categories.setdefault(str(phrase.of), Draft(str(phrase.of), "", "attribute"))
        return categories[COMPANIONS if phrase.companion else SETTINGS if phrase.kind == "setting" else OBJECTS]

    def place(phrase: Phrase) -> Draft:
        if phrase.text not in things:
            things[phrase.text] = draft_of(phrase.said, "attribute" if phrase.kind == "sub-type" else phrase.kind)
            above = vocabulary.find(phrase.of) if phrase.kind == "sub-type" and phrase.of is not None else None
            (category_of(phrase) if above is None else place(above)).children.append(things[phrase.text])
        return things[phrase.text]

    for phrase in phrases:
        place(phrase)
    return [category for category in categories.values() if category.children]
