"""Small runs of every explainer with the embedded parts, each in a process of its own that can be stopped at any time.

The processes are forked from one that has imported the libraries, so that a run takes seconds and not a minute; what a
run loads and computes is its own. How signals are met while libraries load is for whoever starts the program itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

FEW = (
    *("effects=quick", "effects.chunk=4", "effects.images=4", "effects.smallest=4", "effects.resamples=20"),
    "concepts.hierarchy=experiments/reliability/hierarchy.yaml",
)
SHORT = ("explainer.steps=4", "explainer.batch=1", "explainer.checkpoint_every=2", "explainer.window=2")
SCREEN = ("discovery=quick", "discovery.pictures=8", "discovery.tested=1")
MEASURED = (
    *("evaluation=quick", "evaluation.images=4", "evaluation.random_images=1", "evaluation.choosing_images=1"),
    *(
        "evaluation.candidates=1",
        "evaluation.rescoring_images=2",
        "evaluation.looked_images=2",
        "evaluation.examples=2",
    ),
)
PICTURES = ("explainer.images=1", "explainer.steps=4")
EXPLAINERS: Mapping[str, Sequence[str]] = {
    "mahendran_vedaldi": PICTURES,
    "yosinski": PICTURES,
    "nguyen": PICTURES,
    "maco": PICTURES,
    "randomised_prompts": (*FEW, *SCREEN),
    "diffexplainer": (*MEASURED, *SHORT, *FEW, *SCREEN),
    "dexter": (*MEASURED, "prompt=hard_words", *SHORT, *FEW, *SCREEN),
    "diffex": (*FEW, "explainer.beam=1", "explainer.roots=2", "explainer.search_images=2"),
}
"""What makes a run of each short; the world, its segmenter and its classifier are what the configuration chooses."""
SHARED = ("logger=local", "trainer=cpu", "trainer.progress=none")
UNEQUAL = ("manifest.json", "timings.json", ".lock", ".owner")
"""Files that hold where and when a run was made, and so are another's in another folder."""
CHECKPOINTS = "checkpoints"
"""Folder of what a run goes on from, which is none of its results: in it Lightning counts how often it was started."""


def overrides(explainer: str, outputs: Path) -> list[str]:
    """The command line of an explainer's small run."""
    settings = {text.partition("=")[0]: text for text in EXPLAINERS[explainer]}  # The last one said holds.
    return [*SHARED, f"explainer={explainer}", *settings.values(), f"paths.outputs={outputs}"]


@cache
def code() -> str:
    """The last commit that changed the package, with a plus where the files are not that commit's."""
    asked = ("log -1 --format=%h -- src", "status --porcelain -- src")
    commit, changed = (
        subprocess.run(["git", *text.split()], capture_output=True, text=True, check=True).stdout for text in asked
    )
    return commit.strip() + ("+" if changed else "")


def made_with(lines: Sequence[Mapping[str, Any]]) -> str:
    """Which code was tried, and how often."""
    counted = Counter(line["code"] for line in lines)
    return f"Tried with the package as of {', '.join(f'{name} ({number})' for name, number in counted.items())}."


class Record:
    """What was tried, a line of JSON each in a file, so that the same command goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if path.exists():
            self.lines = [json.loads(line) for line in path.read_text().splitlines()]

    def add(self, line: dict[str, Any]) -> None:
        """Print the line and keep it, with the code that it was tried with."""
        line = {**line, "code": code()}
        print(line, flush=True)
        self.lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit status, or minus the signal; what it said; and after how many seconds."""

    status: int
    said: str
    seconds: float


def load_libraries() -> None:
    """Import what takes time, once, before anything is forked; from here on the code is named as it is now."""
    code()
    os.environ |= {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    import transformers
    from diffusers import StableDiffusionPipeline  # noqa: F401

    import diffexplain.evaluation
    import diffexplain.pipelines.pipeline  # noqa: F401

    _ = (transformers.CLIPTextModel, transformers.CLIPSegForImageSegmentation)


def given(arguments: Sequence[str]) -> int:
    """The program with these arguments of ``run``; its exit status."""
    from diffexplain import cli

    return cli.run(list(arguments))


def run(
    action: Callable[[], int],
    log: Path,
    after: float | None = None,
    number: int = signal.SIGKILL,
    *,
    unprivileged: bool = False,
) -> Ended:
    """Let a child process do it; ``after`` so many seconds, if it still goes on, it gets a signal.

    Args:
        action: returns the exit status.
        log: keeps what it says.
        after: None: no signal.
        number: of the signal.
        unprivileged: a file's permissions hold, even if root asks.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        in_child(action, log, unprivileged=unprivileged)
    waited = 0
    while after is not None and not waited and time.monotonic() - began < after:
        waited, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.02)
    if not waited:
        if after is not None:
            os.kill(child, number)
        _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8"), time.monotonic() - began)


def artefacts(outputs: Path) -> dict[str, str]:
    """SHA-256 of every file of the runs in a folder, less checkpoints and those of `UNEQUAL`."""
    return {
        path.relative_to(outputs).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(outputs.rglob("*"))
        if path.is_file() and not path.name.endswith(UNEQUAL) and path.parent.name != CHECKPOINTS
    }


def emptied(folder: Path) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _give_up_privileges() -> None:
    """Take the capabilities from this process, by which Linux lets root read what nobody may."""
    version, this_process = 0x20080522, 0
    ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(version, this_process), (ctypes.c_uint32 * 6)())


def in_child(action: Callable[[], int], log: Path, *, unprivileged: bool = False) -> NoReturn:
    """Do it in this process, which has just been forked, and end it."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job would ignore it.
        with log.open("w", encoding="utf-8", buffering=1) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout = sys.stderr = file
            try:
                if unprivileged:
                    _give_up_privileges()
                status = action()
            except BaseException:
                traceback.print_exc()
    finally:
        os._exit(status)
