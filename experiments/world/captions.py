"""Sentences about scenes: phrasing, synonyms and order vary, what is said is always true.

A caption may leave out the setting and the free attributes, rarely the subject too, but it names every companion
that is there: a companion in a generated picture that the text did not ask for is then a fault of the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffexplain.world.render import choice
from diffexplain.world.scenes import COMPANIONS, Scene

OPENINGS = ("", "", "a photo of ", "a photo of ", "a picture of ", "an image of ", "a drawing of ")
SUBJECT_NOUNS: dict[str, tuple[str, ...]] = {
    "flagpole": ("flagpole", "flagpole", "flagstaff"),
    "bee": ("bee", "bee", "bumblebee"),
    "dog_sled": ("dog sled", "dog sled", "sledge"),
    "padlock": ("padlock", "padlock", "lock"),
    "snorkel": ("snorkel", "snorkel", "diving mask"),
    "umbrella": ("umbrella", "umbrella", "parasol"),
    "yawl": ("yawl", "yawl", "sailboat"),
    "hourglass": ("hourglass", "hourglass", "sandglass"),
    "teapot": ("teapot", "teapot", "kettle"),
    "mushroom": ("mushroom", "mushroom", "toadstool"),
    "balloon": ("balloon", "balloon", "hot air balloon"),
    "acoustic_guitar": ("acoustic guitar", "acoustic guitar", "guitar"),
}
ANY_SUBJECT = ("something", "an object", "")
COMPANION_NOUNS: dict[str, tuple[str, ...]] = {
    "flag": ("flag", "flag", "banner"),
    "flower": ("flower", "flower", "blossom"),
    "dog": ("dog", "dog", "hound"),
    "tree": ("tree", "tree"),
    "person": ("person", "person", "figure"),
    "cloud": ("cloud",),
    "bird": ("bird",),
    "ball": ("ball", "ball", "beach ball"),
    "kite": ("kite",),
    "house": ("house", "house", "cottage"),
}
SETTING_PHRASES: dict[str, tuple[str, ...]] = {
    "snow": ("in the snow", "on snow", "in a snowy field"),
    "grass": ("on the grass", "on a lawn", "in a meadow"),
    "sea": ("by the sea", "at sea", "by the ocean"),
    "night": ("at night", "in the dark", "under the moon"),
    "city": ("in the city", "in a town", "on a street"),
    "desert": ("in the desert", "on sand", "among dunes"),
    "forest": ("in the forest", "in the woods"),
    "room": ("in a room", "indoors"),
}
WEATHER_PHRASES: dict[str, tuple[str, ...]] = {
    "clear": ("on a clear day", "in clear weather"),
    "rain": ("in the rain", "on a rainy day"),
    "fog": ("in fog", "on a foggy day", "in the mist"),
}
POSITION_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "at the left"),
    "centre": ("in the centre", "in the middle"),
    "right": ("on the right", "at the right"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {"small": ("small", "little"), "large": ("large", "big")}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red",), "orange": ("orange",), "yellow": ("yellow",),
    "green": ("green",), "blue": ("blue",), "purple": ("purple", "violet"),
}  # fmt: skip
TEXTURE_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("plain",), "striped": ("striped", "banded"), "spotted": ("spotted", "dotted"),
}  # fmt: skip
JOINERS = ("with", "with", "next to", "beside", "near")

PERCENT_NAMED = {
    "subject": 94,
    "colour": 70,
    "size": 50,
    "texture": 60,
    "position": 50,
    "setting": 75,
    "weather": 50,
}
PERCENT_SUBTYPE = 70
PERCENT_SETTING_FIRST = 20


@dataclass(frozen=True)
class Caption:
    """`named`: the attributes that the text states: "subject", "colour", ..., "subtype:<kind>"."""

    text: str
    named: frozenset[str]


class _Choices:
    """The caption's own stream of choices, apart from those of the rendering."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def one_of(self, stream: str, options: tuple[str, ...]) -> str:
        return options[choice(self.seed, "caption " + stream, len(options))]

    def happens(self, stream: str, percent: int) -> bool:
        return choice(self.seed, "caption says " + stream, 100) < percent


def article(noun_phrase: str) -> str:
    """The noun phrase with "a" or "an" before it."""
    vowel = noun_phrase[0] in "aeiou" or noun_phrase.startswith("hour")
    return f"an {noun_phrase}" if vowel else f"a {noun_phrase}"


def caption(scene: Scene, seed: int) -> Caption:
    """One sentence about the scene; the same for the same seed."""
    choices = _Choices(seed)
    named = {name for name, percent in PERCENT_NAMED.items() if choices.happens(name, percent)}
    if "subject" not in named:
        named -= {"colour", "size", "texture", "position"}
    parts = [_subject(scene, choices, named)]
    if scene.companions:
        parts.append(_companions(scene, choices, named))
    if "position" in named:
        parts.insert(1, choices.one_of("position", POSITION_PHRASES[scene.position]))
    if "weather" in named:
        parts.append(choices.one_of("weather", WEATHER_PHRASES[scene.weather]))
    if "setting" in named:
        phrase = choices.one_of("setting", SETTING_PHRASES[scene.setting])
        if choices.happens("setting first", PERCENT_SETTING_FIRST):
            parts.insert(0, phrase + " ,")
        else:
            parts.insert(len(parts) - ("weather" in named), phrase)
    return Caption(" ".join(part for part in parts if part), frozenset(named))


def _subject(scene: Scene, choices: _Choices, named: set[str]) -> str:
    opening = choices.one_of("opening", OPENINGS)
    if "subject" not in named:
        return (opening + choices.one_of("any subject", ANY_SUBJECT)).removesuffix(" of ").strip()
    words = []
    for name, table in (("size", SIZE_WORDS), ("texture", TEXTURE_WORDS), ("colour", COLOUR_WORDS)):
        if name in named:
            words.append(choices.one_of(name, table[getattr(scene, name)]))
    if choices.happens("other order", 30):
        words.reverse()
    words.append(choices.one_of("subject", SUBJECT_NOUNS[scene.subject]))
    return opening + article(" ".join(words))


def _companions(scene: Scene, choices: _Choices, named: set[str]) -> str:
    phrases = []
    for companion in scene.companions:
        subtype = companion.subtype if choices.happens("subtype " + companion.kind, PERCENT_SUBTYPE) else ""
        if subtype:
            named.add("subtype:" + companion.kind)
        phrases.append(companion_phrase(companion.kind, subtype, choices))
    # In the order of their places: else a prior could not know which of two belongs where, and would draw one twice.
    return choices.one_of("joiner", JOINERS) + " " + " and ".join(phrases)


def companion_phrase(kind: str, subtype: str, choices: _Choices) -> str:
    """ "a striped flag", with a synonym now and then."""
    noun = choices.one_of("noun " + kind, COMPANION_NOUNS[kind])
    return article(f"{subtype} {noun}".strip())


def vocabulary() -> list[str]:
    """Every word that a caption can hold, sorted; the tokenizer is made from these."""
    tables = (
        SUBJECT_NOUNS, COMPANION_NOUNS, SETTING_PHRASES, WEATHER_PHRASES, POSITION_PHRASES,
        SIZE_WORDS, COLOUR_WORDS, TEXTURE_WORDS,
    )  # fmt: skip
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    phrases += [*OPENINGS, *ANY_SUBJECT, *JOINERS, "a an and ,"]
    phrases += [subtype for kind in COMPANION_NOUNS for subtype in COMPANIONS[kind]]
    return sorted({word for phrase in phrases for word in phrase.split()})
