"""``diffexplain fetch`` against a hub on this machine: what it brings, what it refuses, and what it survives."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hub.place import BIG, NEWER, PRIOR, ROOT, Place, environment
from tests.hub.server import TOKEN

from diffexplain.config import configuration, fetch_command
from diffexplain.errors import UserError
from diffexplain.weights.store import local


def test_it_brings_data_alone_says_what_comes_first_and_asks_nothing_the_second_time(place: Place) -> None:
    printed = place.fetch().splitlines()
    assert printed[0] == f"owner/prior at {PRIOR[:12]}: 2 files, 102.4 kB, licence mit".replace("102.4 kB", "0.1 MB")
    assert sorted(p.relative_to(place.folder()).as_posix() for p in place.folder().rglob("*") if p.is_file()) == [
        "config.json",
        "unet/big.safetensors",
    ]
    entry = place.lock()["repositories"]["owner/prior"]
    assert entry["revision"] == PRIOR
    digest = hashlib.sha256(BIG).hexdigest()
    assert entry["files"]["unet/big.safetensors"] == {"sha256": digest, "bytes": len(BIG)}
    asked = len(place.hub.requests)
    assert "here already" in place.fetch()
    assert len(place.hub.requests) == asked
    config = configuration.compose(place.overrides)
    fetch_command.require(config)
    assert local(config["diffusion"]["weights"][0]) == place.folder()
    assert config["contents"]["diffusion.weights"]["owner/prior/unet/big.safetensors"] == digest


def test_a_broken_download_is_resumed_by_the_same_command_and_by_the_next(place: Place) -> None:
    place.hub.break_after["unet/big.safetensors"] = [30_000, 20_000, 0, 0]
    assert "50000 bytes of unet/big.safetensors came and are kept" in place.fetch(75)
    assert not (place.folder() / "unet/big.safetensors").exists()
    with pytest.raises(UserError, match=r"\*\.json of owner/prior is missing.*diffexplain fetch"):
        fetch_command.require(configuration.compose(place.overrides))
    place.fetch()
    assert (place.folder() / "unet/big.safetensors").read_bytes() == BIG
    blobs = [asked for path, asked, _ in place.hub.requests if path.startswith("/blobs/")]
    assert blobs == [None, "bytes=30000-", "bytes=50000-", "bytes=50000-", "bytes=50000-"]
    assert [path.name for path in place.folder().rglob(".*")] == []


def test_a_wrong_checksum_leaves_nothing_behind(place: Place) -> None:
    place.hub.corrupt.add("unet/big.safetensors")
    said = place.fetch(2)
    assert hashlib.sha256(BIG).hexdigest() in said.split("found:")[0]
    assert "unet/big.safetensors" in said
    assert not list((place.folder() / "unet").iterdir())
    place.hub.corrupt.clear()
    place.fetch()
    place.hub.corrupt.add("config.json")
    (place.folder() / "config.json").unlink()
    assert "git blob" in place.fetch(2)  # Small files are known by git's identity.


def test_what_is_not_there_is_named_with_what_is(place: Place) -> None:
    place.ask({"repository": "owner/prior", "files": ["unet/bigg.safetensors"]})
    said = place.fetch(2)
    assert "nearest:  unet/big.safetensors" in said
    place.ask({"repository": "owner/nobody", "files": ["*"]})
    assert "no repository owner/nobody" in place.fetch(2)
    place.ask({"url": f"{place.hub.endpoint}/plain/nothing.txt"})
    assert "nothing.txt (status 404)" in place.fetch(2)


@pytest.mark.parametrize(
    "revision", ["../../..", "..", "main", "", "A" * 40, "a" * 39, "a" * 41, f"{'a' * 40}/..", f"{'a' * 40}\n", None]
)
def test_a_revision_that_is_none_is_refused_before_anything_is_brought(place: Place, revision: str) -> None:
    place.hub.repos["owner/prior"].revision = revision
    said = place.fetch(2)
    assert "40 hexadecimal digits" in said
    assert_nothing_was_brought(place)


def test_a_moved_repository_cannot_name_a_path_either(place: Place) -> None:
    place.ask({"repository": "owner/prior", "revision": NEWER, "files": ["config.json"]})
    place.hub.repos["owner/prior"].revision = "../../.."
    assert "40 hexadecimal digits" in place.fetch(2)
    assert_nothing_was_brought(place)


@pytest.mark.parametrize(
    "path",
    [
        "../../../out.json",
        "unet/../../out.json",
        "/tmp/out.json",
        "a\\..\\out.json",
        "c:out.json",
        "a//out.json",
        "a/./out.json",
        "\x1b[2Jout.json",
    ],
)
def test_a_path_that_leaves_its_folder_is_refused_before_anything_is_brought(place: Place, path: str) -> None:
    place.hub.repos["owner/prior"].files[path] = b"{}"
    said = place.fetch(2)
    assert "leaves" in said
    assert "\x1b" not in said
    assert_nothing_was_brought(place)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"lfs": {"sha256": "../../x", "size": 5, "pointerSize": 1}}, "64 hexadecimal digits"),
        ({"lfs": {"sha256": "a" * 64, "size": "5", "pointerSize": 1}}, "a number of bytes"),
        ({"lfs": None, "blobId": "\x1b[2J"}, "40 hexadecimal digits"),
        ({"lfs": None, "size": -1}, "a number of bytes"),
    ],
)
def test_what_is_no_checksum_or_size_is_refused(place: Place, described: dict[str, object], expected: str) -> None:
    place.hub.described["unet/big.safetensors"] = described
    said = place.fetch(2)
    assert expected in said
    assert "\x1b" not in said
    assert_nothing_was_brought(place)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"revision": "../../..", "patterns": ["*"], "files": {}}, "cannot be read"),
        ({"revision": None, "patterns": ["*"], "files": {}}, "cannot be read"),
        ({"patterns": [], "files": {}}, "cannot be read"),
        ({"revision": PRIOR, "patterns": [], "files": {"config.json": {"sha256": "0" * 64}}}, "cannot be read"),
        ({"revision": PRIOR, "patterns": [], "files": {"config.json": {"sha256": "x", "bytes": 2}}}, "cannot be read"),
        (
            {
                "revision": PRIOR,
                "patterns": ["*.json", "unet/big.safetensors"],
                "files": {"../../../out.json": {"sha256": "0" * 64, "bytes": 2}},
            },
            "leaves",
        ),
    ],
)
def test_a_lock_file_from_elsewhere_leads_nowhere_else(place: Place, entry: dict[str, object], said: str) -> None:
    place.store.mkdir()
    (place.store / "lock.json").write_text(json.dumps({"repositories": {"owner/prior": entry}}))
    with pytest.raises(UserError, match=said):
        fetch_command.require(configuration.compose(place.overrides))
    assert said in place.fetch(2)


def assert_nothing_was_brought(place: Place) -> None:
    """Nothing beside the store, and in it only what guards it."""
    assert {path.name for path in place.store.rglob("*")} <= {".fetching", "digests.json"}
    assert not (place.store.parent / "out.json").exists()
    assert [path for path, *_ in place.hub.requests if not path.startswith("/api")] == []


def test_a_gated_repository_asks_for_access_and_shows_the_token_to_the_hub_alone(place: Place) -> None:
    place.hub.repos["owner/prior"].gated = True
    said = place.fetch(2)
    assert "owner/prior is gated: ask for access" in said
    assert "HF_TOKEN" in said
    assert "gated" in place.fetch(2, HF_TOKEN="hf_another")
    place.hub.requests.clear()
    place.fetch(HF_TOKEN=TOKEN)
    seen = {path.split("/")[1]: authorisation for path, _, authorisation in place.hub.requests}
    assert seen == {"api": f"Bearer {TOKEN}", "owner": f"Bearer {TOKEN}", "blobs": None}
    assert TOKEN not in (place.store / "lock.json").read_text()


@pytest.mark.parametrize(
    ("status", "message", "setting"),
    [
        (75, "No connection for owner/prior", {"HF_ENDPOINT": "http://127.0.0.1:9"}),
        (2, "HF_HUB_OFFLINE is set", {"HF_HUB_OFFLINE": "1"}),
    ],
)
def test_without_a_network_it_ends_at_once(place: Place, status: int, message: str, setting: dict[str, str]) -> None:
    command = [str(Path(sys.executable).with_name("diffexplain")), "fetch", *place.overrides]
    done = subprocess.run(
        command, env=environment(place.hub, **setting), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_it_holds_to_the_recorded_revision_and_checksums(place: Place) -> None:
    place.fetch()
    place.hub.repos["owner/prior"].files["unet/big.safetensors"] = BIG + b"!"
    (place.folder() / "unet/big.safetensors").unlink()
    said = place.fetch(2)
    for data in (BIG, BIG + b"!"):
        assert hashlib.sha256(data).hexdigest() in said
    place.hub.repos["owner/prior"].revision = NEWER
    said = place.fetch(2)
    assert PRIOR in said
    assert NEWER in said
    place.ask({"repository": "owner/prior", "revision": NEWER, "files": ["config.json"]})
    with pytest.raises(UserError, match=f"{PRIOR}.*{NEWER}"):
        fetch_command.require(configuration.compose(place.overrides))


def test_a_damaged_file_is_refused_by_a_run_and_mended_by_the_command(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.fetch()
    file = place.folder() / "unet/big.safetensors"
    file.write_bytes(BIG[:-1])
    with pytest.raises(UserError, match=rf"{len(BIG)} bytes\n.*{len(BIG) - 1} bytes"):
        fetch_command.require(configuration.compose(place.overrides))
    flipped = BIG[:-1] + b"?"
    file.write_bytes(flipped)
    expected, found = (hashlib.sha256(content).hexdigest() for content in (BIG, flipped))
    with pytest.raises(UserError, match=rf"{file}(.|\n)*sha256 {expected}\n(.|\n)*sha256 {found}.*diffexplain fetch"):
        fetch_command.require(configuration.compose(place.overrides))
    assert "damaged" in place.fetch()
    assert file.read_bytes() == BIG

    def forbidden(_: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # Root may read everything.

    monkeypatch.setattr(fetch_command, "file_sha256", forbidden)
    with pytest.raises(UserError, match="cannot be read from"):
        fetch_command.require(configuration.compose(place.overrides))


def test_a_plain_file_is_held_to_its_checksum_and_resumed_only_if_it_is_the_same(place: Place) -> None:
    data = place.hub.plain["net.caffemodel"]
    place.plain(sha1="0" * 40)
    assert hashlib.sha1(data).hexdigest() in place.fetch(2)
    place.plain(sha256=None)
    place.hub.break_after["net.caffemodel"] = [40_000, 0, 0]
    place.fetch(75)
    place.hub.plain["net.caffemodel"] = BIG  # The rest of this is not the rest of that.
    place.fetch()
    assert (place.store / "files" / "net.caffemodel").read_bytes() == BIG
    (place.store / "files" / "net.caffemodel").unlink()
    place.hub.plain["net.caffemodel"] = data
    assert hashlib.sha256(BIG).hexdigest() in place.fetch(2)
    place.plain(sha256=hashlib.sha256(data).hexdigest())
    said = place.fetch(2)
    assert hashlib.sha256(BIG).hexdigest() in said
    assert hashlib.sha256(data).hexdigest() in said


def test_a_run_without_its_files_ends_with_the_command_before_torch_is_imported(place: Place, tmp_path: Path) -> None:
    program = "import sys; from diffexplain import cli; sys.exit(cli.run() + 100 * ('torch' in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program, "diffusion=sd14_lcm", f"paths.outputs={tmp_path}/outputs"],
        env=environment(place.hub),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "diffexplain: config.json of CIDAS/clipseg-rd64-refined is missing; this brings it: "
        "diffexplain fetch classifier=world_shortcut_cnn diffusion=sd14_lcm\n"
    )
    assert place.hub.requests == []
