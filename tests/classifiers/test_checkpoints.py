"""Checkpoints as trainers write them: found under any wrapper, nothing executed, refused where they do not fit."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import own_classifiers
from torch import Tensor, nn

from diffexplain import cli
from diffexplain.classifiers import load_checkpoint
from diffexplain.classifiers.state import load_state
from diffexplain.errors import UserError

NAMES = ["red", "green", "blue"]
PLAIN: dict[str, Any] = {"preprocessing": {"size": 16}, "labels": NAMES, "plugins": ["tests"]}
TRAINED = own_classifiers.build().state_dict()
OTHER = own_classifiers.build().state_dict()


def prefixed(prefix: str, state: dict[str, Tensor] = TRAINED) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def loaded(path: Path, **more: Any) -> dict[str, Tensor]:
    classifier = load_checkpoint("tests.own_classifiers.build", checkpoint=str(path), **{**PLAIN, **more})
    return dict(classifier.backbone.state_dict())


FORMS: dict[str, tuple[str, Any]] = {
    "plain": ("own.pth", TRAINED),
    "ImageNet's example": ("own.pth.tar", {"epoch": 3, "arch": "mine", "state_dict": prefixed("module."), "best": 0.5}),
    "Lightning": (
        "own.ckpt",
        {
            "epoch": 3,
            "state_dict": prefixed("model."),
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}],
            "hyper_parameters": {"width": 4},
        },
    ),
    "compiled in Lightning": ("own.ckpt", {"state_dict": prefixed("net._orig_mod.")}),
    "compiled on several devices": ("own.pt", {"model": prefixed("_orig_mod.module.")}),
    "on several devices, compiled": ("own.pt", {"net": prefixed("module._orig_mod.")}),
    "weights": ("own.pt", {"weights": TRAINED}),
    "model_state": ("own.pt", {"model_state": TRAINED, "step": 7}),
    "model_state_dict": ("own.pt", {"model_state_dict": TRAINED, "optimizer_state_dict": {"state": {}}}),
    "network in a system": ("own.pt", {"trainer": {"network": prefixed("encoder.backbone.")}}),
    "averaged": ("own.pt", {**prefixed("module."), "n_averaged": torch.tensor(5)}),
    "options and scores beside": (
        "own.pth",
        {"args": argparse.Namespace(lr=0.1), "acc": np.float64(0.5), "folder": Path("runs"), "state_dict": TRAINED},
    ),
    "parts on several devices": (
        "own.pth",
        {name.replace("0.", "0.module.", 1) if name.startswith("0.") else name: t for name, t in TRAINED.items()},
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:Of .*left out")
def test_the_network_is_found_where_a_trainer_has_put_it(form: str, tmp_path: Path) -> None:
    name, content = FORMS[form]
    torch.save(content, tmp_path / name)
    torch.testing.assert_close(loaded(tmp_path / name), dict(TRAINED), rtol=0, atol=0)


def test_a_network_that_wraps_another_takes_the_inner_ones_weights(tmp_path: Path) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = own_classifiers.build()

    torch.save(TRAINED, tmp_path / "own.pth")
    network = Outer()
    load_state(network, tmp_path / "own.pth")
    torch.testing.assert_close(dict(network.inner.state_dict()), dict(TRAINED), rtol=0, atol=0)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    torch.save({"state_dict": {**prefixed("model."), "head.weight": torch.zeros(2)}}, tmp_path / "own.ckpt")
    with pytest.warns(UserWarning, match=r"under state_dict\.model are the network's; left out: 1 \(head\.weight\)"):
        loaded(tmp_path / "own.ckpt")


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ({"state_dict": TRAINED, "state_dict_ema": OTHER}, ["state_dict", "state_dict_ema"]),
        (
            {"state_dict": {**prefixed("model."), **prefixed("ema_model.", OTHER)}},
            ["state_dict.model", "state_dict.ema_model"],
        ),
        ({**TRAINED, "ema": OTHER}, ["itself", "ema"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Of .*left out")
def test_of_several_networks_the_user_chooses(tmp_path: Path, content: Any, labels: list[str]) -> None:
    path = tmp_path / "own.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match="2 times") as caught:
        loaded(path)
    assert list(caught.value.accepted) == [f"classifier.state={label}" for label in labels]
    for label, state in zip(labels, (TRAINED, OTHER), strict=True):
        torch.testing.assert_close(loaded(path, state=label), dict(state), rtol=0, atol=0)
    with pytest.raises(UserError, match="no such state"):
        loaded(path, state="best")


def test_the_same_network_twice_is_no_choice(tmp_path: Path) -> None:
    torch.save({"state_dict": TRAINED, "state_dict_ema": dict(TRAINED)}, tmp_path / "own.pt")
    with warnings.catch_warnings(action="error"):
        torch.testing.assert_close(loaded(tmp_path / "own.pt"), dict(TRAINED), rtol=0, atol=0)
        loaded(tmp_path / "own.pt", state="state_dict_ema")


def test_what_does_not_fit_is_counted_and_the_first_five_are_named(tmp_path: Path) -> None:
    many = {f"layer.x{index}.weight": torch.zeros(1) for index in range(9)}
    torch.save({**many, "4.bias": torch.zeros(5), "0.weight": TRAINED["0.weight"]}, tmp_path / "own.pth")
    with pytest.raises(UserError) as caught:
        loaded(tmp_path / "own.pth")
    said = str(caught.value)
    assert "own.pth does not fit the network, which has 4 tensors" in said
    assert "missing:     2 (0.bias, 4.weight)" in said
    assert "unexpected:  9 (layer.x0.weight" in said
    assert "layer.x4.weight, ...)" in said
    assert "layer.x5" not in said
    assert "other shape: 1 (4.bias 5, the network's is 3)" in said


def test_a_part_of_a_larger_network_is_not_taken_for_it(tmp_path: Path) -> None:
    torch.save({**TRAINED, "attention.weight": torch.zeros(2)}, tmp_path / "own.pth")
    with pytest.raises(UserError, match="unexpected:  1"):
        loaded(tmp_path / "own.pth")


class Doubled(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * images


def test_a_program_is_not_executed_and_told_what_to_do(tmp_path: Path) -> None:
    torch.jit.script(Doubled()).save(str(tmp_path / "own.pt"))
    with pytest.raises(UserError, match=r"TorchScript archive.*torch\.jit\.load in a function of yours.*ONNX"):
        loaded(tmp_path / "own.pt")
    assert cli.main(["convert", str(tmp_path / "own.pt")]) == 2


def test_a_whole_network_in_a_pickle_is_told_how_to_be_saved(tmp_path: Path) -> None:
    torch.save(own_classifiers.build(), tmp_path / "own.pt")
    with pytest.raises(UserError, match=r"code to be executed.*torch\.save\(network\.state_dict\(\)"):
        loaded(tmp_path / "own.pt")


@pytest.mark.parametrize("state", ["state_dict", "state_dict_ema"])
def test_convert_asks_which_and_what_it_makes_is_read(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"state_dict": prefixed("model._orig_mod.module."), "state_dict_ema": prefixed("module.", OTHER)}
    torch.save(content, tmp_path / "own.pth.tar")
    assert cli.main(["convert", str(tmp_path / "own.pth.tar")]) == 2
    assert "--state=state_dict, --state=state_dict_ema" in capsys.readouterr().err
    assert cli.main(["convert", str(tmp_path / "own.pth.tar"), f"--state={state}"]) == 0
    wanted = TRAINED if state == "state_dict" else OTHER
    torch.testing.assert_close(loaded(tmp_path / "own.safetensors"), dict(wanted), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"widht": 5}, "unexpected keyword argument 'widht'"),
        ({"width": 5, "depth": 3}, "unexpected keyword argument 'depth'"),
    ],
)
def test_wrong_arguments_are_said_before_the_users_function_runs(arguments: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load_checkpoint("tests.own_classifiers.build", arguments=arguments, **PLAIN)
    assert caught.value.accepted == ("width", "classes")


def test_a_network_without_forward_is_named() -> None:
    with pytest.raises(UserError, match="no forward"):
        load_checkpoint("tests.own_classifiers.Shell", **PLAIN)
