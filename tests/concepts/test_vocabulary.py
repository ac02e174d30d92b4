"""The vocabulary file, and the sentences made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffexplain.concepts import Hierarchy
from diffexplain.concepts.vocabulary import Phrase, Vocabulary, class_phrase
from diffexplain.errors import UserError
from diffexplain.world.scenes import COMPANIONS, SETTINGS, SUBJECTS

DESCRIBED = ("weather", "size", "texture", "colour", "position")
BEE = Phrase("a bee")
FLOWER = Phrase("a flower", companion=True)
DOG = Phrase("a dog", companion=True)
SNOW = Phrase("snow", "setting", caption="in the snow")
ORANGE = Phrase("orange", "attribute", of="colour")
LEFT = Phrase("on the left", "attribute", of="position")
NIGHT = Phrase("at night", "setting")


@pytest.mark.parametrize(
    ("things", "sentence"),
    [
        ([], "a photo"),
        ([BEE], "a photo of a bee"),
        ([BEE, FLOWER, DOG, SNOW], "a photo of a bee with a flower and a dog in the snow"),
        ([FLOWER, NIGHT], "a photo of something with a flower at night"),
        ([SNOW], "a photo in the snow"),
        ([BEE, ORANGE, LEFT, FLOWER], "a photo of an orange bee on the left with a flower"),
        ([ORANGE], "a photo of orange something"),
    ],
)
def test_descriptions(things: list[Phrase], sentence: str) -> None:
    assert Vocabulary(()).describe(things) == sentence


def test_class_names_become_phrases() -> None:
    assert class_phrase("dog_sled") == "a dog sled"
    assert class_phrase("umbrella") == "an umbrella"
    assert class_phrase("hourglass") == "an hourglass"
    assert class_phrase("house") == "a house"


def test_including_adds_once_whatever_the_case() -> None:
    vocabulary = Vocabulary((BEE,))
    assert vocabulary.including(Phrase("A bee")) is vocabulary
    assert vocabulary.including(FLOWER).phrases == (FLOWER, BEE)


def test_the_worlds_vocabulary_names_all_that_is_in_the_world() -> None:
    vocabulary = Vocabulary.load("embedded:vocabulary.yaml")
    assert {phrase.text for phrase in vocabulary.phrases if not phrase.companion and phrase.kind == "object"} == {
        class_phrase(subject) for subject in SUBJECTS
    }
    companions = {phrase.text for phrase in vocabulary.phrases if phrase.companion and phrase.kind == "object"}
    assert companions == {class_phrase(kind) for kind in COMPANIONS}
    kinds = {(phrase.of, phrase.text) for phrase in vocabulary.phrases if phrase.kind == "sub-type"}
    assert kinds == {
        (class_phrase(kind), class_phrase(f"{subtype} {kind}"))
        for kind, subtypes in COMPANIONS.items()
        for subtype in subtypes
    }
    assert len([phrase for phrase in vocabulary.phrases if phrase.kind == "setting"]) == len(SETTINGS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[", "not valid YAML"),
        ("7", "must be a list"),
        ("elements: []\nopenning: x", "opening"),
        ("- {kind: object}", "needs a `phrase`"),
        ("- {phrase: a bee, kinds: object}", "kind"),
        ("- {phrase: a bee, kind: thing}", "setting"),
        ("- {phrase: a bee}\n- {phrase: A Bee}", "twice"),
        ("- {phrase: a red bee, kind: attribute}", "`of`"),
        ("- {phrase: a bee, of: a hive}", "`of`"),
        ("- {phrase: red, kind: description}", "`of`"),
        ("- {phrase: red, kind: description, of: colour}", "stand in its place"),
        ("- {phrase: a bee}\n- {phrase: a red bea, kind: attribute, of: a bea}", "a bee"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "vocabulary.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        Vocabulary.load(str(file))
    assert complaint in str(caught.value)


def test_the_worlds_descriptions_come_on_top_and_are_its_hierarchys() -> None:
    vocabulary = Vocabulary.load("embedded:vocabulary.yaml", "embedded:descriptions.yaml")
    said = {(phrase.of, phrase.text) for phrase in vocabulary.phrases if phrase.kind == "attribute"}
    concepts = dict(Hierarchy.load("embedded:hierarchies/world.yaml").concepts())
    assert said == {(path[0], concept.text) for path, concept in concepts.items() if path[0] in DESCRIBED}


def test_a_plain_list_is_a_vocabulary(tmp_path: Path) -> None:
    file = tmp_path / "vocabulary.yaml"
    file.write_text("- {phrase: a bee}\n- {phrase: in a hive, kind: setting}\n")
    assert Vocabulary.load(str(file)).phrases == (Phrase("a bee"), Phrase("in a hive", "setting"))
