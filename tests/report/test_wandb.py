"""W&B never asks, never fails a run, and stays on this machine without a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wandb

from diffexplain.report.wandb_logger import wandb_logger


@pytest.fixture(autouse=True)
def _nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_key_it_is_offline_and_says_so_once(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="No W&B key") as caught:
        logger = wandb_logger(tmp_path / "run", "a" * 64, {"seed": 0})
    assert len([warning for warning in caught if "W&B" in str(warning.message)]) == 1
    assert logger is not None
    assert logger.experiment.settings._offline
    logger.log_metrics({"score": 0.5}, step=0)
    logger.experiment.finish()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*-aaaaaaaaaaaa"))


@pytest.mark.parametrize("said", ["offline", "disabled"])
def test_whoever_has_a_key_and_says_offline_or_disabled_gets_that(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_MODE", said)
    logger = wandb_logger(tmp_path / "run", "a" * 64, {"seed": 0})
    assert logger is not None
    assert logger.experiment.disabled == (said == "disabled")
    assert logger.begins_anew == (said == "offline")
    logger.log_metrics({"score": 0.5}, step=0)
    logger.experiment.finish()
    assert bool(list(tmp_path.rglob("*.wandb"))) == (said == "offline")
    assert not [warning for warning in recwarn if "W&B" in str(warning.message)]


def test_where_w_and_b_cannot_be_reached_the_log_is_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, tried = wandb.init, []

    def unreachable(*, mode: str, **options: Any) -> Any:
        tried.append(mode)
        if mode == "online":
            raise wandb.errors.CommError("no such host")
        return begin(mode=mode, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(wandb, "init", unreachable)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    with pytest.warns(UserWarning, match="cannot be reached, so the copy is offline: .*no such host"):
        logger = wandb_logger(tmp_path / "run", "a" * 64, {"seed": 0})
    assert tried == ["online", "offline"]
    assert logger is not None
    assert logger.begins_anew
    logger.experiment.finish()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


def test_a_failure_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise wandb.Error("out of order")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.warns(UserWarning, match="goes on without it: out of order"):
        assert wandb_logger(tmp_path, "a" * 64, {}, mode="offline") is None
