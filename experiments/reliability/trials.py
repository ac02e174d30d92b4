"""Faults that are met by more than a command and its exit status: disks, several processes, plugins that fail.

Every trial yields what was tried and whether the program did as it should. The runs are of the parts that tests pretend
with, so that the repository has to be the current directory; full disks are small ones in memory, which root alone can
have made.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from diffexplain.weights import atomic
from experiments.reliability.runs import Ended, artefacts, emptied, given, in_child, overrides, run

Tried = Iterator[tuple[str, bool]]
PRETENDED = ("paths.configs=[tests/conf]", "plugins=[tests,experiments]", "logger=local", "trainer=cpu")
FOUND = ("experiment=pretend", *("evaluation.images=4", "evaluation.random_images=2", "evaluation.looked_images=2"))
RANKED = (
    *("experiment=pretend_effects", "effects.images=4", "effects.smallest=4", "effects.policy=uniform"),
    *("effects.resamples=20", "explainer.beam=0"),
)
CHECKPOINT = ("classifier=checkpoint", "classifier.network=tests.own_classifiers.build", "diffusion=world")
SENTINEL = "sentinel-f3a9c1"
WORKERS, TARGETS, KILLS = 8, 40, 12
SHARED_SECONDS = 1800
"""After which the workers are stopped; all of it takes some five minutes of one processor's time."""


def kill_during_write(folder: Path) -> Tried:
    path, chance = folder / "file", random.Random(0)
    values = [bytes([value]) * 300_000 for value in range(2)]
    atomic.write_bytes(path, values[0])

    def write() -> int:
        while True:
            for value in values:
                atomic.write_bytes(path, value)

    for _ in range(20):
        run(write, folder / "log", chance.uniform(0.02, 0.2))
        if path.read_bytes() not in values:
            yield "killed while writing: half a file", False
            return
    yield "20 times killed while writing: the old file or the new one", True
    yield (
        "what was left of it is removed",
        bool(atomic.remove_temporaries(folder) or True) and not list(folder.glob(".*")),
    )


def disk_full(folder: Path) -> Tried:
    whole = _settled(folder / "whole")
    with _disk(folder / "small", "size=1m") as disk:
        ended = _settled(disk)
        yield "a disk of 1 MB is refused before the run", _is(ended, 75, "Disk nearly full", "64.0 MB")
    for number in range(3):
        with _disk(folder / "small", "size=80m") as disk:
            filled = disk / "filling"
            ended = run(partial(_filled, disk, filled, 1 + 2 * number), folder / "log")
            yield "a disk that fills under the run is one line", _is(ended, 75, "Disk full", str(disk))
            filled.unlink()
            again = _settled(disk)
            yield "with space again it ends alike", again.status == 0 and artefacts(disk) == artefacts(folder / "whole")
    with _disk(folder / "small", "size=80m,nr_inodes=12") as disk:
        yield "a disk without inodes is said to have none", _is(_settled(disk), 75, "no inodes are left")
    yield "the run without any of it ended", whole.status == 0


def not_finite(folder: Path) -> Tried:
    optimised = ("classifier=checkpoint", "classifier.labels=[pole,tree,crane]", "target=class:pole", "diffusion=tiny")
    short = ("explainer.steps=3", "explainer.batch=2", "explainer.screening_images=0", "evaluation=quick")
    few = ("evaluation.images=4", "evaluation.random_images=2", "evaluation.looked_images=2", "discovery.objects=1")
    tree = ("concepts.hierarchy=tests/conf/tiny_hierarchy.yaml", "effects.opening=a", "explainer=diffexplainer")
    vocabulary = "classifier.vocabulary=tests/conf/vocabulary.yaml"
    for name, status, says in (("stumbling", 0, "Report: "), ("lost", 2, "Diverged, and stopped at step ")):
        network = f"classifier.network=experiments.reliability.faulty.{name}"
        outputs = folder / name
        ended = _settled(outputs, *short, *few, *tree, vocabulary, network, settings=optimised)
        yield f"a network that is {name} ends as it should", _is(ended, status, says)
        lines = next(outputs.rglob("metrics.jsonl")).read_text()
        yield "no line of the record holds what is no number", "NaN" not in lines
        yield "the step was made anew, and that is told", name != "stumbling" or "made_anew" in lines


def out_of_memory(folder: Path) -> Tried:
    def bounded() -> int:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)
        return given(overrides("mahendran_vedaldi", folder / "outputs"))

    ended = run(bounded, folder / "log")
    yield "60 MB of memory: one line with a remedy", _is(ended, 75, "memory")
    again = run(partial(given, overrides("mahendran_vedaldi", folder / "outputs")), folder / "log")
    yield "the same command ends with more", again.status == 0


def malicious_pickle(folder: Path) -> Tried:
    import torch

    touched = folder / "touched"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {touched}",)

    torch.save({"state_dict": {"0.weight": Bomb()}}, folder / "bomb.pth")
    ended = _settled(folder / "outputs", *CHECKPOINT, f"classifier.checkpoint={folder}/bomb.pth", *_THREE)
    yield "a pickle that runs a program is refused", _is(ended, 2, "code to be executed")
    yield "and nothing of it is executed", not touched.exists()


