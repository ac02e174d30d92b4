"""The target's grammar, and looking classes up among a classifier's labels."""

import contextlib
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffexplain.errors import UserError, nearest
from diffexplain.target import Label, Labels, Target, several, slugify

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


DIGITS = Labels.from_mapping(
    {"name": "tens", "classes": [{"index": i, "name": n} for i, n in enumerate(("20", "1", "0", "ten", "name: x"))]}
)


def test_a_number_that_is_one_classs_index_and_anothers_name_is_refused_with_both_readings() -> None:
    with pytest.raises(UserError) as caught:
        Target.parse("class:0").resolve(DIGITS)
    assert "class:index:0 (20)" in str(caught.value)
    assert "class:name:0 (class 2)" in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*is no word")
@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("class:index:0", 0),
        ("class:name:0", 2),
        ("class:Name: 0", 2),
        ("class:20", 0),  # No class has this index.
        ("class:1", 1),  # Both readings are the same class.
        ("class:3", 3),
        ("class:name:name: x", 4),
        ("unit:a:1@name:0", 2),
    ],
)
def test_index_and_name_can_be_told_apart(text: str, index: int) -> None:
    target = Target.parse(text).resolve(DIGITS)
    assert target.class_index == index
    assert Target.parse(target.text).resolve(DIGITS) == target


@pytest.mark.parametrize("text", ["class:index:9", "class:index:ten", "class:name:9", "class:index:", "class:9" * 9])
def test_what_neither_reading_finds_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"no such class|5 classes, 0 to 4"):
        Target.parse(text).resolve(DIGITS)


def test_several_classes_in_one_target_are_told_to_be_a_sweep() -> None:
    with pytest.raises(UserError, match="-m target=class:flagpole,class:dog sled"):
        Target.parse("class:flagpole, class:dog sled").resolve(LABELS)


def test_all_is_every_class_by_the_key_that_finds_it() -> None:
    targets = several("all", lambda: LABELS)
    assert targets is not None
    assert [Target.parse(text).resolve(LABELS).class_index for text in targets] == list(range(6))
    assert several("class:all", lambda: LABELS) is None
    with pytest.raises(UserError, match="-m target=all"):
        Target.parse("all")


def test_a_file_lists_targets_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "classes, mine.txt"
    file.write_text("\ufeffflagpole\n\n# birds\nclass:crane, whooping\nunit:a.b:3@crane\nflagpole \n", encoding="utf-8")
    assert several(f"file:{file}", lambda: LABELS) == ["class:flagpole", "class:crane, whooping", "unit:a.b:3@crane"]
    with pytest.raises(UserError, match="-m target=file:"):
        Target.parse(f"file:{file}")


@pytest.mark.parametrize(("content", "told"), [(b"# none\n", "is empty"), (b"\xff\xfe\x00", "no text in UTF-8")])
def test_a_file_that_lists_nothing_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(UserError, match=told):
        several(f"file:{tmp_path}/classes.txt", lambda: LABELS)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        several(f"file:{tmp_path}/clases.txt", lambda: LABELS)


def test_wordnet_ids_of_names_that_come_without_are_said_to_be_missing() -> None:
    with pytest.raises(UserError, match="without WordNet ids"):
        Target.parse("class:n03355925").resolve(DIGITS)


@pytest.mark.parametrize("name", ["LABEL_3", "label 3", "class_12", "7", "n03355925", "id-4"])
def test_a_name_that_is_no_word_is_kept_from_prompts_and_said(name: str) -> None:
    labels = Labels.from_mapping({"name": "mine", "classes": [{"index": 0, "name": name}]})
    with pytest.warns(UserWarning, match=r"is no word .* classifier.labels="):
        target = Target.parse("class:name:" + name).resolve(labels)
    assert (target.class_index, target.class_name) == (0, None)
    assert target.class_key == name
    with pytest.warns(UserWarning, match="is no word"):
        assert Target.parse(f"unit:a:1@{name}").resolve(labels).class_key == name


def test_words_with_numbers_in_them_are_words() -> None:
    for name in ("F-16", "model T", "class", "3 series", "n033559"):
        assert Label(0, name).word == name


NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=6),
    st.text("aA1-_ :@.'", min_size=1, max_size=4),
    st.sampled_from(["0", "1", "01", "index:0", "name:1", "crane", "Crane", "n02012849", "-", "a.", "a"]),
)


@pytest.mark.filterwarnings("ignore:.*is no word")
@settings(max_examples=200)
@given(st.lists(st.tuples(NAMES, st.sampled_from([None, "n02012849", "n03126707"])), min_size=1, max_size=6))
def test_whatever_classes_are_called_each_has_a_text_that_leads_back_and_a_directory_of_its_own(
    named: list[tuple[str, str | None]],
) -> None:
    labels = Labels("mine", tuple(Label(i, name, wnid, (name[:1],)) for i, (name, wnid) in enumerate(named)))
    targets = [Target.parse(f"class:index:{index}").resolve(labels) for index in range(len(labels))]
    for index, target in enumerate(targets):
        assert labels.resolve(labels.key(index)) == index
        assert Target.parse(target.text).resolve(labels) == target
        unit = Target.parse(f"unit:a.b:3@{labels.key(index)}").resolve(labels)
        assert Target.parse(unit.text).resolve(labels) == unit
    assert len({target.slug.casefold() for target in targets}) == len(targets)


def test_names_are_found_however_an_apostrophe_or_an_umlaut_is_encoded() -> None:
    labels = Labels("mine", (Label(0, "carpenter\N{RIGHT SINGLE QUOTATION MARK}s kit"), Label(1, "Mu\u0308nster")))
    assert labels.resolve("carpenter's kit") == 0
    assert labels.resolve("M\u00fcnster") == 1


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
    with pytest.raises(UserError, match="unit:<module>:<channel>") as caught:
        Target.parse(text)
    assert ("class:flagpole" in caught.value.nearest) == (text == "flagpole")


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
