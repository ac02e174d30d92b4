"""Which runs lie in the folder of all runs, and how each stands. Nothing is hashed, so that hundreds are fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from diffexplain.errors import OwnedElsewhere, RetryableError
from diffexplain.runs.run import FAILED, FINISHED, MANIFEST, lock_of
from diffexplain.weights.documents import read_json

Status = Literal["finished", "failed", "being made", "unfinished", "damaged"]


@dataclass(frozen=True)
class Entry:
    """A run's directory.

    ``why``: what the last attempt ended with, if the run is not finished; one that was killed left no word.
    ``changed``: when the run was begun or gone on with, or finished, in seconds since 1970.
    """

    directory: Path
    status: Status
    target: str
    classifier: str
    explainer: str
    why: str | None
    changed: float


def inventory(outputs: Path) -> list[Entry]:
    """Every run in ``outputs``, the latest first; copies that ``force=true`` set aside are left out."""
    return sorted(_entries(outputs), key=lambda entry: (-entry.changed, str(entry.directory)))


def _entries(outputs: Path) -> Iterator[Entry]:
    for path in outputs.glob(f"*/*/*/{MANIFEST}"):
        directory = path.parent
        if ".old-" in directory.name:
            continue
        try:
            manifest, changed = read_json(path), path.stat().st_mtime
            config = manifest["config"]
            names = [str(config[part]["name"]) for part in ("classifier", "explainer")]
            status, why = _standing(directory, str(manifest["identity"]))
            if status == "finished":
                changed = (directory / FINISHED).stat().st_mtime
            yield Entry(directory, status, str(manifest["target"]), names[0], names[1], why, changed)
        except (OSError, ValueError, KeyError, TypeError):
            yield Entry(directory, "damaged", directory.parent.name, directory.parents[1].name, "", MANIFEST, 0.0)


def _standing(directory: Path, identity: str) -> tuple[Status, str | None]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        if read_json(directory / FINISHED)["identity"] == identity:
            return "finished", None
    try:
        lock_of(directory).check_free()
    except OwnedElsewhere as error:
        return "being made", str(error)
    except RetryableError:
        pass  # Where nothing may be written, nobody makes a run.
    with suppress(OSError, ValueError, KeyError, TypeError):
        record: Mapping[str, Any] = read_json(directory / FAILED)
        return ("unfinished" if record["interrupted"] else "failed"), str(record["error"])
    return "unfinished", None
