"""Files are there whole or not at all."""

import errno
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from diffexplain.errors import RetryableError
from diffexplain.weights import atomic


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    atomic.write_text(path, "old")

    def write_half() -> None:
        with atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_or_the_new_file_and_its_temporary_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "data"
    program = (
        "import sys; from pathlib import Path; from diffexplain.weights.atomic import write_bytes\n"
        "number = 0\n"
        "while True:\n"
        "    number += 1; write_bytes(Path(sys.argv[1]), b'%08d' % number * 100_000)\n"
    )
    for delay in (0.02, 0.05, 0.08):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert content == content[:8] * 100_000
    (tmp_path / ".data.0123456789ab.tmp").write_text("left behind")
    (tmp_path / ".mine.tmp").write_text("not ours")
    atomic.remove_temporaries(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"data", ".mine.tmp"}


def test_json_is_the_same_bytes_for_equal_values_and_never_nan() -> None:
    assert atomic.to_json({"b": 0.1, "a": [1, "é"]}) == '{\n  "a": [\n    1,\n    "é"\n  ],\n  "b": 0.1\n}\n'
    with pytest.raises(ValueError):
        atomic.to_json({"a": math.nan})


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "images" / "0.png"
    atomic.write_bytes(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RetryableError) as caught:
        atomic.write_bytes(path, b"x" * 2_000_000)
    message = str(caught.value)
    assert "\n" not in message
    assert "2.0 MB" in message
    assert str(path) in message
    assert "free" in message
    assert caught.value.exit_status == 75
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def inodes(monkeypatch: pytest.MonkeyPatch, left: int, of: int, **others: int) -> None:
    usage = os.statvfs("/")
    plain = {name: getattr(usage, name) for name in dir(usage) if name.startswith("f_")}
    given = SimpleNamespace(**plain | {"f_favail": left, "f_files": of} | others)
    monkeypatch.setattr(os, "statvfs", lambda _: given)


def test_a_disk_without_inodes_is_not_said_to_have_megabytes_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inodes(monkeypatch, 0, 1000)
    said = atomic.describe_storage_error(OSError(errno.ENOSPC, "full"), tmp_path / "a", 10)
    assert said is not None and "no inodes are left" in said and "MB are free" not in said
    with pytest.raises(RetryableError, match="no inodes are left"):
        atomic.require_free_space(tmp_path, 1)
    inodes(monkeypatch, 0, 0)  # A file system that makes them as it needs them.
    atomic.require_free_space(tmp_path, 1)
    inodes(monkeypatch, 0, 0, f_bfree=0, f_bavail=0)
    with pytest.raises(RetryableError, match=r"0\.0 MB are free"):
        atomic.require_free_space(tmp_path, 1)
    inodes(monkeypatch, 0, 0, f_blocks=0, f_bfree=0, f_bavail=0)  # One that counts nothing.
    atomic.require_free_space(tmp_path, 1)


def test_a_circle_of_links_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(RetryableError, match="Cannot write"):
        atomic.write_text(tmp_path / "a" / "outputs" / "file", "b")
    with pytest.raises(RetryableError, match="Cannot write"):
        atomic.require_free_space(tmp_path / "a" / "outputs", 1)
    (tmp_path / "c").touch()
    with pytest.raises(RetryableError, match="Cannot write"):
        atomic.require_free_space(tmp_path / "c" / "outputs", 1)


def test_too_little_space_is_refused_before_the_run(tmp_path: Path) -> None:
    atomic.require_free_space(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(RetryableError, match="needs"):
        atomic.require_free_space(tmp_path, 10**18)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_one_clear_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RetryableError, match="Cannot write"):
            atomic.write_text(tmp_path / "a", "b")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_way_of_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    for path in (tmp_path / "outputs" / "run" / "a", tmp_path / "outputs" / "a"):
        with pytest.raises(RetryableError, match="Cannot write"):
            atomic.write_text(path, "b")


def test_other_faults_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd"), atomic.storage_errors(tmp_path):
        raise OSError(errno.ENOMEM, "odd")
