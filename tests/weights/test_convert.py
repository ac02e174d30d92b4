"""`diffexplain convert`: what is kept of a pickle, under which names, and that none of it is executed."""

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from diffexplain import cli
from diffexplain.errors import UserError
from diffexplain.weights.convert import convert
from diffexplain.weights.files import read_pickle

NETWORK = {"conv1.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.ones(2, dtype=torch.float16)}


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in NETWORK.items()}


def robust(prefix: str) -> dict[str, Tensor]:
    """Names as the robustness library gives them: the network, its attacker with it again, its normaliser."""
    own = prefixed(f"{prefix}model.") | prefixed(f"{prefix}attacker.model.")
    return own | {f"{prefix}attacker.normalize.new_mean": torch.ones(3), f"{prefix}normalizer.new_std": torch.ones(3)}


CONTENTS: dict[str, tuple[Any, list[str]]] = {
    "torchvision's": (NETWORK, []),
    "a trained network's": ({"state_dict": NETWORK, "epoch": 3, "optimizer": {"lr": 0.1}}, ["epoch", "optimizer"]),
    "of several devices": ({"model": prefixed("module.")}, []),
    "the robustness library's": (
        {"model": robust("module."), "epoch": 105},
        [
            *("epoch", "module.attacker.model.conv1.weight", "module.attacker.model.fc.bias"),
            *("module.attacker.normalize.new_mean", "module.normalizer.new_std"),
        ],
    ),
    "the robustness library's, of one device": (
        robust(""),
        ["attacker.model.conv1.weight", "attacker.model.fc.bias", "attacker.normalize.new_mean", "normalizer.new_std"],
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_networks_tensors_are_kept_under_its_own_names(tmp_path: Path, kind: str, zipped: bool) -> None:
    content, dropped = CONTENTS[kind]
    source, target = tmp_path / "network.pt", tmp_path / "made" / "network.safetensors"
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    assert convert(source, target).dropped == tuple(dropped)
    made = load_file(target)
    assert made.keys() == NETWORK.keys()
    for name, value in NETWORK.items():
        torch.testing.assert_close(made[name], value, rtol=0, atol=0)


def test_the_command_says_what_it_kept_and_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": prefixed("module.model."), "schedule": [1, 2]}, tmp_path / "network.pt")
    assert cli.main(["convert", str(tmp_path / "network.pt")]) == 0
    said = capsys.readouterr().out
    assert "2 tensors" in said
    assert "conv1.weight, fc.bias" in said
    assert "dropped: schedule" in said
    assert "robustness" in said
    assert load_file(tmp_path / "network.safetensors").keys() == NETWORK.keys()


def test_tied_and_transposed_weights_are_written_in_full(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    torch.save({"first": weight, "tied": weight, "turned": weight.T}, tmp_path / "network.pt")
    convert(tmp_path / "network.pt", tmp_path / "network.safetensors")
    made = load_file(tmp_path / "network.safetensors")
    assert torch.equal(made["tied"], weight)
    assert torch.equal(made["turned"], weight.T)


class Bomb:
    """Unpickled, it touches a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("place", ["plain", "zipped", "legacy", "beside the network", "in it"])
def test_a_bomb_does_not_go_off(tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    marker, source, target = tmp_path / "exploded", tmp_path / "network.pt", tmp_path / "network.safetensors"
    bomb = Bomb(marker)
    if place == "plain":
        source.write_bytes(pickle.dumps(bomb, protocol=2))
        assert "mkdir" in [argument for _, argument, _ in pickletools.genops(source.read_bytes())][1]
    elif place == "beside the network":
        torch.save({"model": NETWORK, "schedule": bomb}, source)
    elif place == "in it":
        torch.save(NETWORK | {"bn.num_batches_tracked": bomb}, source)
    else:
        torch.save(bomb, source, _use_new_zipfile_serialization=place == "zipped")
    assert cli.main(["convert", str(source), str(target)]) == 2
    said = capsys.readouterr().err
    assert str(source) in said
    assert "code to be executed: posix.mkdir" in said
    assert "weights_only" not in said, "torch's own message tells how to execute it"
    assert not marker.exists()
    assert not target.exists()
    pickle.loads(pickle.dumps(bomb))
    assert marker.exists(), "the bomb was a dud, so nothing was tested"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"model": {"weight": torch.ones(2), "epoch": 3}}, "epoch (int)"),
        ({"weight": torch.ones(2), "name": "x"}, "name (str)"),
        ({"model": {"weight": torch.eye(3).to_sparse()}}, "weight (Tensor)"),
        ({}, "no names"),
        ([torch.ones(2)], "one list"),
        (torch.ones(2), "one Tensor"),
    ],
)
def test_anything_but_tensors_is_refused(tmp_path: Path, content: Any, found: str) -> None:
    torch.save(content, tmp_path / "network.pt")
    with pytest.raises(UserError) as caught:
        convert(tmp_path / "network.pt", tmp_path / "network.safetensors")
    assert found in str(caught.value)
    assert "network.pt" in str(caught.value)
    assert not (tmp_path / "network.safetensors").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "network.pt"
    torch.save(NETWORK, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for share in range(10):
        path.write_bytes(whole[: len(whole) * share // 10])
        with pytest.raises(UserError, match=r"network\.pt"):
            read_pickle(path)


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b", "c"], ["nowhere.pt", "network.safetensors"], ["network.pt", "network.pth"]]
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(NETWORK, tmp_path / "network.pt")
    assert cli.main(["convert", *(str(tmp_path / name) for name in arguments)]) == 2
    assert capsys.readouterr().err.startswith("diffexplain: ")
