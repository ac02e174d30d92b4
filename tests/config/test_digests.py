"""Which files make a run another run, and that a file is known by its whole content."""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

from diffexplain.cli import doctor
from diffexplain.config import digests
from diffexplain.config.configuration import compose
from diffexplain.config.identity import identity
from diffexplain.weights import checksums
from diffexplain.weights.checksums import file_sha256
from diffexplain.weights.shipped import recorded

LONG_AGO = time.time_ns() - 3_600 * 10**9
LARGE = bytes(range(256)) * (checksums.WORTH // 256)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path / "store"))
    monkeypatch.setattr(checksums, "SETTLED", -1)  # else every file of a test would be too young to be kept
    return tmp_path / "store"


def hexadecimal(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_a_large_file_is_read_once_and_again_when_it_is_written(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(LARGE)
    assert file_sha256(file) == hexadecimal(LARGE)
    assert list(json.loads((store / checksums.FILE).read_text()).values()) == [[hexadecimal(LARGE), str(file)]]
    # Same size, and the time of the last change set back: the other time tells.
    status = file.stat()
    file.write_bytes(LARGE[:-1] + b"?")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_sha256(file) == hexadecimal(LARGE[:-1] + b"?")


def test_what_is_kept_is_used_and_a_file_that_is_just_written_is_not_kept(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(LARGE)
    monkeypatch.setattr(checksums, "SETTLED", 2_000_000_000)
    file_sha256(file)
    assert not (store / checksums.FILE).exists()
    monkeypatch.setattr(checksums, "SETTLED", -1)
    file_sha256(file)
    monkeypatch.setattr(checksums, "read_sha256", lambda _path: pytest.fail("read again"))
    checksums._known.cache_clear()
    assert file_sha256(file) == hexadecimal(LARGE)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": ["b"]}', "\x00"])
def test_a_damaged_memory_costs_time_and_nothing_else(tmp_path: Path, store: Path, content: str) -> None:
    store.mkdir()
    (store / checksums.FILE).write_text(content)
    (tmp_path / "file.pth").write_bytes(LARGE)
    assert file_sha256(tmp_path / "file.pth") == hexadecimal(LARGE)


def test_weights_trained_further_under_the_same_path_make_another_run(tmp_path: Path) -> None:
    file = tmp_path / "best.pth"
    asked = ["classifier=checkpoint", "classifier.network=mine.build", f"classifier.checkpoint={file}"]
    file.write_bytes(b"first")
    before = compose(asked)
    assert before["contents"]["classifier.checkpoint"] == {"best.pth": hexadecimal(b"first")}
    assert digests.weights(before["contents"], "classifier") == {
        "classifier.checkpoint/best.pth": hexadecimal(b"first")
    }
    file.write_bytes(b"other")
    assert identity(compose(asked)) != identity(before)
    file.write_bytes(b"first")
    assert identity(compose(asked)) == identity(before)


@pytest.mark.parametrize("choice", ["classifier=huggingface", "classifier=timm", "classifier=clip"])
def test_every_file_of_a_models_folder_that_is_read_counts(tmp_path: Path, choice: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        (model / name).write_text(name)
    asked = [choice, f"classifier.model={model}"]
    before = compose(asked)
    assert set(before["contents"]["classifier.weights"]) == {"config.json", "model.safetensors"}
    (model / "README.md").write_text("other")
    assert identity(compose(asked)) == identity(before)
    for name in ("config.json", "model.safetensors"):
        (model / name).write_text("other")
        now = identity(compose(asked))
        assert now != identity(before)
        (model / name).write_text(name)


def test_folders_of_other_parts_count_too(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights.safetensors").write_text("first")
    for part, choice in (("diffusion", "local"), ("segmenter", "world")):
        asked = [f"{part}={choice}", f"{part}.folder={tmp_path}"]
        (tmp_path / "unet" / "weights.safetensors").write_text("first")
        before = identity(compose(asked))
        (tmp_path / "unet" / "weights.safetensors").write_text("other")
        assert identity(compose(asked)) != before


def test_a_path_that_only_the_users_function_knows_counts(tmp_path: Path) -> None:
    file = tmp_path / "backbone.pt"
    file.write_text("first")
    asked = ["classifier=checkpoint", "classifier.network=mine.build", f"classifier.arguments={{weights: {file}}}"]
    before = identity(compose(asked))
    file.write_text("other")
    assert identity(compose(asked)) != before


def test_the_files_beside_an_onnx_graph_that_hold_its_tensors_count(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1000], b"\x00" * 4000, raw=True)
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    model = onnx.helper.make_model(graph)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="tensors.bin", size_threshold=10)
    (tmp_path / "unrelated.bin").write_text("not of the network")
    assert digests.external_data(tmp_path / "net.onnx") == ["tensors.bin"]
    asked = ["classifier=checkpoint", "classifier.network=mine.build", f"classifier.checkpoint={tmp_path}/net.onnx"]
    before = identity(compose(asked))
    (tmp_path / "tensors.bin").write_bytes(b"\x01" * 4000)
    assert identity(compose(asked)) != before


def test_what_was_fetched_is_known_by_its_recorded_checksum(store: Path) -> None:
    asked = ["classifier=timm", "classifier.model=owner/name"]
    without = identity(compose(asked))
    store.mkdir()
    file = {"sha256": "0" * 64, "bytes": 3}
    entry = {"revision": "a" * 40, "patterns": [], "files": {"model.safetensors": file}}
    (store / "lock.json").write_text(json.dumps({"repositories": {"owner/name": entry}}))
    config = compose(asked)
    assert config["contents"]["classifier.weights"] == {"owner/name/model.safetensors": "0" * 64}
    assert identity(config) != without


def test_the_embedded_world_is_known_by_its_files_too() -> None:
    found = digests.weights(compose()["contents"])
    assert {name.partition("/")[0] for name in found} == {"classifier.folder", "diffusion.folder", "segmenter.folder"}


def test_doctor_reads_everything_anew_and_forgets_what_was_wrong(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(LARGE)
    file_sha256(file)
    shipped = {str(path) for path in recorded()}
    (check,) = doctor.check_contents()
    assert (check.status, check.finding) == ("ok", f"{len(shipped) + 1} files read, as they were recorded")
    memory = json.loads((store / checksums.FILE).read_text())
    # As if the disk had changed a byte and no time.
    changed = {key: ["0" * 64, path] for key, (_, path) in memory.items()}
    (store / checksums.FILE).write_text(json.dumps(changed))
    _, fault = doctor.check_contents()
    assert fault.status == "problem"
    assert str(file) in fault.finding and "0" * 64 in fault.finding and hexadecimal(LARGE) in fault.finding
    assert file_sha256(file) == hexadecimal(LARGE)
    assert [check.status for check in doctor.check_contents()] == ["ok"]


def test_doctor_compares_fetched_files_with_the_lock_file(store: Path) -> None:
    folder = store / "repositories" / "owner--name" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"abc")
    file = {"sha256": hexadecimal(b"abc"), "bytes": 3}
    entry = {"revision": "a" * 40, "patterns": [], "files": {"model.safetensors": file}}
    (store / "lock.json").write_text(json.dumps({"repositories": {"owner/name": entry}}))
    assert [check.status for check in doctor.check_contents()] == ["ok"]
    (folder / "model.safetensors").write_bytes(b"abd")
    _, fault = doctor.check_contents()
    assert "model.safetensors holds something else" in fault.finding
    assert "diffexplain fetch" in fault.remedy
    (folder / "model.safetensors").unlink()
    assert "cannot be read" in doctor.check_contents()[1].finding
