"""What a run takes from the machine and gives back: threads, signals, environment; and what it cost."""

from __future__ import annotations

import importlib
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from diffexplain import memory
from diffexplain.errors import UserError
from diffexplain.progress import Progress
from diffexplain.runs import signals
from diffexplain.runs.run import TIMINGS, Run, process_rank
from diffexplain.weights.store import store_folder

HANDED_ON = "DIFFEXPLAIN_RUN"
"""Environment variable by which the first process tells its helpers which run they belong to."""


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "bf16", "16", "64")
"""Lightning's names of number formats, less those that need another library."""
_WORDS = {
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps"),
    "precision": PRECISIONS,
    "progress": get_args(Progress),
}
_DEVICES = Path("/dev")
_DRIVERS = ("nvidia*", "nvhost*", "nvmap", "kfd", "dxg")
"""What Linux shows of a driver of a GPU: NVIDIA's, of a card and of a Jetson, AMD's, and Windows' below it."""


class Stopwatch:
    """Times the phases of a run; ``with watch("build"): ...``. A phase that comes again is added to.

    Once the run is taken, all are written into ``timings.json``, the seconds of an earlier, interrupted attempt beside
    those of this one.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._seconds: dict[str, float] = {}
        self._earlier: list[dict[str, float]] = []

    def belongs_to(self, run: Run) -> None:
        """Write down from now on, in ``run``."""
        self._run = run
        before = run.recorded(TIMINGS)
        earlier = before.get("earlier_attempts")
        attempts = [*(earlier if isinstance(earlier, list) else []), before.get("seconds")]
        self._earlier = [seconds for seconds in attempts if isinstance(seconds, dict)]
        self._record()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = self._seconds.get(phase, 0.0) + time.perf_counter() - start
            self._seconds[phase] = round(seconds, 3)
            self._record()

    def _record(self) -> None:
        if self._run is None:
            return
        values: dict[str, Any] = {
            "seconds": {**self._seconds, "total": round(sum(self._seconds.values()), 3)},
            "peak_memory_bytes": _peak_memory(),
        }
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            values["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
        if self._earlier:
            values["earlier_attempts"] = self._earlier
        self._run.record_timings(**values)


def keep_out_of_home() -> None:
    """Before libraries are imported: what they would write into the user's home goes elsewhere, or is not written."""
    # Those that draw write down the machine's fonts.
    os.environ.setdefault("MPLCONFIGDIR", str(store_folder() / "matplotlib"))
    # ONNX Runtime keeps an identity of this machine, wherever diffusers finds it.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def job_environment(run: Run, threads: int) -> Iterator[bool]:
    """Environment variables and signals for one run; all is as before afterwards.

    Gives whether this process takes part: a helper that Lightning started for one run of a sweep goes
    through the same sweep and takes part in that run alone. SIGTERM raises ``Interrupted``, except
    while the optimisation handles it.
    """
    before = dict(os.environ)
    belongs_here = process_rank() == 0 or os.environ.get(HANDED_ON) in (None, run.identity)
    os.environ[HANDED_ON] = os.environ.get(HANDED_ON, run.identity) if process_rank() else run.identity
    # Read when torch is imported; and Lightning's launcher leaves the number of threads alone then.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    keep_out_of_home()
    try:
        with signals.stopping():
            yield belongs_here
    finally:
        # Lightning leaves ranks and ports behind, which would make the next run a helper of this one.
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def torch_session(threads: int) -> Iterator[None]:
    """Torch's threads and float arithmetic for one run, and no process group left behind.

    Raises:
        RetryableError: the memory was not enough.
    """
    import torch

    threads_before = torch.get_num_threads()
    rounding_before = torch.backends.cudnn.allow_tf32
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    try:
        with memory.explained("for this run"):
            yield
    finally:
        torch.set_num_threads(threads_before)
        torch.backends.cudnn.allow_tf32 = rounding_before
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def quiet_libraries() -> None:
    """No progress bars of libraries that load weights; those already imported are told."""
    for name in ("diffusers", "transformers"):
        if name in sys.modules:
            importlib.import_module(f"{name}.utils.logging").disable_progress_bar()


def check_asked(trainer: Mapping[str, Any]) -> None:
    """Refuse what no machine has, and a GPU where this one can have none, before torch is imported.

    Raises:
        UserError: there is no such accelerator, precision or progress, or no driver of a GPU.
    """
    for key, accepted in _WORDS.items():
        if trainer.get(key, accepted[0]) not in accepted:
            raise UserError(f"There is no such trainer.{key}.", given=trainer[key], accepted=accepted)
    if trainer.get("accelerator") in ("gpu", "cuda") and sys.platform == "linux":
        if not any(path for name in _DRIVERS for path in _DEVICES.glob(name)):
            raise _no_such_device(trainer["accelerator"], ["cpu"])


def device_kind(accelerator: str, devices: int = 1, precision: str = "32-true") -> str:
    """The kind of device that a trainer's ``accelerator`` comes to on this machine: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        UserError: this machine has no such accelerator, or fewer devices, or no such numbers.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    choices = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}
    kind = next((name for name in choices.get(accelerator, (accelerator,)) if present.get(name)), None)
    if kind is None:
        raise _no_such_device(accelerator, [name for name, there in present.items() if there])
    # On the CPU a device is a process, and there may be any number.
    there = {"cuda": torch.cuda.device_count, "mps": lambda: 1}.get(kind, lambda: devices)()
    if devices > there:
        message = f"trainer.devices is more than this machine has of {kind}."
        raise UserError(message, given=devices, accepted=[str(count) for count in range(1, there + 1)])
    if kind == "cpu" and precision.startswith("16"):
        # Lightning would take others without a word, or every loss would be NaN.
        message = "Numbers of 16 bits with a short range are for a GPU; on the CPU there are those with a wide one."
        accepted = ["bf16-mixed", "bf16-true", "32-true"]
        raise UserError(message, given=f"trainer.precision={precision}", accepted=accepted)
    return kind


def _no_such_device(accelerator: str, usable: Sequence[str]) -> UserError:
    message = f"This machine has no {'GPU' if accelerator == 'gpu' else accelerator} that torch can use."
    return UserError(message, given=accelerator, accepted=["auto", *(["gpu"] if len(usable) > 1 else []), *usable])


def device_name(kind: str) -> str:
    """What the manifest calls the device: a card by its own name, anything else by its kind."""
    import torch

    return torch.cuda.get_device_name() if kind == "cuda" else kind


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
