"""`make doctor`: is this machine fit to run diffexplain, and if not, what is to be done?

Every check answers in one line, cause and remedy together, and none crashes on the fault that it looks for.
The exit status is 0 when nothing stands in the way and 2 otherwise; notes do not count.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

from packaging.requirements import Requirement

from diffexplain.weights.paths import EMBEDDED_ROOT

Status = Literal["ok", "note", "problem"]
Importer = Callable[[str], ModuleType]

OLDEST_PYTHON = (3, 11)
EMBEDDED_PARTS = (
    "prior",
    "clip",
    "clipseg",
    "classifiers/fair_cnn",
    "classifiers/fair_vit",
    "classifiers/shortcut_cnn",
    "classifiers/shortcut_vit",
    "oracle",
)
REINSTALL = "run `make clean install`, or in an environment of your own"


@dataclass(frozen=True)
class Check:
    """What one check found, in one line; `remedy` says what to do, if there is anything to do."""

    name: str
    status: Status
    finding: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.status:<8} {self.name:<12} {self.finding}"
        return f"{line}; {self.remedy}" if self.remedy else line


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """Python is new enough."""
    text = ".".join(map(str, version))
    if version[:2] >= OLDEST_PYTHON:
        return Check("python", "ok", f"{text} on {platform.system()} {platform.machine()}")
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Check("python", "problem", f"{text} is older than {oldest}", "run `make clean demo PYTHON=<newer>`")


def check_torch_pair(load: Importer = importlib.import_module) -> Check:
    """torch and torchvision load together, and torchvision's compiled operators answer.

    The usual fault is a CPU-only torch beside a torchvision that was built against the CUDA one: importing
    torchvision then raises `RuntimeError: operator torchvision::nms does not exist`, and so do the models of
    transformers and diffusers.
    """
    try:
        torch = load("torch")
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torch", "problem", f"torch does not load ({_first_line(error)})", _install_torch_pair())
    try:
        operators = load("torchvision").ops
        operators.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        finding = (
            f"torchvision {_version('torchvision')} does not work beside torch {torch.__version__} "
            f"({_first_line(error)}): {_why_not_a_pair(torch)}"
        )
        return Check("torch", "problem", finding, _install_torch_pair())
    return Check("torch", "ok", f"torch {torch.__version__} with torchvision {_version('torchvision')}")


def check_cuda(load: Importer = importlib.import_module, driver_present: bool | None = None) -> Check:
    """Whether torch can use a GPU; a machine without one is fine, a GPU that torch does not see is not.

    `driver_present` says whether this machine has an NVIDIA driver; by default, look for one.
    """
    try:
        torch = load("torch")
    except (ImportError, OSError, RuntimeError):
        return Check("cuda", "note", "not looked at, since torch does not load")
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        others = torch.cuda.device_count() - 1
        more = f" and {others} more" if others else ""
        return Check("cuda", "ok", f"{device.name}, {device.total_memory / 2**30:.0f} GiB{more}")
    if driver_present is None:
        driver_present = Path("/proc/driver/nvidia/version").exists() or bool(shutil.which("nvidia-smi"))
    if not driver_present:
        return Check("cuda", "note", "no CUDA device: runs use the CPU")
    if torch.version.cuda is None:
        finding = f"there is an NVIDIA driver, but torch {torch.__version__} is a CPU-only build"
        return Check("cuda", "problem", finding, _install_torch_pair())
    finding = f"there is an NVIDIA driver, but torch {torch.__version__} (CUDA {torch.version.cuda}) sees no device"
    remedy = "update the driver, or check CUDA_VISIBLE_DEVICES and that the container was given the GPU"
    return Check("cuda", "problem", finding, remedy)


def check_libraries(requirements: Sequence[str] | None = None) -> list[Check]:
    """The installed libraries are those that the package asks for: one line of versions, one for each fault.

    `requirements` are in the form of PEP 508; by default, those of the installed package.
    """
    if requirements is None:
        try:
            requirements = metadata.requires("diffexplain") or []
        except metadata.PackageNotFoundError:
            finding = "the package is not installed, so no version is checked"
            return [Check("libraries", "note", finding, "run `make install`")]
    good: list[str] = []
    faults: list[Check] = []
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = _version(requirement.name)
        asked = f"{requirement.name}{requirement.specifier}"
        if installed == "(missing)":
            finding = f"{asked} is not installed"
        elif not requirement.specifier.contains(installed, prereleases=True):
            finding = f"{requirement.name} {installed} is installed, {asked} is needed"
        else:
            good.append(f"{requirement.name} {installed}")
            continue
        faults.append(Check("libraries", "problem", finding, f"{REINSTALL} `pip install '{asked}'`"))
    return [Check("libraries", "ok", ", ".join(good)), *faults] if good else faults


def check_weights(root: Path = EMBEDDED_ROOT) -> Check:
    """Every trained part of the embedded world is there, and each of its files can be opened in full."""
    remedy = "`git status` shows what is missing; the recipes in experiments/world train it again"
    missing = [part for part in EMBEDDED_PARTS if not any((root / part).rglob("*.safetensors"))]
    if missing:
        return Check("weights", "problem", f"no weights for {', '.join(missing)} under {root}", remedy)
    files = sorted(root.rglob("*.safetensors"))
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        return Check("weights", "problem", f"they cannot be read ({_first_line(error)})", f"{REINSTALL} install it")
    for path in files:
        try:
            with safe_open(path, framework="numpy"):  # reads the header, and compares it with the file's length
                pass
        except (SafetensorError, OSError) as error:
            return Check("weights", "problem", f"{path} is damaged ({_first_line(error)})", remedy)
    size = sum(path.stat().st_size for path in files) / 1e6
    return Check("weights", "ok", f"{len(EMBEDDED_PARTS)} embedded parts, {len(files)} files, {size:.1f} MB")


def check_contents() -> list[Check]:
    """Every file whose checksum is known holds what it did: read anew, however old its times are.

    Of fetched files the lock file has the checksum, of embedded ones the package, of others that runs read the store.
    """
    from diffexplain.errors import UserError
    from diffexplain.weights import checksums, shipped
    from diffexplain.weights.store import Lock, store_folder

    try:
        fetched, recorded = Lock(store_folder()).recorded(), shipped.recorded()
    except UserError as error:
        return [Check("contents", "problem", _first_line(error))]
    faults = []
    recorded |= fetched
    for path, checksum in recorded.items():
        fault = _other_content(path, checksum)
        if fault:
            remedy = (
                "`diffexplain fetch` brings it again" if path in fetched else "`git status` shows it; install again"
            )
            faults.append(Check("contents", "problem", f"{path} {fault}", remedy))
    known = {path: checksum for path, checksum in checksums.kept().items() if path not in recorded}
    for path, checksum in known.items():
        fault = _other_content(path, checksum)
        if fault:
            checksums.forget(path)
            remedy = "a disk is failing, or its times were set back; runs from now on know it by what it holds now"
            faults.append(Check("contents", "problem", f"{path} {fault}", remedy))
    count = len(recorded) + len(known) - len(faults)
    finding = f"{count} files read, as they were recorded" if count else "no file of weights was recorded yet"
    return [Check("contents", "ok", finding), *faults]


def check_outputs(outputs: Path) -> Check:
    """Runs can be written: `outputs`, or the folder that it will be made in, takes a mebibyte."""
    folder = outputs.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = error.strerror or _first_line(error)
        remedy = "give another folder: paths.outputs=<folder> for a run, --outputs <folder> here"
        return Check("outputs", "problem", f"{folder} cannot be written ({reason})", remedy)
    return Check("outputs", "ok", f"{outputs} can be written, {free / 1e9:.1f} GB free")


def all_checks(outputs: Path) -> list[Check]:
    """Every check, in the order in which a fault explains the ones after it."""
    return [
        check_python(),
        check_torch_pair(),
        check_cuda(),
        *check_libraries(),
        check_weights(),
        check_outputs(outputs),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what every check found; the exit status is 2 if one of them is a problem."""
    parser = argparse.ArgumentParser(prog="diffexplain doctor", description="Check this machine and environment.")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where runs go (default: %(default)s)")
    parser.add_argument("--verify", action="store_true", help="read every file of weights, and say which have changed")
    parser.add_argument(
        "--self-test",
        nargs="+",
        metavar=("FOLDER", "classifier=..."),
        help="what a watermark on the photographs of a folder does to every class of a classifier: many networks that "
        "learned ImageNet take it for a carton (default: classifier=efficientnet_lite0)",
    )
    given = parser.parse_args(arguments)
    checks = [*all_checks(given.outputs), *(check_contents() if given.verify else [])]
    for check in checks:
        print(check)
    problems = sum(check.status == "problem" for check in checks)
    print(f"\n{problems} problem{'s' if problems > 1 else ''} found" if problems else "\nnothing stands in the way")
    if not problems and given.self_test:
        from diffexplain.pipelines.watermark import found_in

        print("", *found_in(*given.self_test), sep="\n")
    return 2 if problems else 0


def _other_content(path: Path, checksum: str) -> str | None:
    """What is wrong with a file that should have a SHA-256; ``None`` if nothing is."""
    from diffexplain.weights.checksums import read_sha256

    try:
        found = read_sha256(path)
    except OSError as error:
        return f"cannot be read ({error.strerror or _first_line(error)})"
    return None if found == checksum else f"holds something else than was recorded (sha256 {found}, not {checksum})"


def _why_not_a_pair(torch: ModuleType) -> str:
    """The likeliest reason why torchvision does not work beside `torch`."""
    asked = next((r for r in _requires("torchvision") if r.name == "torch"), None)
    if asked is not None and not asked.specifier.contains(torch.__version__, prereleases=True):
        return f"it was built for torch{asked.specifier}"
    if torch.version.cuda is None:
        return "this torch is a CPU-only build, and torchvision was built against the CUDA one"
    return "the two were not built together"


def _install_torch_pair() -> str:
    return f"{REINSTALL} install torch and torchvision together, from one index"


def _requires(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(missing)"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
