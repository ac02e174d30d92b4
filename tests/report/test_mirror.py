"""Who watches a run is looked at before anything is loaded, and told what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger
from tests.report import samples

from diffexplain.errors import UserError
from diffexplain.report import mirror

CSV = {"_target_": "lightning.pytorch.loggers.CSVLogger", "name": "lightnings"}
OF_LIGHTNING = ["lightning.pytorch.loggers", "lightning.pytorch.callbacks"]


def config(plugins: list[str] | None = None, **groups: Any) -> dict[str, Any]:
    return {"plugins": plugins or [], "logger": {"name": "local"}, "callbacks": {"name": "none"}, **groups}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (config(logger=CSV), "in a package that `plugins` names"),
        (config(OF_LIGHTNING, logger={**CSV, "_target_": "lightning.pytorch.loggers.CSVLoger"}), "CSVLogger"),
        (config(callbacks={"_target_": None, "name": "own"}), "What is your callbacks"),
        (config(logger={"name": "local", "own": {"_target_": None}}), r"logger\.own\._target_=<package>"),
        (
            config(logger={"_target_": "diffexplain.report.file_loggers.tensorboard_logger", "name": "tensorboard"}),
            "pip install tensorboard",
        ),
    ],
)
def test_a_logger_or_callback_that_cannot_be_had_is_refused(
    wrong: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=said):
        mirror.check(wrong)


def test_a_callback_is_one_of_lightnings() -> None:
    named = {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor", "name": "own", "logging_interval": "step"}
    (made,) = mirror.callbacks(config(OF_LIGHTNING, callbacks=named))
    assert made.logging_interval == "step"
    with pytest.raises(UserError, match="callback is"):
        mirror.callbacks(config(["tests"], callbacks={"_target_": "tests.pretend.Prior", "name": "own"}))


def test_lightnings_own_logger_writes_inside_the_run_and_is_shown_what_was_found(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    run.config = {**run.config, "logger": CSV}
    samples.written(run, samples.summary_of(run, found), found)
    with mirror.mirror(run, OF_LIGHTNING) as (logger,):
        assert isinstance(logger, CSVLogger)
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert metrics.relative_to(tmp_path).parts[:2] == ("logs", "lightnings")
    header, values = metrics.read_text().splitlines()
    shown = dict(zip(header.split(","), values.split(","), strict=True))
    assert float(shown["spurious/top_effect"]) == 0.67
