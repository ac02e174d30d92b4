"""The target's grammar, and looking classes up among a classifier's labels."""

import contextlib
import json
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffexplain.errors import UserError, nearest
from diffexplain.target import Labels, Target, slugify

LABELS = Labels.from_mapping(
    {
        "name": "birds_and_machines",
        "classes": [
            {"index": 0, "name": "flagpole", "wnid": "n03355925", "synonyms": ["flag pole", "flagstaff"]},
            {"index": 1, "name": "crane", "wnid": "n02012849", "synonyms": []},
            {"index": 2, "name": "crane", "wnid": "n03126707", "synonyms": []},
            {"index": 3, "name": "dog_sled", "wnid": None, "synonyms": ["dogsled"]},
            {"index": 4, "name": "cardigan", "wnid": "n02963159"},
            {"index": 5, "name": "Cardigan Welsh corgi", "wnid": "n02113186", "synonyms": ["cardigan"]},
        ],
    }
)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("class:flagpole", 0),
        ("class:Flag Pole", 0),
        ("class:flag-pole", 0),
        ("class:0", 0),
        ("class:n03355925", 0),
        ("class:dog sled", 3),
        ("class:DOG-SLED", 3),
        ("class:cardigan", 4),  # A name goes before a synonym.
        ("class:n03126707", 2),
    ],
)
def test_a_class_is_found_by_name_synonym_index_and_wnid(text: str, index: int) -> None:
    assert Target.parse(text).resolve(LABELS).class_index == index


def test_however_a_class_is_given_the_resolved_target_is_the_same() -> None:
    resolved = {Target.parse(f"class:{word}").resolve(LABELS) for word in ("0", "flag pole", "n03355925")}
    assert {target.text for target in resolved} == {"class:flagpole"}
    assert {target.slug for target in resolved} == {"class-flagpole"}


def test_classes_of_one_name_are_kept_apart() -> None:
    first, second = (Target.parse(f"class:{index}").resolve(LABELS) for index in (1, 2))
    assert (first.text, second.text) == ("class:n02012849", "class:n03126707")
    assert first.slug != second.slug


def test_a_misspelt_class_names_the_nearest_and_how_to_list_all() -> None:
    with pytest.raises(UserError) as caught:
        Target.parse("class:flagpoel").resolve(LABELS)
    assert caught.value.nearest[0] == "flagpole"
    assert "flagpoel" in str(caught.value)
    assert "diffexplain list classes classifier=birds_and_machines" in str(caught.value)
    assert caught.value.exit_status == 2


def test_an_ambiguous_name_lists_the_indices() -> None:
    with pytest.raises(UserError, match="class:1, class:2"):
        Target.parse("class:crane").resolve(LABELS)


def test_an_index_out_of_range_says_the_range() -> None:
    with pytest.raises(UserError, match="6 classes, 0 to 5"):
        Target.parse("class:1000").resolve(LABELS)


def test_a_unit_has_module_and_channel_and_perhaps_a_class() -> None:
    unit = Target.parse("unit:layer4.2:512").resolve(LABELS)
    assert (unit.kind, unit.module, unit.channel, unit.class_index) == ("unit", "layer4.2", 512, None)
    assert unit.slug == "unit-layer4.2-512"
    with_class = Target.parse("unit:layer4.2:512@flag pole").resolve(LABELS)
    assert with_class.class_index == 0
    assert with_class.text == "unit:layer4.2:512@flagpole"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "flagpole",
        "class:",
        "unit:",
        "unit:layer4",
        "unit:layer4:x",
        "unit::3",
        "unit:a:-1",
        "unit:a:1@",
        "x:y",
    ],
)
def test_what_is_no_target_is_answered_with_the_grammar(text: str) -> None:
    with pytest.raises(UserError, match="unit:<module>:<channel>"):
        Target.parse(text)


def test_labels_are_read_from_a_file_or_its_folder(tmp_path: Path) -> None:
    content = {"name": "one", "classes": [{"index": 0, "name": "bee", "wnid": None, "synonyms": []}]}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert Labels.load(tmp_path) == Labels.load(tmp_path / "labels.json")
    assert Labels.load(tmp_path).names == ("bee",)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"name": "a"}', '{"name": "a", "classes": [{"index": 1, "name": "b"}]}']
)
def test_unreadable_labels_name_their_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(UserError, match=r"labels\.json"):
        Labels.load(tmp_path)
    with pytest.raises(UserError, match="absent"):
        Labels.load(tmp_path / "absent")


@settings(max_examples=50)
@given(st.text(), st.text())
def test_slugs_are_harmless_file_names_and_differ_where_texts_do(one: str, other: str) -> None:
    allowed = set(string.ascii_letters + string.digits + "._-")
    for text in (one, other):
        slug = slugify(text)
        assert slug
        assert set(slug) <= allowed
        assert len(slug) <= 80
        assert slug not in (".", "..")
    if any(character not in "._:@ -" and not character.isalnum() for character in one) and one != other:
        assert slugify(one) != slugify(other)


@given(st.text())
def test_any_text_is_a_target_or_a_users_error(text: str) -> None:
    for prefix in ("", "class:", "unit:"):
        with contextlib.suppress(UserError):
            Target.parse(prefix + text).resolve(LABELS)


def test_nearest_ignores_case_and_gives_at_most_three() -> None:
    assert nearest("FLAG", ["flag", "flags", "flagg", "flage", "zebra"])[0] == "flag"
    assert len(nearest("FLAG", ["flag", "flags", "flagg", "flage", "zebra"])) == 3
    assert nearest("flag", ["zebra"]) == []
