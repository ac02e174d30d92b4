"""Two processes share a batch by index and together make the run that one would."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.explainers import two_devices
from tests.explainers.support import artefacts


def test_two_processes_make_the_run_of_one(tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    two_devices.main(alone, 1)
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")}
    finished = subprocess.run(
        [sys.executable, two_devices.__file__, str(shared), "2"],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    lines = [line for line in finished.stdout.splitlines() if line.startswith("found")]
    assert len(lines) == 2
    assert lines[0] == lines[1]

    one, two = artefacts(alone), artefacts(shared)
    assert set(one) == set(two)
    rows = [[json.loads(line) for line in files["metrics.jsonl"].splitlines()] for files in (one, two)]
    for single, double in zip(*rows, strict=True):
        for name in ("loss", "score", "gradient_norm"):
            assert double[name] == pytest.approx(single[name], rel=1e-3), name
    name = "images/step-00000.png"
    pictures = [np.asarray(Image.open(io.BytesIO(files[name]))).astype(int) for files in (one, two)]
    assert abs(pictures[0] - pictures[1]).max() <= 1
