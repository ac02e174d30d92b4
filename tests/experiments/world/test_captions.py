"""Captions: true, varied, and never silent about a companion."""

import pytest

from diffexplain.world.sampler import World
from diffexplain.world.scenes import COMPANIONS, Scene
from experiments.world.captions import (
    COLOUR_WORDS,
    COMPANION_NOUNS,
    SETTING_PHRASES,
    SUBJECT_NOUNS,
    WEATHER_PHRASES,
    article,
    caption,
    vocabulary,
)

SCENES = World().sample(800, seed=21)
CAPTIONS = [caption(scene, seed) for seed, scene in enumerate(SCENES)]


def says(text: str, phrases: tuple[str, ...]) -> bool:
    return any(f" {phrase} " in f" {text} " for phrase in phrases)


def test_every_companion_is_named_and_no_other() -> None:
    for scene, found in zip(SCENES, CAPTIONS, strict=True):
        for kind, nouns in COMPANION_NOUNS.items():
            # "dog" in "dog sled" is the subject's.
            text = found.text.replace("dog sled", "").replace("hot air balloon", "")
            assert says(text, nouns) == scene.has(kind), found.text


def test_named_attributes_are_said_and_said_truly() -> None:
    tables = {
        "subject": SUBJECT_NOUNS,
        "setting": SETTING_PHRASES,
        "weather": WEATHER_PHRASES,
        "colour": COLOUR_WORDS,
    }
    for scene, found in zip(SCENES, CAPTIONS, strict=True):
        for name, table in tables.items():
            if name in found.named:
                assert says(found.text, table[getattr(scene, name)]), (name, found.text)
        if "setting" not in found.named:
            assert not any(says(found.text, phrases) for phrases in SETTING_PHRASES.values()), found.text
        for companion in scene.companions:
            if f"subtype:{companion.kind}" in found.named:
                assert says(found.text, tuple(f"{companion.subtype} {n}" for n in COMPANION_NOUNS[companion.kind]))


def test_captions_vary_and_leave_things_out() -> None:
    scene = SCENES[0]
    found = [caption(scene, seed) for seed in range(200)]
    assert len({each.text for each in found}) > 100
    for name in ("setting", "colour", "weather", "position", "subject"):
        share = sum(name in each.named for each in found) / len(found)
        assert 0.2 < share < 1, name


def test_same_seed_same_caption() -> None:
    assert caption(SCENES[3], 5) == caption(SCENES[3], 5)


def test_every_word_is_in_the_vocabulary() -> None:
    words = set(vocabulary())
    assert all(set(found.text.split()) <= words for found in CAPTIONS)
    assert sorted(words) == vocabulary()
    assert all(subtype in words for subtypes in COMPANIONS.values() for subtype in subtypes)


@pytest.mark.parametrize(("noun", "with_article"), [("orange bee", "an orange bee"), ("bee", "a bee")])
def test_article(noun: str, with_article: str) -> None:
    assert article(noun) == with_article


def test_nothing_but_the_record_is_needed() -> None:
    assert caption(Scene("bee"), 0).text
