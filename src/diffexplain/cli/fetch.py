"""``diffexplain fetch``: bring everything that a run needs from elsewhere, once; afterwards runs need no network."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub import hf_hub_url
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from diffexplain.config import configuration
from diffexplain.errors import RetryableError, UserError, printable
from diffexplain.weights import hub, transfer
from diffexplain.weights.sources import Address, Repository, Source, sources
from diffexplain.weights.store import (
    VARIABLE,
    Lock,
    Recorded,
    address_file,
    agreed_file,
    agreed_revision,
    inside,
    locate,
    repository_folder,
    store_folder,
)
from diffexplain.weights.transfer import Expected


def main(arguments: Sequence[str]) -> int:
    """Fetch what the configuration of ``arguments`` needs; returns the exit status.

    Raises:
        UserError, RetryableError: as `fetch`.
    """
    fetch(configuration.compose(arguments))
    return 0


def fetch(config: Mapping[str, Any]) -> None:
    """Bring the files of every source in ``config``, and print what is brought, how large and under what licence.

    Safe to interrupt: a file takes its place when it is whole and checked, and is written to the lock file then.

    Raises:
        UserError: something is not there, not allowed, or not what was recorded or configured.
        RetryableError: network or disk; the same command continues.
    """
    wanted = sources(config)
    if not wanted:
        print("Nothing to fetch: this classifier and this prior come with the package.")
        return
    folder = store_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".fetching"):
            lock = Lock(folder)
            plans = [_plan(source, lock) for source in wanted if not _is_complete(source, lock)]
            _announce(plans, folder)
            for plan in plans:
                _carry_out(plan, lock)
    except OSError as error:  # of the store; what the network does has been explained before
        raise RetryableError(
            f"Cannot write to {folder} ({error.strerror or error}). Free some space, or choose another folder "
            f"with {VARIABLE}=<folder>, and give the same command again."
        ) from error
    print(f"Everything is in {folder}; runs need no network now.")


@dataclass(frozen=True)
class _Item:
    """One file to bring."""

    urls: tuple[str, ...]
    path: Path
    name: str
    expected: Expected


@dataclass(frozen=True)
class _Plan:
    """What is to be brought for one source."""

    source: Source
    revision: str
    items: tuple[_Item, ...]

    @property
    def bytes(self) -> float:
        """Its size where that is known, else what the configuration says."""
        sizes = [item.expected.bytes for item in self.items]
        return self.source.megabytes * 1e6 if None in sizes else sum(size or 0 for size in sizes)


def _is_complete(source: Source, lock: Lock) -> bool:
    """Whether all its files are there with the recorded checksums; asks nobody."""
    if isinstance(source, Address):
        recorded = agreed_file(source, lock)
        files = {} if recorded is None else {source.name: recorded}
    else:
        agreed_revision(source, lock)
        files = {path: file for path, file in lock.files(source.name).items() if source.wants(path)}
    try:
        place = locate(source, lock)
    except UserError:
        return False
    for name, file in files.items():
        path = place if isinstance(source, Address) else inside(place, name)
        if transfer.digest(path, "sha256") != file.sha256:
            print(f"{path} is damaged and is brought again.")
            return False
    print(f"{source}: here already, checksums agree")
    return True


def _plan(source: Source, lock: Lock) -> _Plan:
    """Ask for what is to be brought; nothing is brought yet."""
    if isinstance(source, Address):
        recorded = agreed_file(source, lock)
        expected = Expected(source.algorithm, source.checksum, announced=source.megabytes * 1e6)
        if source.checksum is None and recorded is not None:
            expected = Expected("sha256", recorded.sha256, recorded.bytes)
        item = _Item((source.url, *source.further), address_file(lock.folder, source), source.name, expected)
        return _Plan(source, "", (item,))
    listed = hub.listing(source, agreed_revision(source, lock))
    folder = repository_folder(lock.folder, source.name, listed.revision)
    for path, file in lock.files(source.name).items():
        now = listed.files.get(path)
        if now is not None and now.algorithm == "sha256" and now.digest != file.sha256:
            raise UserError(
                f"{path} of {source.name} was recorded with sha256 {file.sha256}, and the hub has {now.digest} now."
            )
    return _Plan(
        source,
        listed.revision,
        tuple(
            _Item((hf_hub_url(source.name, path, revision=listed.revision),), inside(folder, path), path, expected)
            for path, expected in sorted(listed.files.items())
        ),
    )


def _announce(plans: Sequence[_Plan], folder: Path) -> None:
    """Say what comes, before it comes; refuse what would not fit."""
    for plan in plans:
        at = f" at {plan.revision[:12]}" if plan.revision else ""
        files = f"{len(plan.items)} file{'s' if len(plan.items) > 1 else ''}"
        print(f"{plan.source}{at}: {files}, {_size(plan.bytes)}, licence {plan.source.licence}", flush=True)
    needed, free = sum(plan.bytes for plan in plans), shutil.disk_usage(folder).free
    if needed > free:
        raise RetryableError(
            f"{_size(needed)} are needed in {folder}, {_size(free)} are free. Free some space, or choose another "
            f"folder with {VARIABLE}=<folder>."
        )


def _carry_out(plan: _Plan, lock: Lock) -> None:
    source = plan.source
    for item in plan.items:
        if isinstance(source, Address):
            recorded = _brought(source, item)
        else:
            with hub.explained(str(source)):
                recorded = transfer.bring(item.urls[0], item.path, item.expected, build_hf_headers(), item.name)
        if isinstance(source, Repository):
            lock.record(source.name, plan.revision, item.name, recorded)
        else:
            lock.record_file(source.url, recorded)
        print(f"  {item.name}: {_size(recorded.bytes)}, sha256 {recorded.sha256[:12]}", flush=True)
    if isinstance(source, Repository):
        lock.record_complete(source)


def _brought(source: Address, item: _Item) -> Recorded:
    """The file from the first of its addresses that has it.

    Raises:
        UserError, RetryableError: none has; what each said, and what can be done by hand.
    """
    failed: list[UserError | RetryableError] = []
    for url in item.urls:
        try:
            with hub.explained(url):
                return transfer.bring(url, item.path, item.expected, {}, item.name)
        except (UserError, RetryableError) as error:
            failed.append(error)
            if url != item.urls[-1]:
                print(f"{printable(error)}\n  {item.name}: the next address is tried", flush=True)
    checksum = f", with {item.expected.algorithm} {item.expected.digest}," if item.expected.digest else ""
    remedy = f"Or put the file{checksum} at {item.path} by hand, and give the same command again."
    if source.instead:
        remedy += f" The same weights from elsewhere: diffexplain fetch {source.instead}"
    kind = UserError if all(isinstance(error, UserError) for error in failed) else RetryableError
    raise kind("\n".join([*dict.fromkeys(map(str, failed)), remedy])) from failed[-1]


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
