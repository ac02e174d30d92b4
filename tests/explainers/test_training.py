"""Where a run is made."""

from __future__ import annotations

import pytest
import torch

from diffexplain.errors import UserError
from diffexplain.explainers import device_kind


def test_the_kind_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_kind("auto") == device_kind("cpu") == "cpu"
    with pytest.raises(UserError, match="auto, cpu"):
        device_kind("gpu")
    with pytest.raises(UserError, match="auto, cpu"):
        device_kind("abacus")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert device_kind("auto") == device_kind("gpu") == device_kind("cuda") == "a GPU"
