"""Two processes share a batch by index and together make the run that one would."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.explainers.support import BEE, artefacts, explainer
from tests.tiny import WORDS, TinyClassifier, tiny_prior

from diffexplain.explainers import Cutouts, TrainerSettings
from diffexplain.runs.run import Run, process_rank


def explained(directory: Path, devices: int) -> str:
    """Explain in ``directory``, in as many processes as there are; gives what this one found."""
    run = Run(directory, {"seed": 0}, BEE.text, is_writer=process_rank() == 0)
    settings = TrainerSettings(accelerator="cpu", devices=devices, progress="none")
    method = explainer(batch=4, steps=3)
    prior = tiny_prior(steps=2)
    views = Cutouts(views=3)
    found = method.explain(BEE, TinyClassifier(), prior, run, vocabulary=WORDS, augmentation=views, trainer=settings)
    return f"{found.embeddings.sum().item():.6f} {found.best_step} {found.steps}"


def explained_by_two(directory: Path, told: Path) -> list[str]:
    """Explain in two processes, forked as a cluster's launcher would start them; gives what each found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
                (told / f"found-{rank}").write_text(explained(directory, 2))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    return [(told / f"found-{rank}").read_text() for rank in range(2)]


def test_two_processes_make_the_run_of_one(tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    explained(alone, 1)
    first, second = explained_by_two(shared, tmp_path)
    assert first == second

    one, two = artefacts(alone), artefacts(shared)
    assert set(one) == set(two)
    rows = [[json.loads(line) for line in files["metrics.jsonl"].splitlines()] for files in (one, two)]
    for single, double in zip(*rows, strict=True):
        for name in ("loss", "score", "gradient_norm"):
            assert double[name] == pytest.approx(single[name], rel=1e-3), name
    name = "images/step-00000.png"
    pictures = [np.asarray(Image.open(io.BytesIO(files[name]))).astype(int) for files in (one, two)]
    assert abs(pictures[0] - pictures[1]).max() <= 1
