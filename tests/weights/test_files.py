"""Files of weights that are cut off, added to, or something else: refused by name, with what was expected and found."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from diffexplain.errors import UserError
from diffexplain.weights.files import check_folder, read_shapes, read_weights, shapes_of

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "steps": torch.tensor(5), "half": torch.ones(4, dtype=torch.float16)}
SHAPES = {name: tuple(value.shape) for name, value in TENSORS.items()}
WHOLE = save(TENSORS, {"format": "pt"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(WHOLE)
    return path


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_weights(path, SHAPES)
    message = str(caught.value)
    assert str(path) in message
    assert "expected: " in message
    assert "found:    " in message
    return message


def test_a_whole_file_is_read_as_it_was_written(path: Path) -> None:
    assert read_shapes(path) == SHAPES
    read = read_weights(path, SHAPES)
    assert all(torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in TENSORS.items())


def test_a_file_cut_off_at_any_byte_is_refused(path: Path) -> None:
    for length in range(len(WHOLE)):
        refused(path, WHOLE[:length])


def test_how_much_is_missing_is_said(path: Path) -> None:
    message = refused(path, WHOLE[:-10])
    assert f"expected: {len(WHOLE)} bytes" in message
    assert f"found:    {len(WHOLE) - 10} bytes: the file is cut off" in message
    assert "something was added" in refused(path, WHOLE + b"0")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00", "diffexplain convert"),
        (b"PK\x03\x04\x00\x00\x08\x08\x00\x00", "diffexplain convert"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00[]", "begins with"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{]", "cannot be read as one"),
        (b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": 1}', "cannot be read as one"),
    ],
)
def test_what_else_it_is_is_said(path: Path, content: bytes, found: str) -> None:
    assert found in refused(path, content)


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_a_users_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    refused(path, content)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "wrong.safetensors"
    path.write_bytes(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
    try:
        read = read_weights(path, SHAPES)
    except UserError:
        return
    assert {name: tuple(value.shape) for name, value in read.items()} == SHAPES


def test_weights_of_another_network_are_refused_by_their_names_and_shapes(path: Path) -> None:
    with torch.device("meta"):
        network = nn.Linear(3, 4)
    with pytest.raises(UserError) as caught:
        read_weights(path, shapes_of(network))
    assert "expected: weight 4x3, bias 4" in str(caught.value)
    assert "found:    weight 2x3, no bias" in str(caught.value)
    with pytest.raises(UserError, match="expected: 1 tensors\n  found:    also"):
        read_weights(path, {"weight": (2, 3)})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        read_shapes(tmp_path / "nowhere.safetensors")


def test_a_damaged_file_is_found_anywhere_in_a_folder(path: Path) -> None:
    check_folder(path.parent)
    deep = path.parent / "unet" / "diffusion_pytorch_model.safetensors"
    deep.parent.mkdir()
    deep.write_bytes(WHOLE[:-1])
    with pytest.raises(UserError, match=r"(?s)unet.*cut off"):
        check_folder(path.parent)