def foreign_checkpoint(folder: Path) -> Tried:
    import torch
    from tests import own_classifiers

    files = {
        "of another network": ({f"layer{index}": torch.zeros(2) for index in range(7000)}, "missing"),
        "with another head": (own_classifiers.build(classes=7).state_dict(), "other shape"),
        "that is none": ({"epoch": 3}, "no state dict"),
    }
    for name, (content, says) in files.items():
        torch.save(content, folder / "own.pth")
        ended = _settled(folder / "outputs", *CHECKPOINT, f"classifier.checkpoint={folder}/own.pth", *_THREE)
        short = len(ended.said) < 1500
        yield f"a checkpoint {name} is refused briefly", _is(ended, 2, says) and short


def wandb_down(folder: Path) -> Tried:
    def without_key() -> int:
        os.environ.pop("WANDB_MODE", None)
        os.environ |= {"HOME": str(folder), "NETRC": str(folder / "none")}
        return given(_command(folder / "outputs", "logger=wandb"))

    ended = run(without_key, folder / "log")
    yield "without a key the run ends, and nothing is asked", _is(ended, 0, "Report: ")
    yield "the copy is offline", bool(list((folder / "outputs").rglob("offline-run-*")))


def same_command_twice(folder: Path) -> Tried:
    first = _begun(partial(given, _command(folder / "outputs")), folder / "first.log")
    while not list((folder / "outputs").rglob("*.owner")) and _goes_on(first):
        time.sleep(0.01)
    os.kill(first, signal.SIGSTOP)
    second = _settled(folder / "outputs")
    os.kill(first, signal.SIGCONT)
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    yield "the second names who has the run, and ends well", _is(second, 0, f"process {first}")
    yield "the first makes it", status == 0 and len(list((folder / "outputs").rglob("finished.json"))) == 1


def shared_directory(folder: Path) -> Tried:
    """So many workers share the runs of a sweep, and after every third that is made one worker is killed.

    What was made when the time is over is kept, nothing is said, and the next call goes on.
    """
    folder = folder.with_name("shared")
    folder.mkdir(exist_ok=True)
    outputs, kills = folder / "outputs", folder / "kills"
    (folder / "names.txt").write_text("".join(f"thing {number}\n" for number in range(TARGETS)))
    many = ["classifier=pretend_many", f"classifier.labels={folder}/names.txt", "target=all"]
    sweep = ["-m", *PRETENDED, *RANKED, *many, f"paths.outputs={outputs}"]
    chance, began = random.Random(0), time.monotonic()
    alive = {number: _begun(partial(given, sweep), folder / f"{number}.log") for number in range(WORKERS)}
    killed, statuses = kills.stat().st_size if kills.exists() else 0, {}
    while alive and time.monotonic() - began < SHARED_SECONDS:
        time.sleep(0.5)
        for number, child in list(alive.items()):
            waited, status = os.waitpid(child, os.WNOHANG)
            if waited:
                del alive[number]
                statuses[number] = os.waitstatus_to_exitcode(status)
                if statuses[number] == -signal.SIGKILL:
                    alive[number] = _begun(partial(given, sweep), folder / f"{number}.log")
        if alive and killed < KILLS and len(list(outputs.rglob("finished.json"))) > 3 * killed:
            os.kill(alive[chance.choice(sorted(alive))], signal.SIGKILL)
            killed += 1
            kills.write_bytes(bytes(killed))
    for child in alive.values():
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if alive:
        return
    yield f"{WORKERS} workers, killed {killed} times, all end well", killed == KILLS and set(statuses.values()) == {0}
    yield f"{TARGETS} runs are made", len(list(outputs.rglob("finished.json"))) == TARGETS
    (record,) = outputs.glob("sweeps/*/sweep.json")
    states = [job["status"] for job in json.loads(record.read_text())["jobs"]]
    yield "the sweep's record has all of them", states == ["done"] * TARGETS
    alone = _settled(folder / "alone", *many[:2], "target=class:thing 7", settings=RANKED)
    (one,) = (folder / "alone").rglob("summary.json")
    shared = outputs / one.relative_to(folder / "alone")
    yield "one of them alone is byte-equal", alone.status == 0 and one.read_bytes() == shared.read_bytes()
    shutil.rmtree(folder)


def other_versions(folder: Path) -> Tried:
    _settled(folder / "outputs")
    (manifest,) = (folder / "outputs").rglob("manifest.json")
    _settled(folder / "outputs", "seed=1")
    yield "another seed is another folder", len(list((folder / "outputs").rglob("manifest.json"))) == 2
    content = json.loads(manifest.read_text())
    content["made_with"][-1]["versions"]["torch"] = "1.0.0"
    manifest.write_text(json.dumps(content))
    (manifest.parent / "finished.json").unlink()
    ended = _settled(folder / "outputs")
    yield "another version of torch is told", _is(ended, 0, "torch 1.0.0, now")
    yield "and both are kept", len(json.loads(manifest.read_text())["made_with"]) == 2


