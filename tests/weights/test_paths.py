"""Embedded names and users' paths."""

from pathlib import Path

import pytest

from diffexplain.errors import UserError
from diffexplain.weights import paths


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "weights"
    (root / "prior").mkdir(parents=True)
    (root / "classifiers" / "fair_cnn").mkdir(parents=True)
    (root / "vocabulary.yaml").write_text("[]")
    monkeypatch.setattr(paths, "EMBEDDED_ROOT", root)
    return root


def test_embedded_names_are_inside_the_package(embedded: Path) -> None:
    assert paths.resolve_folder("embedded:prior") == embedded / "prior"
    assert paths.resolve_folder("embedded:classifiers/fair_cnn") == embedded / "classifiers" / "fair_cnn"
    assert paths.resolve_file("embedded:vocabulary.yaml") == embedded / "vocabulary.yaml"


def test_other_paths_are_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert paths.resolve_folder("mine") == tmp_path / "mine"
    assert paths.resolve_folder(str(tmp_path / "mine")) == tmp_path / "mine"


@pytest.mark.parametrize("text", ["embedded:pri0r", "embedded:", "embedded:../../secrets", "embedded:/etc"])
@pytest.mark.usefixtures("embedded")
def test_a_wrong_embedded_name_says_which_there_are(text: str) -> None:
    with pytest.raises(UserError, match="embedded:prior"):
        paths.resolve_folder(text)


def test_a_missing_path_is_named_with_its_nearest_sibling(tmp_path: Path) -> None:
    (tmp_path / "resnet50").mkdir()
    with pytest.raises(UserError) as caught:
        paths.resolve_folder(str(tmp_path / "resnet5O"))
    assert str(tmp_path / "resnet5O") in str(caught.value)
    assert caught.value.nearest == ["resnet50"]


def test_what_lies_beside_a_missing_path_is_no_list_of_what_is_accepted(tmp_path: Path) -> None:
    for name in "abcdefghijklmnop":
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="no folder at") as caught:
        paths.resolve_folder(str(tmp_path / "nonexistent"))
    assert caught.value.accepted == () and "one of" not in str(caught.value)
    with pytest.raises(UserError, match=r"nor is there a folder .*gone"):
        paths.resolve_file(str(tmp_path / "gone" / "labels.json"))
    with pytest.raises(UserError, match=r"a is no file"):
        paths.resolve_file(str(tmp_path / "a"))
