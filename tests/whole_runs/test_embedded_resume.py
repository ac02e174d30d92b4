"""Killed with the embedded prior, segmenter and classifier, whose bits depend on their batches, a run ends alike."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.overriding import changed

from diffexplain import cli
from diffexplain.weights import atomic
from experiments.reliability.runs import artefacts, overrides

ROOT = Path(__file__).parents[2]


def killed(arguments: list[str], files: int) -> None:
    """Start the run in a child process that is killed when so many of its files are written."""
    child = os.fork()
    if child == 0:
        write, left = atomic.write_bytes, iter(range(files, -1, -1))

        def writing(path: Path, data: bytes) -> None:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            write(path, data)

        atomic.write_bytes = writing
        try:
            cli.run(arguments)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


LEAST = ("diffusion.steps=1", "effects.images=2", "effects.smallest=2", "effects.chunk=2", "effects.resamples=10")


@pytest.mark.parametrize(("explainer", "files"), [("diffex", 12), ("randomised_prompts", 14), ("diffexplainer", 18)])
def test_every_file_is_byte_equal(explainer: str, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # The hierarchy's path is relative.
    whole, stopped = (changed(overrides(explainer, tmp_path / name), *LEAST) for name in ("whole", "stopped"))
    assert cli.run(whole) == 0
    for number in (files, 2):  # The second attempt knows less than the first one did.
        killed(stopped, number)
    assert list((tmp_path / "stopped").rglob("effects/*.json")) and not list(
        (tmp_path / "stopped").rglob("summary.json")
    )
    assert cli.run(stopped) == 0
    assert artefacts(tmp_path / "stopped") == artefacts(tmp_path / "whole")
