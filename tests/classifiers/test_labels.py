"""Class names from every kind of file, and ImageNet's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffexplain.classifiers.labels import IMAGENET, classifier_labels, find_labels, read_labels
from diffexplain.concepts.vocabulary import Phrase, Vocabulary, class_phrase
from diffexplain.errors import UserError
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
        "import sys; from diffexplain import app; from diffexplain.config import configuration;"
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
        ("classes.json", {"classes": ["a bee", "a kite"]}),
        ("names.txt", "\ufeff# insects\r\na bee\r\n# birds\r\na kite\r\n\r\n"),
        ("names.txt", "n02206856 a bee\nn01608432\ta kite, a hawk\n"),
        ("names.txt", "0 a bee\n1 a kite\n"),
        ("names.txt", "1: a kite\n0: a bee"),
        ("names.txt", "a bee 0\na kite 1\n"),
        ("names.txt", "n02206856 0 a bee\nn01608432 1 a kite"),
        ("names.txt", "{0: 'a bee, Apis',\n 1: 'a kite'}"),
        ("names", "name,index\na kite,1\na bee,0"),
        ("a.json", {"0": "a bee", "1": "a kite"}),
        ("a.json", {"1": ["n01608432", "a kite"], "0": ["n02206856", "a bee"]}),
        ("a.json", {"a kite": 1, "a bee": 0}),
        ("a.json", {"a kite": "1", "a bee": "0"}),
        ("a.json", ["a bee", "a kite"]),
        ("a.json", [["n02206856", "a bee"], ["n01608432", "a kite", "a hawk"]]),
        ("a.json", {"label2id": {"a kite": 1, "a bee": 0}}),
        ("a.yaml", "- a bee\n- a kite\n"),
        ("a.yaml", "0: a bee\n1: a kite\n"),
        ("a.csv", "a bee\na kite"),
        ("a.csv", "0,a bee\n1,a kite, a hawk"),
        ("a.csv", "a kite,n01608432,1\na bee,n02206856,0"),
        ("a.csv", 'Index;Class Name\n1;"a kite"\n0;"a bee"'),
        ("a.csv", "# mine\nwnid,synonyms,name\nn02206856,Apis,a bee\nn01608432,,a kite"),
        ("a.csv", ",label\n1,a kite\n0,a bee"),
        ("a.csv", "label,class,count\n1,a kite,20\n0,a bee,7"),
        ("a.tsv", "0\ta bee\n1\ta kite, a hawk"),
    ],
)
def test_names_are_read_from_every_form(tmp_path: Path, name: str, content: Any) -> None:
    assert read_labels(written(tmp_path / name, content)).names == ("a bee", "a kite")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_names_are_read_as_editors_encode_them(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("Kindergarten für Bären\r\n蜜蜂\r\nC#\r\n".encode(encoding))
    assert read_labels(path).names == ("Kindergarten für Bären", "蜜蜂", "C#")


def test_wordnet_ids_alone_have_imagenets_names_and_unknown_ones_have_none(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path / "ids.txt", "n03355925\nn02012849\nn03126707\nn99999999\n"))
    assert labels.names == ("flagpole", "crane", "crane", "n99999999")
    assert [labels.resolve(text) for text in ("n03355925", "flagstaff", "n03126707", "n99999999")] == [0, 0, 2, 3]
    assert [label.word for label in labels.classes] == ["flagpole", "crane", "crane", None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("synset_words.txt", "n03355925 flagpole, flagstaff\nn02206856 bee\n"),
        ("a.json", {"0": ["n03355925", "flagpole", "flagstaff"], "1": ["n02206856", "bee"]}),
        ("a.csv", 'wnid,name\nn03355925,"flagpole, flagstaff"\nn02206856,bee'),
        ("a.csv", "wnid,name,synonyms\nn03355925,flagpole,flagstaff\nn02206856,bee,"),
        ("a.csv", "0,n03355925,flagpole, flagstaff\n1,n02206856,bee"),
    ],
)
def test_id_and_synonyms_find_the_class_and_only_its_name_is_said(tmp_path: Path, name: str, content: Any) -> None:
    labels = read_labels(written(tmp_path / name, content))
    for text in ("n03355925", "flagpole", "flagstaff", "flagpole, flagstaff", "0"):
        target = Target.parse(f"class:{text}").resolve(labels)
        assert (target.text, class_phrase(str(target.class_name))) == ("class:flagpole", "a flagpole")


def test_a_list_that_is_typed_is_taken_at_its_word() -> None:
    labels = find_labels(["flagpole, flagstaff", "n02206856", "n02012849 crane", 7], command="")
    assert labels.names == ("flagpole, flagstaff", "bee", "crane", "7")
    assert [labels.resolve(text) for text in ("flagstaff", "n02206856", "n02012849", "7")] == [0, 1, 2, 3]
    with pytest.raises(UserError, match="class 1 is nothing"):
        find_labels(["a", None], command="")  # type: ignore[list-item]


def test_a_folder_of_transformers_without_names_has_those_that_transformers_gives(tmp_path: Path) -> None:
    assert read_labels(written(tmp_path / "config.json", {"model_type": "resnet"})).names == ("LABEL_0", "LABEL_1")
    three = {"model_type": "resnet", "num_labels": 3}
    labels = read_labels(written(tmp_path / "config.json", three))
    with pytest.warns(UserWarning, match="LABEL_2 is no word .* classifier.labels="):
        assert Target.parse("class:LABEL_2").resolve(labels).class_name is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "bee\n\nkite", "line 2 is blank"),
        ("a.txt", "# only\n", "holds none"),
        ("a.txt", "1 bee\n2 kite", "begin at 1"),
        ("a.txt", "n02206856 1 bee\nn01608432 2 kite", "begin at 1"),
        ("a.json", {"0": "bee", "2": "kite"}, "1 is missing"),
        ("a.json", {"bee": 0, "kite": 0}, "two classes have the index 0"),
        ("a.json", '{"0": "bee", "1": "kite", "1": "yawl"}', "'1' stands twice"),
        ("a.json", {"0": 1, "1": 0}, "both sides"),
        ("a.json", {"a": "b"}, "a mapping from the text 'a' to the text"),
        ("a.json", {"0": {"a": 1}}, "class 0 is a mapping"),
        ("a.json", [0.5], "class 0 is a number"),
        ("a.json", ["bee", None], "class 1 is nothing"),
        ("a.json", ["bee", " "], "class 1 has an empty name"),
        ("a.json", 3, "a number"),
        ("a.json", {}, "nothing"),
        ("a.json", '{"0": "bee",}x', "no.* valid JSON"),
        ("a.json", {"classes": [{"name": "bee"}]}, "lacks its 'index'"),
        ("a.json", {"classes": [{"index": 0, "name": "bee", "synonyms": "apis"}]}, "must be a list"),
        ("a.yaml", "- bee\n- no\n", "class 1 is true or false"),
        ("a.csv", "index,name", "no class"),
        ("a.csv", "0,5\n1,7", "several of its columns could be the index"),
        ("a.csv", "name,name\nbee,kite", "several of its columns could be the name"),
        ("a.csv", "wnid,name\nbee,n02206856", "'bee' is given as a WordNet id"),
        ("a.csv", "index,name\nbee,0", "'bee' is given as the index"),
        ("a.csv", "name,index\nbee, apis,0", "more cells than the header|as the index"),
        ("a.csv", 'name\n"bee', "valid CSV"),
        ("a.txt", b"\xff\x00\x80", "UTF-8|no text"),
        ("a.txt", b"\x80\x04\x95", "UTF-8"),
    ],
)
def test_what_leaves_something_open_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: Any, reason: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        written(path, content)
    with pytest.raises(UserError, match=reason) as caught:
        read_labels(path)
    assert caught.value.message.startswith(f"The class names in {path} cannot be read: ")
    assert "one class a line" in str(caught.value)


def test_a_description_is_a_name_and_its_synonyms(tmp_path: Path) -> None:
    described = {"id2label": {"0": "tench, Tinca tinca", "1": "crane, bird", "2": "crane, machine"}}
    labels = read_labels(written(tmp_path / "config.json", described))
    assert labels.names == ("tench", "crane, bird", "crane, machine")
    assert [labels.resolve(text) for text in ("Tinca tinca", "tench, Tinca tinca", "bird", "machine")] == [0, 0, 1, 2]


def test_imagenets_names_in_a_models_file_bring_its_wordnet_ids(tmp_path: Path) -> None:
    imagenet = find_labels(IMAGENET, command=COMMAND)
    names = {str(label.index): ", ".join((label.name, *label.synonyms)) for label in imagenet.classes}
    assert read_labels(written(tmp_path / "config.json", {"id2label": names})) == imagenet
    # One class in a thousand may be the user's own; a respelt one keeps its name.
    own = names | {"557": "our new product", "3": "tiger-shark, big fish", "0": "Tinca tinca"}
    mixed = read_labels(written(tmp_path / "config.json", {"id2label": own}))
    assert (mixed.names[557], mixed.classes[557].wnid) == ("our new product", None)
    assert (mixed.names[0], mixed.classes[0].wnid, mixed.resolve("tench")) == ("Tinca tinca", "n01440764", 0)
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
    own = written(tmp_path / "my names.txt", "a bee\n")
    with pytest.raises(UserError, match=f"list classes classifier=mine 'classifier.labels={own}'"):
        classifier_labels(node | {"labels": str(own)}).resolve("a kite")
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
    descriptions = [phrase for phrase in described.phrases if phrase.kind == "attribute"]
    assert len(descriptions) == 32
    # Each can be exchanged for another.
    aspects = [phrase.of for phrase in descriptions]
    assert all(aspects.count(aspect) > 1 for aspect in aspects)
    red = described.find("red")
    assert red is not None
    assert described.describe([Phrase("an orange"), red]) == "a photo of a red orange"


def test_the_everyday_vocabulary_can_be_extended_with_a_file(tmp_path: Path) -> None:
    everyday = Vocabulary.load("embedded:everyday.yaml")
    assert len(everyday.phrases) >= 300
    assert {phrase.kind for phrase in everyday.phrases} == {"object", "setting", "sub-type"}
    more = written(
        tmp_path / "more.yaml", "- {phrase: a plaid scarf, kind: attribute, of: a scarf}\n- {phrase: a fez}\n"
    )
    extended = Vocabulary.load("embedded:everyday.yaml", str(more))
    assert extended.phrases[: len(everyday.phrases)] == everyday.phrases
    assert [phrase.text for phrase in extended.phrases[-2:]] == ["a plaid scarf", "a fez"]
    assert extended.opening == everyday.opening
    with pytest.raises(UserError, match="twice"):
        Vocabulary.load("embedded:everyday.yaml", str(written(tmp_path / "again.yaml", "- {phrase: A Dog}\n")))
