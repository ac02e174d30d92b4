"""What docs/units.md shows can be typed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffexplain import app
from diffexplain.config import configuration
from diffexplain.target import Target
from experiments.hidden_units.salient_imagenet import FeatureLabel

PAGE = (Path(__file__).parents[2] / "docs" / "units.md").read_text(encoding="utf-8")
WORLD, SALIENT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.skipif(shutil.which("seq") is None, reason="needs seq")
def test_one_command_sweeps_over_all_units_of_a_layer() -> None:
    (command,) = re.findall(r"run\.py -m (classifier=\S+) target=\$\((.+)\)", PAGE)
    classifier, listing = command
    targets = subprocess.run(listing, shell=True, capture_output=True, text=True, check=True).stdout.strip()
    jobs = configuration.expand([classifier, f"target={targets}"])
    assert configuration.compose(jobs[-1])["target"] == "unit:norm:63@flagpole"
    units = [Target.parse(job[-1].removeprefix("target=")) for job in jobs]
    channels = app.shapes(configuration.compose([classifier])["classifier"], [])
    assert channels is not None
    assert [unit.channel for unit in units] == list(range(channels["norm"]))
    assert {(unit.module, unit.class_text) for unit in units} == {("norm", "flagpole")}


def test_the_examples_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {}
    exec(WORLD.replace("(300, 9000)", "(200, 9000)"), known)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert re.match(r"unit:stages:\d+@bee (core|spurious|mixed) Estimate", line)

    # Labels of another network would be these only by chance: made ones stand in for them.
    units = [label.use.target for label in known["found"]]
    people = tuple(
        FeatureLabel(unit.class_index or 0, unit.channel or 0, "n00000000", rank, 5 * (rank % 2), 5 * (1 - rank % 2), 0)
        for rank, unit in enumerate(units)
    )
    monkeypatch.setattr("experiments.hidden_units.salient_imagenet.load_labels", lambda path: people)
    exec(SALIENT, known | {"np": np})
    assert "Agreement(auroc=None, spurious=0.6, classes=1, unscored=0)" in capsys.readouterr().out
