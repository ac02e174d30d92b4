"""One run's directory: claimed by one process, written atomically, marked when it is done."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from diffexplain.config.identity import identifying, identity
from diffexplain.errors import Interrupted, RetryableError, UserError
from diffexplain.runs import manifest
from diffexplain.runs.draws import Draws
from diffexplain.runs.lock import RunLock
from diffexplain.target import ResolvedTarget, slugify
from diffexplain.weights import atomic
from diffexplain.weights.checksums import read_sha256
from diffexplain.weights.documents import read_json
from diffexplain.weights.store import inside

IDENTITY_DIGITS = 12
SPACE_NEEDED = 64_000_000
"""Bytes that must be free before a run begins: checkpoints, images and the page take about half."""

MANIFEST = "manifest.json"
CONCEPTS = "concepts.yaml"
FINISHED = "finished.json"
FAILED = "failed.json"
"""Why the last attempt ended without a result; the next one takes it away."""
PROMPT, REPORT = "prompt.safetensors", "report.html"
TIMINGS = "timings.json"
_NOT_ARTEFACTS = (MANIFEST, FINISHED, TIMINGS)
LOGS = "logs"
"""Folder of what loggers write."""
_NOT_ARTEFACT_FOLDERS = ("checkpoints", LOGS, "wandb")


class Run:
    """A run's directory and what is drawn in it.

    Made by `planned`, then taken; a context manager that gives the lock back. A process that is not the first of
    its group (``is_writer`` false) reads the directory and writes nothing.
    """

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        target: str,
        *,
        lock: RunLock | None = None,
        is_writer: bool = True,
    ) -> None:
        self.directory = directory
        self.config = config
        self.identity = identity(config)
        self.target = target
        self.is_writer = is_writer
        self.draws = Draws(int(config["seed"]), target)
        self._lock = lock
        self._written: set[str] = set()

    @property
    def is_finished(self) -> bool:
        """Whether the run was finished and every file is still as it was then."""
        try:
            finished = read_json(self.directory / FINISHED)
            return finished["identity"] == self.identity and not _changed(self.directory, finished["artefacts"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    @property
    def checkpoint_path(self) -> Path:
        """Where the optimisation's last checkpoint is, if there is one yet."""
        return self.directory / "checkpoints" / "last.ckpt"

    def path(self, name: str) -> Path:
        """``name`` inside the run's directory, its folder made.

        Raises:
            ValueError: ``name`` leads out of the directory.
        """
        path = self.directory / name
        if not path.resolve().is_relative_to(self.directory.resolve()):
            raise ValueError(f"{name!r} is not inside the run's directory")
        if self.is_writer:
            with atomic.storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a file of the run, whole or not at all, and return its path."""
        path = self.path(name)
        if self.is_writer:
            atomic.write_bytes(path, data)
            self._written.add(name)
        return path

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the run as UTF-8."""
        return self.write_bytes(name, text.encode("utf-8"))

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file of the run; equal values give equal bytes, NaN raises ``ValueError``."""
        return self.write_text(name, atomic.to_json(value))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run."""
        return read_json(self.directory / name)

    def record_timings(self, **values: Any) -> None:
        """Add to ``timings.json``, the only file of a run that depends on time and memory."""
        self.write_json(TIMINGS, self.recorded(TIMINGS) | values)

    def recorded(self, name: str) -> dict[str, Any]:
        """What a JSON file of the run holds by name; nothing if it is not there, or damaged."""
        try:
            content = self.read_json(name)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def record_device(self, device: str) -> None:
        """Add the kind of device to the manifest; another kind than an earlier attempt's warns."""
        if not self.is_writer:
            return
        content = _read_manifest(self)
        if content is None:
            raise RetryableError(_vanished(self, [MANIFEST]))
        history = content["made_with"]
        before = history[-1].get("device", device)
        if before != device:
            warnings.warn(
                f"The run in {self.directory} was begun on {before} and goes on on {device}; its result "
                "may differ from one made anew.",
                stacklevel=2,
            )
            history.append(dict(history[-1]))
        history[-1]["device"] = device
        self.write_json(MANIFEST, content)

    def finish(self) -> None:
        """Mark the run as done, with the SHA-256 of all its files.

        Raises:
            RetryableError: some that were written are there no more.
        """
        vanished = sorted(name for name in self._written if not (self.directory / name).is_file())
        if vanished:
            raise RetryableError(_vanished(self, vanished))
        artefacts = {
            path.relative_to(self.directory).as_posix(): read_sha256(path)
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and self._is_artefact(path)
        }
        self.write_json(FINISHED, {"identity": self.identity, "artefacts": artefacts})

    def is_done(self) -> bool:
        """Whether the run is finished and is not to be made again; if other versions made it, a warning says so."""
        done = self.is_finished and not self.config.get("force")
        if done:
            _warn_of_differences(self)
        return done

    def check_free(self) -> None:
        """Look whether another process has the run, and whether it could be kept, before anything is loaded for it.

        Raises:
            OwnedElsewhere: it has; the message names that process.
            RetryableError: the folder of all runs cannot be written to or is full.
        """
        if self._lock is not None:
            self._lock.check_free()
            atomic.require_free_space(self.directory, SPACE_NEEDED)

    def taken(self) -> Run:
        """This run, now this process's own, its directory made; with ``force`` an earlier attempt is set aside.

        Raises:
            OwnedElsewhere: another process is making it.
            RetryableError: the folder of all runs cannot be written to or is full.
        """
        if self._lock is None:
            return self
        self._lock.acquire()
        try:
            if self.config.get("force") and self.directory.exists():
                _set_aside(self.directory)
            if not self.is_finished:
                atomic.require_free_space(self.directory, SPACE_NEEDED)
                with atomic.storage_errors(self.directory):
                    self.directory.mkdir(parents=True, exist_ok=True)
                    atomic.remove_temporaries(self.directory)
                    (self.directory / FAILED).unlink(missing_ok=True)
                _record_manifest(self)
            return self
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.is_writer and self.directory.is_dir():
            self._record_failure(error)
        self.release()

    def _record_failure(self, error: BaseException) -> None:
        told = isinstance(error, UserError | RetryableError | Interrupted)
        text = str(error) if told else f"{type(error).__name__}: {error}"
        record = {"error": text, "interrupted": isinstance(error, Interrupted | KeyboardInterrupt)}
        with suppress(OSError, RetryableError):  # The disk may be what failed.
            atomic.write_json(self.directory / FAILED, record)

    def _is_artefact(self, path: Path) -> bool:
        relative = path.relative_to(self.directory)
        return not (
            relative.as_posix() in _NOT_ARTEFACTS
            or relative.parts[0] in _NOT_ARTEFACT_FOLDERS
            or relative.name.endswith(".tmp")
        )


