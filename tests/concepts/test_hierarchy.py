"""The hierarchy: what a person writes is read back exactly, and what is wrong with it is named with its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.concepts.file import shipped
from diffexplain.errors import UserError
from diffexplain.pipelines.proposers import FileProposer
from diffexplain.target import slugify
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS
from experiments.world.captions import vocabulary

STRIPED = Concept("striped flag", "a striped flag", "attribute")
PLAIN = Concept("plain flag", "a plain flag", "attribute")
POLE = Concept("pole", "a pole", "object")
FLAG = Concept("flag", "a flag", "object", (STRIPED, PLAIN, POLE))
DOG = Concept("dog", "a dog", "object")
NIGHT = Concept("night", "at night", "setting")
COMPANION = Concept("companion", "", "object", (FLAG, DOG, NIGHT))
RED = Concept("red", "red", "attribute")
HIERARCHY = Hierarchy("a flagpole", (COMPANION, RED))


def test_concepts_come_parents_first_and_categories_are_in_the_paths_alone() -> None:
    assert list(HIERARCHY.concepts()) == [
        (("companion", "flag"), FLAG),
        (("companion", "flag", "striped flag"), STRIPED),
        (("companion", "flag", "plain flag"), PLAIN),
        (("companion", "flag", "pole"), POLE),
        (("companion", "dog"), DOG),
        (("companion", "night"), NIGHT),
        (("red",), RED),
    ]


def test_siblings_are_other_values_of_the_same_kind() -> None:
    assert HIERARCHY.siblings(("companion", "flag")) == (DOG,)
    assert HIERARCHY.siblings(("companion", "flag", "striped flag")) == (PLAIN,)
    assert HIERARCHY.siblings(("red",)) == ()
    with pytest.raises(KeyError):
        HIERARCHY.siblings(("companion", "cat"))


def test_a_person_writes_no_more_than_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "domain: a flagpole\n"
        "concepts:\n"
        "  - name: companion\n"
        "    kind: object\n"
        "    children:\n"
        "      - text: a flag\n"
        "        children: [a striped flag, a plain flag, {text: a pole, kind: object}]\n"
        "      - a dog\n"
        "      - {name: night, text: at night, kind: setting}\n"
        "  - {text: red, kind: attribute}\n"
    )
    assert Hierarchy.load(file) == HIERARCHY


WORDS = st.text("abcdefgh éß-'&5", min_size=1, max_size=12).map(str.strip).filter(lambda word: word[:1].isalnum())
KINDS = st.sampled_from(["object", "attribute", "setting"])
ODD = st.sampled_from(["no", "null", "5", "~", "a red: flag", "# nothing", "- x", "{x}", "an hour", "true"])


@st.composite
def hierarchies(draw: st.DrawFn) -> Hierarchy:
    taken: set[str] = set()

    def concepts(depth: int) -> tuple[Concept, ...]:
        made = []
        for _ in range(draw(st.integers(1, 3))):
            name = draw(WORDS.filter(lambda word: slugify(word).casefold() not in taken))
            taken.add(slugify(name).casefold())
            children = concepts(depth - 1) if depth and draw(st.booleans()) else ()
            # Texts need to differ too; the name in front of an odd ending sees to that.
            text = "" if children and draw(st.booleans()) else f"{name}{draw(st.just('') | ODD)}".strip()
            made.append(Concept(name, text, draw(KINDS), children))
        return tuple(made)

    try:
        return Hierarchy(draw(st.just("") | ODD | WORDS), concepts(2))
    except UserError:  # two texts that came out equal
        return HIERARCHY


@given(hierarchies())
def test_what_is_saved_is_loaded_again(tmp_path_factory: pytest.TempPathFactory, hierarchy: Hierarchy) -> None:
    file = tmp_path_factory.mktemp("hierarchy") / "saved.yaml"
    hierarchy.save(file)
    assert Hierarchy.load(file) == hierarchy


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("", None, "empty"),
        ("concepts: [", None, "not valid YAML"),
        ("[" * 3000, None, "not valid YAML"),
        ("- a flag", 1, "mapping"),
        ("domain: a face", 1, "`concepts`"),
        ("domain: a face\nconcept: []", 2, "concepts"),
        ("domain: a face\nconcepts: hair", 2, "a list"),
        ("concepts: []", 1, "at least one concept"),
        ("concepts:\n  - a flag", 2, "`kind`"),
        ("concepts:\n  - {text: a flag, kind: thing}", 2, "object, attribute, setting"),
        ("concepts:\n  - text: a flag\n    kind: object\n    knd: object", 4, "kind"),
        ("concepts:\n  - text: a flag\n    kind: object\n    kind: setting", 4, "twice"),
        ("concepts:\n  - name: flag\n    kind: object", 2, "needs a text"),
        ("concepts:\n  - {name: flag, kind: object, children: []}", 2, "needs a text"),
        ("concepts:\n  - {kind: object}", 2, "`name`"),
        ("concepts:\n  - {text: a flag, kind: object, children: [[a flag]]}", 2, "mapping"),
        ("concepts:\n  - {text: [a, b], kind: object}", 2, "a text is wanted"),
        ("concepts:\n  - {name: a/b, text: a flag, kind: object}", 2, "slashes"),
        ("concepts:\n  - {name: ../b, text: a flag, kind: object}", 2, "slashes"),
        ("concepts:\n  - text: a flag\n    kind: object\n    children:\n      - the flag", 5, "same name"),
        ("concepts:\n  - {name: x, text: a flag, kind: object}\n  - {text: A Flag, kind: object}", 3, "same text"),
        ("concepts:\n  - &a {text: a flag, kind: object}\n  - *a", 2, "alias"),
        ("concepts: &a\n  - text: a flag\n    kind: object\n    children: *a", 1, "alias"),
        ("concepts:\n  - {text: " + "x" * 300 + ", kind: object}", 2, "short line"),
        ('concepts:\n  - {name: x, text: "a\\nb", kind: object}', 2, "one short line"),
        ("concepts:\n  - " + "{text: a, kind: object, children: [" * 20 + "]}" * 20, 2, "levels deep"),
        ("--- {}\n--- {}", None, "not valid YAML"),
        ("concepts: !!python/object/apply:os.system ['true']", 1, "at least one concept|`kind`"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int | None, complaint: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=complaint) as caught:
        Hierarchy.load(file)
    assert str(file) in str(caught.value)
    if line is not None:
        assert f"{file}, line {line}:" in str(caught.value)


def test_a_hierarchy_made_in_python_is_held_to_the_same_rules() -> None:
    with pytest.raises(UserError, match="same name"):
        Hierarchy("", (RED, Concept("Red", "a red thing", "object")))
    with pytest.raises(UserError, match="at least one"):
        Hierarchy("a face", ())


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_hierarchy_is_sound(name: str, tmp_path: Path) -> None:
    hierarchy = FileProposer(name).hierarchy
    concepts = [concept for _, concept in hierarchy.concepts()]
    assert len(concepts) >= 40
    assert {concept.kind for concept in concepts} >= {"object", "attribute", "setting"}
    assert any(len(path) > 2 for path, _ in hierarchy.concepts())
    hierarchy.save(tmp_path / "again.yaml")
    assert Hierarchy.load(tmp_path / "again.yaml") == hierarchy


def test_the_domains_of_the_paper_are_shipped() -> None:
    assert set(shipped()) == {
        *("faces", "birds", "dogs_and_cats", "wild_cats", "leaves", "retina"),
        *("architecture", "food", "fashion", "imagenet_objects", "world"),
    }


def test_the_worlds_hierarchy_is_the_world_in_the_words_of_its_captions() -> None:
    hierarchy = FileProposer("world").hierarchy
    values = {
        category.name: {child.name for child in category.children}
        for category in hierarchy.roots
        if category.name != "companion"
    }
    assert values == {name: set(values) for name, values in ATTRIBUTES.items() if name != "subject"}
    companions = {concept.name: {child.name for child in concept.children} for concept in hierarchy.roots[0].children}
    assert companions == {kind: {f"{subtype} {kind}" for subtype in types} for kind, types in COMPANIONS.items()}
    words = {word for _, concept in hierarchy.concepts() for word in concept.text.split()}
    assert words <= set(vocabulary())


def test_an_unknown_hierarchy_names_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        FileProposer("brids")
    assert caught.value.nearest[0] == "birds"
    with pytest.raises(UserError, match="no file"):
        FileProposer("nowhere/mine.yaml")


def test_hierarchies_are_listed_and_checked_without_torch() -> None:
    program = (
        "import sys; from diffexplain.cli import main; import diffexplain.concepts; "
        "assert main(['list', 'hierarchies']) == 0; "
        "assert not {'torch', 'transformers', 'httpx2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "birds" in done.stdout
    assert "a bird" in done.stdout
