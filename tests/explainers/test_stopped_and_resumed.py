"""Stopped by a signal and started again, a run ends with the bytes of one that was not: on the CPU, and on a GPU with
repeatable kernels."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.explainers.support import artefacts, explain, explainer
from tests.explainers.test_resume import SignalsAt

from diffexplain.diffusion import MemorySettings
from diffexplain.errors import Interrupted
from diffexplain.explainers import TrainerSettings


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """The trainer asks for repeatable kernels once for all."""
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("accelerator", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(
    ("precision", "micro_batch"), [("32-true", None), ("bf16-mixed", 1)], ids=["float32", "bfloat16, two micro-batches"]
)
def test_a_resumed_run_is_byte_equal(precision: str, micro_batch: int | None, accelerator: str, tmp_path: Path) -> None:
    settings = {
        "memory": MemorySettings(micro_batch=micro_batch),
        "trainer": TrainerSettings(
            accelerator=accelerator, precision=precision, progress="none", deterministic=True
        ),
    }  # fmt: skip
    explain(tmp_path / "whole", explainer(steps=4), **settings)
    calls = 2 if micro_batch is None else 4  # one for each micro-batch: in the third step
    with pytest.raises(Interrupted):
        explain(tmp_path / "stopped", explainer(steps=4), classifier=SignalsAt(calls, signal.SIGTERM), **settings)
    assert (tmp_path / "stopped" / "metrics.jsonl").read_bytes().count(b"\n") == 3
    explain(tmp_path / "stopped", explainer(steps=4), **settings)
    assert artefacts(tmp_path / "stopped") == artefacts(tmp_path / "whole")
