"""A run that was killed, interrupted or damaged ends with the bytes of one that was not."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.explainers.support import artefacts, explain, explainer
from tests.tiny import TinyClassifier
from torch import Tensor

from diffexplain.errors import Interrupted, RetryableError
from diffexplain.explainers import checkpoint as checkpoints
from diffexplain.explainers.checkpoint import AtomicCheckpointIO, previous_path, read_checkpoint


class SignalsAt(TinyClassifier):
    """Sends this process a signal in the forward pass of one step."""

    def __init__(self, step: int, number: int) -> None:
        super().__init__()
        self.remaining = step
        self.number = number

    def forward(self, images: Tensor) -> Tensor:
        if self.remaining == 0:
            os.kill(os.getpid(), self.number)
        self.remaining -= 1
        return super().forward(images)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("uninterrupted")
    explain(directory)
    return artefacts(directory)


def killed_in_a_child(directory: Path, step: int) -> None:
    """Start the run in a child process that is killed in the middle of ``step``."""
    child = os.fork()
    if child == 0:
        try:
            explain(directory, classifier=SignalsAt(step, signal.SIGKILL))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("step", [1, 3, 4])
def test_killed_at_any_step(step: int, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    killed_in_a_child(tmp_path, step)
    assert (tmp_path / "metrics.jsonl").read_bytes().count(b"\n") == step
    explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


def test_killed_twice_and_half_a_line(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    killed_in_a_child(tmp_path, 3)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 3, "lo')
    killed_in_a_child(tmp_path, 2)
    explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_lets_the_step_finish(
    number: signal.Signals, status: int, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        explain(tmp_path, classifier=SignalsAt(2, number))
    assert caught.value.exit_status == status
    assert signal.getsignal(number) is before
    assert (tmp_path / "metrics.jsonl").read_bytes().count(b"\n") == 3
    state = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert state is not None
    assert state["global_step"] == 3
    explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


def test_a_finished_run_is_read_and_not_made_again(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    first = explain(tmp_path)
    classifier = SignalsAt(0, signal.SIGKILL)  # Any forward pass would be the end.
    again = explain(tmp_path, classifier=classifier)
    assert torch.equal(again.embeddings, first.embeddings)
    assert torch.equal(again.condition, first.condition)
    assert (again.curve, again.words, again.best_step) == (first.curve, first.words, first.best_step)
    assert artefacts(tmp_path) == uninterrupted


def test_a_damaged_checkpoint_falls_back_on_the_one_before(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    killed_in_a_child(tmp_path, 5)
    last = tmp_path / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


def test_a_missing_record_starts_the_run_again(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    killed_in_a_child(tmp_path, 5)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.warns(UserWarning, match="damaged or gone"):
        explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


class FailsOnce(SignalsAt):
    """Gives no finite answer in one forward pass, and sends a signal in a later one."""

    def __init__(self, call: int, step: int) -> None:
        super().__init__(step, signal.SIGTERM)
        self.until = call

    def forward(self, images: Tensor) -> Tensor:
        self.until -= 1
        answer = super().forward(images)
        return answer * float("nan") if self.until == -1 else answer


def test_a_learning_rate_that_was_halved_stays_so(tmp_path: Path) -> None:
    explain(tmp_path / "whole", classifier=FailsOnce(2, 100))
    assert b"made_anew" in (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    with pytest.raises(Interrupted):
        explain(tmp_path / "stopped", classifier=FailsOnce(2, 4))
    explain(tmp_path / "stopped")
    assert artefacts(tmp_path / "stopped") == artefacts(tmp_path / "whole")


@pytest.mark.parametrize("damage", [b"", b"[]\n", b"{", b"0" * 10_000, b"[" * 100_000, b"\xff\n"])
def test_a_damaged_record_starts_the_prompt_again(
    damage: bytes, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    killed_in_a_child(tmp_path, 5)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes(damage or metrics.read_bytes().replace(b"0", b"1", 1))
    with pytest.warns(UserWarning, match="damaged or gone"):
        explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


@pytest.mark.parametrize("whole", [False, True])
def test_a_picture_that_is_gone_or_damaged_is_made_again(
    whole: bool, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    explain(tmp_path) if whole else killed_in_a_child(tmp_path, 5)
    picture = tmp_path / "images" / "step-00000.png"
    picture.write_bytes(b"") if whole else picture.unlink()
    with pytest.warns(UserWarning, match="damaged or gone"):
        explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


def test_what_was_added_to_the_record_of_a_finished_optimisation_is_cut_off(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    explain(tmp_path)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 6, "lo')
    explain(tmp_path)
    assert artefacts(tmp_path) == uninterrupted


def test_a_record_that_vanishes_under_a_run_is_one_line(tmp_path: Path) -> None:
    class Deleting(TinyClassifier):
        calls = 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            if self.calls == 4:
                (tmp_path / "metrics.jsonl").unlink()
            return super().forward(images)

    with pytest.raises(RetryableError, match=r"metrics\.jsonl was changed or deleted"):
        explain(tmp_path, classifier=Deleting())


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    AtomicCheckpointIO().save_checkpoint({"step": 2}, path)

    def fail(*_: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(checkpoints.atomic, "write_bytes", fail)
    with pytest.raises(OSError, match="no"):
        AtomicCheckpointIO().save_checkpoint({"step": 3}, path)
    assert read_checkpoint(path) == {"step": 2}
    assert previous_path(path).exists()


def test_a_pickle_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    AtomicCheckpointIO().save_checkpoint({"bomb": Bomb()}, tmp_path / "last.ckpt")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert read_checkpoint(tmp_path / "last.ckpt") is None
    with pytest.warns(UserWarning, match="cannot be read"), pytest.raises(FileNotFoundError):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
    assert not marker.exists()


def test_global_random_state_plays_no_part(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        explain(tmp_path, explainer())
    assert artefacts(tmp_path) == uninterrupted