def one_of_a_sweep_fails(folder: Path) -> Tried:
    sweep = ["-m", *PRETENDED, *FOUND, "target=class:pole,class:tree", f"paths.outputs={folder}/outputs"]

    def failing() -> int:
        os.environ["DIFFEXPLAIN_TEST_ACCIDENT"] = "user pole"
        return given(sweep)

    ended = run(failing, folder / "log")
    yield "the others go on", _is(ended, 3, "failed") and len(list((folder / "outputs").rglob("finished.json"))) == 1
    (made,) = (folder / "outputs").rglob("finished.json")
    before = made.stat().st_mtime_ns
    again = run(partial(given, sweep), folder / "log")
    both = len(list((folder / "outputs").rglob("finished.json"))) == 2
    yield "repeated, only it is made", again.status == 0 and both and made.stat().st_mtime_ns == before


def order_of_a_sweep(folder: Path) -> Tried:
    for name, targets in (("there", "class:pole,class:tree"), ("back", "class:tree,class:pole")):
        command = ["-m", *PRETENDED, *FOUND, f"target={targets}", f"paths.outputs={folder / name}"]
        run(partial(given, command), folder / "log")
    there, back = (artefacts(folder / name) for name in ("there", "back"))
    runs = [{name: digest for name, digest in one.items() if not name.startswith("sweeps")} for one in (there, back)]
    yield "in any order the same bytes", bool(runs[0]) and runs[0] == runs[1]


def nothing_activates(folder: Path) -> Tried:
    ended = _settled(folder / "outputs", "target=class:crane")
    (path,) = (folder / "outputs").rglob("summary.json")
    absence = json.loads(path.read_text())["object_absence"]
    missing = absence is None or (absence["share"] is None and absence["reason"])
    yield "what could not be seen has no number, and a reason", ended.status == 0 and bool(missing)


def broken_pictures(folder: Path) -> Tried:
    for name in ("not_finite", "too_bright"):
        part = f"diffusion._target_=experiments.reliability.faulty.{name}"
        ended = _settled(folder / name, part)
        yield f"pictures of a prior that are {name.replace('_', ' ')} are refused", _is(ended, 2, "[0, 1]")


def secrets(folder: Path) -> Tried:
    keys = ("HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY")

    def with_keys() -> int:
        os.environ |= dict.fromkeys(keys, SENTINEL)
        return given([*PRETENDED, *FOUND, f"paths.outputs={folder}/outputs"])

    ended = run(with_keys, folder / "log")
    files = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
    found = [path for path in files if SENTINEL.encode() in path.read_bytes()]
    yield (
        f"no key is in {len(files)} files or in what is said",
        not found and _is(ended, 0) and SENTINEL not in ended.said,
    )


def wrong_environment(folder: Path) -> Tried:
    from diffexplain import cli

    def doctor() -> int:
        import sys

        sys.path.insert(0, str(folder))
        return cli.main(["doctor"])

    fake = folder / "lightning-1.0.0.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: lightning\nVersion: 1.0.0\n")
    ended = run(doctor, folder / "log")
    lines = [line for line in ended.said.splitlines() if line.startswith("problem") and "lightning" in line]
    yield "doctor names an old library and the remedy", _is(ended, 2) and len(lines) == 1 and "pip install" in lines[0]
    ended = _settled(folder / "outputs", "trainer.accelerator=gpu")
    yield "a run without the GPU that it asks for is refused", _is(ended, 2, "no GPU that torch can use")


_THREE = ("classifier.labels=[pole,tree,crane]", "segmenter=world")


def _command(outputs: Path, *more: str, settings: Sequence[str] = FOUND) -> list[str]:
    chosen = {text.partition("=")[0]: text for text in (*PRETENDED, *settings, *more)}  # The last one said holds.
    return [*chosen.values(), f"paths.outputs={outputs}"]


def _settled(outputs: Path, *more: str, settings: Sequence[str] = FOUND) -> Ended:
    return run(partial(given, _command(outputs, *more, settings=settings)), outputs.with_name(f"{outputs.name}.log"))


def _is(ended: Ended, status: int, *says: str) -> bool:
    return ended.status == status and "Traceback" not in ended.said and all(text in ended.said for text in says)


@contextmanager
def _disk(place: Path, options: str) -> Iterator[Path]:
    """A disk in memory, mounted at ``place``."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _filled(disk: Path, filling: Path, after: int) -> int:
    """The run, whose disk is full when so many of its files are written."""
    write, left = atomic.write_bytes, [after]

    def writing(path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] == 0:
            with filling.open("wb") as file:
                while shutil.disk_usage(disk).free:
                    file.write(bytes(min(shutil.disk_usage(disk).free, 1 << 20)))
                    file.flush()
        write(path, data)

    atomic.write_bytes = writing
    return given(_command(disk))


def _begun(action: Callable[[], int], log: Path) -> int:
    """A process that does it; its number."""
    child = os.fork()
    if child == 0:
        in_child(action, log)
    return child


def _goes_on(child: int) -> bool:
    return Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] != "Z"


def met(trial: Callable[[Path], Tried], folder: Path) -> list[tuple[str, bool]]:
    """What a trial came to."""
    return list(trial(emptied(folder)))
