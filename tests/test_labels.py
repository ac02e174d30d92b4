"""Class names from every kind of file, and ImageNet's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffexplain.errors import UserError
from diffexplain.evaluation.vocabulary import Phrase, Vocabulary
from diffexplain.labels import IMAGENET, classifier_labels, find_labels, read_labels
from diffexplain.target import Target

COMMAND = "diffexplain fetch classifier=x"


@pytest.mark.parametrize("text", ["flagpole", "Flagstaff", "557", "n03355925", "FLAGPOLE"])
def test_imagenets_classes_have_index_wnid_name_and_synonyms(text: str) -> None:
    target = Target.parse(f"class:{text}").resolve(find_labels(IMAGENET, command=COMMAND))
    assert (target.class_index, target.text) == (557, "class:flagpole")


def test_every_slug_and_every_unmistakable_key_of_imagenet_leads_back() -> None:
    labels = find_labels(IMAGENET, command=COMMAND)
    assert len(labels) == len({label.slug for label in labels.classes}) == 1000
    shared = [label for label in labels.classes if label.wnid and label.slug.endswith(label.wnid)]
    assert len(shared) == 6  # Two cranes, cardigans and maillots.
    for label in (*shared, *labels.classes[::25]):
        assert labels.resolve(label.slug) == label.index
        assert labels.resolve(labels.key(label.index)) == label.index
        assert label.wnid is not None and labels.resolve(label.wnid) == label.index


def test_an_ambiguous_name_of_imagenet_lists_the_choices() -> None:
    labels = find_labels(IMAGENET, command=COMMAND)
    with pytest.raises(UserError, match="class:134, class:517"):
        labels.resolve("crane")
    assert labels.resolve("dog sled") == labels.resolve("dogsled") == 537


def test_class_names_are_found_without_torch() -> None:
    code = (
        "import sys; from diffexplain import app, configuration;"
        "config = configuration.compose(['classifier=resnet50', 'diffusion=world', 'target=class:flagstaff']);"
        "app.resolve_target(config);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "a bee\na kite\n"),
        ("config.json", {"id2label": {"1": "a kite", "0": "a bee"}}),
        ("config.json", {"architecture": "resnet18", "num_classes": 2, "label_names": ["a bee", "a kite"]}),
        (
            "config.json",
            {
                "architecture": "resnet18",
                "num_classes": 2,
                "pretrained_cfg": {"label_names": ["b", "k"]},
                "label_descriptions": {"b": "a bee", "k": "a kite"},
            },
        ),
        ("labels.json", {"name": "two", "classes": [{"index": 0, "name": "a bee"}, {"index": 1, "name": "a kite"}]}),
    ],
)
def test_names_are_read_from_every_form(tmp_path: Path, name: str, content: Any) -> None:
    assert read_labels(written(tmp_path / name, content)).names == ("a bee", "a kite")


def test_a_description_is_a_name_and_its_synonyms(tmp_path: Path) -> None:
    described = {"id2label": {"0": "tench, Tinca tinca", "1": "crane, bird", "2": "crane, machine"}}
    labels = read_labels(written(tmp_path / "config.json", described))
    assert labels.names == ("tench", "crane, bird", "crane, machine")
    assert [labels.resolve(text) for text in ("Tinca tinca", "tench, Tinca tinca", "bird", "machine")] == [0, 0, 1, 2]


def test_imagenets_names_in_a_models_file_bring_its_wordnet_ids(tmp_path: Path) -> None:
    imagenet = find_labels(IMAGENET, command=COMMAND)
    names = {str(label.index): ", ".join((label.name, *label.synonyms)) for label in imagenet.classes}
    assert read_labels(written(tmp_path / "config.json", {"id2label": names})) == imagenet
    other = {index: f"thing {index}" for index in names}
    assert read_labels(written(tmp_path / "config.json", {"id2label": other})).names[7] == "thing 7"


def test_timms_usual_classes_have_no_names_in_its_file(tmp_path: Path) -> None:
    for count, name in ((1000, "flagpole"), (600, "class 557")):
        content = {"architecture": "resnet18", "num_classes": count, "pretrained_cfg": {}}
        assert read_labels(written(tmp_path / "config.json", content)).names[557] == name


def test_names_may_be_beside_the_weights(tmp_path: Path) -> None:
    written(tmp_path / "config.json", {"id2label": {"0": "a bee"}})
    node = {"name": "mine", "labels": "weights:config.json", "weights": [{"repository": str(tmp_path)}]}
    assert classifier_labels(node).names == ("a bee",)
    with pytest.raises(UserError, match="list classes classifier=mine"):
        classifier_labels(node).resolve("a kite")
    with pytest.raises(UserError, match="no weights"):
        classifier_labels(node | {"weights": []})


@pytest.mark.parametrize(
    ("name", "content"),
    [("names.txt", "\n\n"), ("config.json", "{"), ("config.json", {"id2label": {"1": "a"}}), ("config.json", "[]")],
)
def test_names_that_cannot_be_read_name_their_file(tmp_path: Path, name: str, content: Any) -> None:
    with pytest.raises(UserError, match=r"names|config"):
        read_labels(written(tmp_path / name, content))


def test_descriptions_come_on_top_of_the_everyday_vocabulary() -> None:
    described = Vocabulary.load("embedded:everyday.yaml", "embedded:everyday_descriptions.yaml")
    descriptions = described.of_kind("description")
    assert len(descriptions) == 32
    # Each can be exchanged for another.
    assert all(described.siblings(phrase) for phrase in descriptions)
    red = described.find("red")
    assert red is not None
    assert described.describe([Phrase("an orange"), red]) == "a photo of a red orange"


def test_the_everyday_vocabulary_can_be_extended_with_a_file(tmp_path: Path) -> None:
    everyday = Vocabulary.load("embedded:everyday.yaml")
    assert len(everyday.phrases) >= 300
    assert {phrase.kind for phrase in everyday.phrases} == {"object", "setting", "attribute"}
    more = written(
        tmp_path / "more.yaml", "- {phrase: a plaid scarf, kind: attribute, of: a scarf}\n- {phrase: a fez}\n"
    )
    extended = Vocabulary.load("embedded:everyday.yaml", str(more))
    assert extended.phrases[: len(everyday.phrases)] == everyday.phrases
    assert [phrase.text for phrase in extended.phrases[-2:]] == ["a plaid scarf", "a fez"]
    assert extended.opening == everyday.opening
    with pytest.raises(UserError, match="twice"):
        Vocabulary.load("embedded:everyday.yaml", str(written(tmp_path / "again.yaml", "- {phrase: A Dog}\n")))