def changed_files(directory: Path) -> list[str]:
    """The files of a run that are not as they were when it was finished; none where it was not.

    Raises:
        ValueError: the record of what they were is damaged.
        OSError: it cannot be read.
    """
    try:
        return _changed(directory, read_json(directory / FINISHED)["artefacts"])
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no record of a finished run") from error


def run_directory(config: Mapping[str, Any], root: str | Path, slug: str) -> Path:
    """``<root>/<classifier>/<target>/<explainer>-<identity>``, as an absolute path."""
    name = f"{slugify(config['explainer']['name'])}-{identity(config)[:IDENTITY_DIGITS]}"
    folder = outputs_folder(root) / slugify(config["classifier"]["name"])
    return folder / slug / name


def outputs_folder(root: str | Path) -> Path:
    """The folder of all runs, as an absolute path.

    Raises:
        UserError: it begins with the home of somebody who has none.
    """
    try:
        return Path(root).expanduser().absolute()
    except RuntimeError as error:
        raise UserError("There is no such home directory.", given=f"paths.outputs={root}") from error


def planned(config: Mapping[str, Any], root: str | Path, *, target: ResolvedTarget | None = None) -> Run:
    """The run of ``config``, resolved, which is nobody's yet; nothing is written.

    ``root``: the folder of all runs. Where the target was not looked up, the text in ``config`` stands for it.
    """
    slug = slugify(str(config["target"])) if target is None else target.slug
    text = str(config["target"]) if target is None else target.text
    directory = run_directory(config, root, slug)
    if process_rank() > 0:
        return Run(directory, config, text, is_writer=False)
    return Run(directory, config, text, lock=lock_of(directory))


def lock_of(directory: Path) -> RunLock:
    """The lock of the run in ``directory``."""
    return RunLock(directory.with_name(f".{directory.name}.lock"))


def process_rank() -> int:
    """This process's place in the group that makes one run together; 0 when it is alone.

    Lightning's and torchrun's launchers tell it through the environment.
    """
    for name in ("RANK", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def _record_manifest(run: Run) -> None:
    """Write what the run is made from; when it goes on with an older attempt, keep both."""
    made_with = manifest.made_with(run.config)
    history = [made_with]
    before = _read_manifest(run)
    if before is None and (run.directory / MANIFEST).exists():
        message = f"{run.directory / MANIFEST} is damaged and is written anew: what began the run is no longer known."
        warnings.warn(message, stacklevel=2)
    if before is not None:
        history = before["made_with"]
        if before["identity"] != run.identity:
            raise UserError(
                f"{run.directory} belongs to another configuration with the same short identity; "
                "change the seed or paths.outputs."
            )
        if manifest.differences(history[-1], made_with):
            _warn_of_differences(run)
            history = [*history, made_with]
    content = {
        "identity": run.identity,
        "target": run.target,
        "config": identifying(run.config),
        "config_as_given": dict(run.config),
        "made_with": history,
    }
    run.write_json(MANIFEST, content)


def _read_manifest(run: Run) -> dict[str, Any] | None:
    """The manifest, or None where it is not there, or not as a run writes it."""
    content = run.recorded(MANIFEST)
    try:
        history = [(dict(one["versions"]), dict(one["weights"])) for one in content["made_with"]]
        return content if history and isinstance(content["identity"], str) else None
    except (KeyError, TypeError, ValueError):
        return None


def _vanished(run: Run, names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"{run.directory / names[0]}{more} was deleted or damaged while the run went on, so that it is not finished; "
        "the same command makes it again."
    )


def _warn_of_differences(run: Run) -> None:
    before = _read_manifest(run)
    if before is None:
        return
    lines = manifest.differences(before["made_with"][-1], manifest.made_with(run.config))
    if lines:
        warnings.warn(
            f"The run in {run.directory} was begun with {'; '.join(lines)}. Its result may differ "
            "from one made anew; force=true redoes it and keeps the old copy.",
            stacklevel=2,
        )


def _set_aside(directory: Path) -> Path:
    number = 1
    while (old := directory.with_name(f"{directory.name}.old-{number}")).exists():
        number += 1
    with atomic.storage_errors(directory):
        return directory.rename(old)


def _changed(directory: Path, artefacts: Mapping[str, str]) -> list[str]:
    return [name for name, digest in artefacts.items() if not _is_as_it_was(directory, name, digest)]


def _is_as_it_was(directory: Path, name: str, digest: str) -> bool:
    try:
        path = inside(directory, name)
        return path.is_file() and read_sha256(path) == digest
    except (OSError, UserError):
        return False
