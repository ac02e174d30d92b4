"""Every file that comes with the package is known by its SHA-256, and a damaged one is refused before it is loaded."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from diffexplain.config import configuration, fetch_command
from diffexplain.errors import UserError
from diffexplain.weights import shipped
from diffexplain.weights.paths import DATA_ROOTS, EMBEDDED_ROOT


def test_the_list_is_that_of_the_files_as_they_are() -> None:
    recorded = shipped.recorded()
    files = {path for root in (EMBEDDED_ROOT, *DATA_ROOTS) for path in root.rglob("*") if path.is_file()}
    read = {path for path in files if path.suffix not in (".md", ".pyc") and path != shipped.LIST}
    assert recorded.keys() == read, "python -m diffexplain.weights.shipped remakes the list"
    wrong = [path for path in read if sha256(path.read_bytes()).hexdigest() != recorded[path]]
    assert wrong == [], "python -m diffexplain.weights.shipped remakes the list"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's files, which may be damaged."""
    root = tmp_path / "world" / "weights"
    shutil.copytree(EMBEDDED_ROOT, root)
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path)
    monkeypatch.setattr("diffexplain.weights.paths.EMBEDDED_ROOT", root)
    return root


@pytest.mark.parametrize(
    "name",
    [
        "classifiers/shortcut_cnn/model.safetensors",
        "classifiers/shortcut_cnn/labels.json",
        "prior/unet/diffusion_pytorch_model.safetensors",
        "prior/tokenizer/tokenizer.json",
        "clipseg/model.safetensors",
    ],
)
def test_a_flipped_byte_is_refused_with_file_expected_and_found(name: str, package: Path) -> None:
    config = configuration.compose([])
    fetch_command.require(config)
    path = package / name
    expected = sha256(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=rf"{path}(.|\n)*expected: sha256 {expected}(.|\n)*found: *sha256 (?!{expected})"
    ):
        fetch_command.require(config)


def test_a_part_that_the_run_does_not_use_may_be_as_it_is(package: Path) -> None:
    (package / "oracle" / "model.safetensors").write_bytes(b"damaged")
    fetch_command.require(configuration.compose([]))
