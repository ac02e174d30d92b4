"""Which word of the world's text encoder stands for which concept: for methods that are given no list.

Fixed before any method was run without a list. The encoder knows 119 words, nearly all of which name a concept or an
object of the world, so finding the right one says little about encoders of a whole language.
"""

from __future__ import annotations

from collections.abc import Container

from diffexplain.world.scenes import SUBJECTS
from experiments.shortcut_bench.specification import Value
from experiments.world.captions import SUBJECT_NOUNS

AMBIGUOUS_WEIGHT = 0.5
"""What a word with several readings counts where one of them is right."""


def _values(attribute: str, *values: str) -> tuple[Value, ...]:
    return tuple(Value(attribute, value) for value in values)


WORDS: dict[str, tuple[Value, ...]] = {
    **dict.fromkeys(("flag", "banner"), _values("companion", "flag")),
    **dict.fromkeys(("flower", "blossom"), _values("companion", "flower")),
    **dict.fromkeys(("dog", "hound"), _values("companion", "dog")),
    **dict.fromkeys(("person", "figure"), _values("companion", "person")),
    **dict.fromkeys(("house", "cottage"), _values("companion", "house")),
    **{kind: _values("companion", kind) for kind in ("tree", "cloud", "bird", "ball", "kite")},
    "tricolour": _values("subtype", "flag/tricolour"),
    "brown": _values("subtype", "dog/brown"),
    "white": _values("subtype", "dog/white"),
    "pine": _values("subtype", "tree/pine"),
    "round": _values("subtype", "tree/round"),
    **dict.fromkeys(("snow", "snowy"), _values("setting", "snow")),
    **dict.fromkeys(("grass", "lawn", "meadow"), _values("setting", "grass")),
    **dict.fromkeys(("sea", "ocean"), _values("setting", "sea")),
    **dict.fromkeys(("night", "dark", "moon"), _values("setting", "night")),
    **dict.fromkeys(("city", "town", "street"), _values("setting", "city")),
    **dict.fromkeys(("desert", "sand", "dunes"), _values("setting", "desert")),
    **dict.fromkeys(("forest", "woods"), _values("setting", "forest")),
    **dict.fromkeys(("room", "indoors"), _values("setting", "room")),
    "clear": _values("weather", "clear"),
    **dict.fromkeys(("rain", "rainy"), _values("weather", "rain")),
    **dict.fromkeys(("fog", "foggy", "mist"), _values("weather", "fog")),
    **dict.fromkeys(("small", "little"), _values("size", "small")),
    **dict.fromkeys(("large", "big"), _values("size", "large")),
    **dict.fromkeys(("spotted", "dotted"), _values("texture", "spotted")),
    "banded": _values("texture", "striped"),
    **{colour: _values("colour", colour) for colour in ("orange", "green", "blue", "purple")},
    "violet": _values("colour", "purple"),
    "left": _values("position", "left"),
    **dict.fromkeys(("centre", "middle"), _values("position", "centre")),
    "right": _values("position", "right"),
    # Words with several readings.
    "striped": (Value("texture", "striped"), Value("subtype", "flag/striped")),
    "plain": (Value("texture", "plain"), Value("subtype", "flag/plain")),
    "red": (Value("colour", "red"), Value("subtype", "flower/red")),
    "yellow": (Value("colour", "yellow"), Value("subtype", "flower/yellow")),
    "field": _values("setting", "snow", "grass"),
    "beach": (Value("companion", "ball"), Value("setting", "sea"), Value("setting", "desert")),
    "day": _values("weather", "clear", "rain", "fog"),
    "weather": _values("weather", "clear", "rain", "fog"),
}
"""The readings of each word that names a concept."""

OBJECT_WORDS = frozenset(
    word for subject in SUBJECTS for noun in SUBJECT_NOUNS[subject] for word in noun.split()
) - frozenset(WORDS)
"""Words that name an object that is a class, and no concept."""

OTHER_WORDS = frozenset(
    ("a", "an", "the", "and", ",", "with", "next", "to", "beside", "near", "of", "in", "on", "at", "by", "among",
     "under", "something", "object", "photo", "picture", "image", "drawing")
)  # fmt: skip
"""Words that name nothing."""


def weight(word: str, class_name: str) -> float:
    """What the word counts where it is right; one half if it has several readings, one of them perhaps the class."""
    several = len(WORDS[word]) > 1 or any(word in noun.split() for noun in SUBJECT_NOUNS[class_name])
    return AMBIGUOUS_WEIGHT if several else 1.0


def credit(word: str, class_name: str, right: Container[Value]) -> float:
    """What naming the word is worth in an explanation of the class, 0 to 1.

    Args:
        word: any; one that names no concept is worth nothing.
        class_name: the class that is explained.
        right: the concepts that would be right.
    """
    if not any(value in right for value in WORDS.get(word, ())):
        return 0.0
    return weight(word, class_name)
