"""The words that prompts are compared with or made of, taken from a vocabulary's phrases."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be behind beside by for from in into is it its near next no of on or over "
        "the there this to under up with without",
    )
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def content_words(phrases: Iterable[str]) -> list[str]:
    """The words of all phrases in lower case, each once, in order of appearance, without articles,
    prepositions and the like; ``dog_sled`` is two words.
    """
    words = (word for phrase in phrases for word in _WORD.findall(phrase.lower()))
    return [word for word in dict.fromkeys(words) if word not in _FUNCTION_WORDS]
