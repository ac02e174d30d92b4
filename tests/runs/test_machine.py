"""What a machine has, and what is said where it has not what is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffexplain.errors import UserError
from diffexplain.runs import machine as one
from diffexplain.runs.machine import check_asked, device_kind, device_name


def machine(monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_the_kind_of_device_and_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    assert device_kind("auto") == device_kind("cpu", 9) == device_name("cpu") == "cpu"
    machine(monkeypatch, mps=True)
    assert device_kind("auto") == device_kind("gpu") == device_name("mps") == "mps"
    machine(monkeypatch, gpus=2)
    assert device_kind("auto", 2) == device_kind("gpu") == device_kind("cuda") == "cuda"
    assert device_kind("cpu") == "cpu"
    assert device_name("cuda") == "a GPU"


def test_what_the_machine_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    with pytest.raises(UserError, match=r"no GPU that torch can use\.\n.*given: *gpu\n.*accepted: auto, cpu\n"):
        device_kind("gpu")
    with pytest.raises(UserError, match=r"no mps that"):
        device_kind("mps")
    assert device_kind("cpu", precision="bf16-mixed") == "cpu"
    with pytest.raises(UserError, match=r"for a GPU.*\n.*trainer\.precision=16-mixed"):
        device_kind("auto", precision="16-mixed")
    machine(monkeypatch, gpus=2)
    assert device_kind("auto", precision="16-true") == "cuda"
    with pytest.raises(UserError, match=r"more than this machine has of cuda\.\n.*given: *3\n.*accepted: 1, 2"):
        device_kind("auto", 3)
    machine(monkeypatch, mps=True)
    with pytest.raises(UserError, match=r"has of mps"):
        device_kind("auto", 2)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("accelerator", "abacus", r"no such trainer\.accelerator.*\n.*given: *abacus"),
        ("accelerator", "gpu", r"no GPU that torch can use\.\n.*given: *gpu\n.*accepted: auto, cpu\n"),
        ("precision", "8bit", r"no such trainer\.precision.*\n.*given: *8bit\n.*32-true"),
        ("precision", "16-mixd", "nearest: *16-mixed, bf16-mixed"),
        ("progress", "line", r"no such trainer\.progress.*\n(.*\n)*.*nearest: *lines"),
    ],
)
def test_what_no_machine_has_is_said_before_torch_is_imported(
    key: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(one, "_DEVICES", tmp_path)
    monkeypatch.setattr(one.sys, "platform", "linux")
    with pytest.raises(UserError, match=told):
        check_asked({key: value})
    (tmp_path / "nvidiactl").touch()
    check_asked({"accelerator": "gpu", "precision": "16-mixed"})
