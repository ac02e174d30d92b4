"""Claiming, writing and finishing runs."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from tests.claiming import claim

from diffexplain.errors import OwnedElsewhere, RetryableError, UserError
from diffexplain.runs import manifest
from diffexplain.runs import run as run_module
from diffexplain.runs.machine import Stopwatch
from diffexplain.runs.run import MANIFEST, TIMINGS
from diffexplain.weights import atomic


def config(**changes: Any) -> dict[str, Any]:
    return {
        "target": "class:flagpole",
        "seed": 3,
        "force": False,
        "classifier": {"name": "world_fair_cnn"},
        "explainer": {"name": "diffexplainer", "steps": 2},
    } | changes


def finished(root: Path, **changes: Any) -> Path:
    with claim(config(**changes), root) as run:
        run.write_json("summary.json", {"score": 0.5})
        run.write_text("images/0.txt", "pixels")
        run.record_timings(optimise=1.5)
        run.finish()
        assert run.is_finished
        return run.directory


def test_the_directory_names_classifier_target_and_explainer(tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        assert run.directory.parent == tmp_path / "world_fair_cnn" / "class-flagpole"
        assert run.directory.name == f"diffexplainer-{run.identity[:12]}"
        assert not run.is_finished


def test_hostile_names_stay_inside_the_root(tmp_path: Path) -> None:
    hostile = config(target="class:../../<b>", classifier={"name": "../up"}, explainer={"name": "a/b"})
    with claim(hostile, tmp_path / "outputs") as run:
        assert run.directory.resolve().is_relative_to(tmp_path / "outputs")
        assert run.read_json(MANIFEST)["target"] == "class:../../<b>"
        with pytest.raises(ValueError):
            run.path("../elsewhere")


def test_a_finished_run_is_found_and_not_written_to(tmp_path: Path) -> None:
    directory = finished(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    with claim(config(), tmp_path) as run:
        assert run.is_finished
        assert run.read_json("summary.json") == {"score": 0.5}
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_other_settings_are_another_run_and_a_cosmetic_change_is_not(tmp_path: Path) -> None:
    finished(tmp_path)
    with claim(config(seed=4), tmp_path) as other, claim(config(logger={"name": "none"}), tmp_path) as same:
        assert not other.is_finished
        assert same.is_finished


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_finished_run_whose_files_were_touched_is_not_finished(tmp_path: Path, damage: str) -> None:
    file = finished(tmp_path) / "images" / "0.txt"
    file.write_text("other") if damage == "changed" else file.unlink()
    with claim(config(), tmp_path) as run:
        assert not run.is_finished


def test_times_may_change_without_harm(tmp_path: Path) -> None:
    (finished(tmp_path) / "timings.json").write_text("{}")
    with claim(config(), tmp_path) as run:
        assert run.is_finished


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "{}", '{"made_with": []}', '{"made_with": [3]}', "[" * 100_000]
)
@pytest.mark.parametrize("name", [MANIFEST, TIMINGS])
def test_a_damaged_file_of_an_unfinished_run_is_written_anew(name: str, content: str, tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        run.record_timings(seconds={"explain": 1.0})
    (run.directory / name).write_text(content)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with claim(config(), tmp_path) as run:
            Stopwatch().belongs_to(run)
            run.record_device("cpu")
            run.record_timings(more=1)
            run.finish()
    assert [("is damaged" in str(warning.message)) for warning in said] == [True] * (name == MANIFEST)
    assert run.is_finished
    assert run.read_json(MANIFEST)["made_with"][-1]["device"] == "cpu"


@pytest.mark.parametrize("name", ["summary.json", MANIFEST, "everything"])
def test_a_run_whose_files_are_deleted_while_it_goes_on_is_not_finished(name: str, tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        run.write_json("summary.json", {"score": 0.5})
        if name == "everything":
            shutil.rmtree(run.directory)
        else:
            (run.directory / name).unlink()
        with pytest.raises(RetryableError, match="was deleted or damaged while the run went on"):
            run.finish()
        assert not run.is_finished


def test_a_home_that_nobody_has_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such home"):
        claim(config(), "~nobody-has-this-name/outputs")


def test_force_keeps_every_old_copy(tmp_path: Path) -> None:
    directory = finished(tmp_path)
    for number in (1, 2):
        assert finished(tmp_path, force=True) == directory
        old = directory.with_name(f"{directory.name}.old-{number}")
        assert json.loads((old / "summary.json").read_text()) == {"score": 0.5}


def test_a_second_claim_names_the_owner_and_writes_nothing(tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        before = sorted(run.directory.rglob("*"))
        with pytest.raises(OwnedElsewhere, match=f"process {os.getpid()} on") as caught:
            claim(config(), tmp_path)
        assert caught.value.exit_status == 0
        assert sorted(run.directory.rglob("*")) == before
    claim(config(), tmp_path).release()


def _claim_and_die(root: Path, connection: Connection) -> None:
    claim(config(), root)
    connection.send("claimed")
    os._exit(9)


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_claim_and_die, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "claimed"
    process.join()
    with claim(config(), tmp_path) as run:
        assert not run.is_finished


def _finish_all(root: Path, order: int) -> None:
    numbers = list(range(20))
    for number in numbers[order:] + numbers[:order]:
        try:
            with claim(config(seed=number), root) as run:
                if not run.is_finished:
                    assert not (run.directory / "summary.json").exists()
                    run.write_json("summary.json", {"by": os.getpid()})
                    run.finish()
        except OwnedElsewhere:
            pass


def test_many_workers_share_many_runs_and_each_is_made_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_finish_all, args=(tmp_path, 3 * number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(list(tmp_path.rglob("finished.json"))) == 20


def test_temporaries_of_a_killed_attempt_are_removed(tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        stray = run.path("images/.0.png.0123456789ab.tmp")
        stray.write_text("half")
    with claim(config(), tmp_path):
        assert not stray.exists()


def test_resuming_with_other_versions_warns_and_records_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with claim(config(), tmp_path):
        pass
    now = manifest.versions() | {"torch": "99.0"}
    monkeypatch.setattr(manifest, "versions", lambda: now)
    with pytest.warns(UserWarning, match=r"torch .*, now 99\.0"):
        run = claim(config(), tmp_path)
    recorded = [entry["versions"]["torch"] for entry in run.read_json(MANIFEST)["made_with"]]
    assert recorded[1] == "99.0"
    assert recorded[0] != "99.0"
    run.finish()
    run.release()
    with warnings.catch_warnings(action="error"):
        assert claim(config(), tmp_path).is_finished  # The last attempt was with these versions.


def test_other_weights_warn(tmp_path: Path) -> None:
    weights = tmp_path / "model"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"first")
    settings = config(classifier={"name": "mine", "folder": str(weights)})
    with claim(settings, tmp_path / "outputs") as run:
        run.finish()
    (weights / "model.safetensors").write_bytes(b"other")
    with pytest.warns(UserWarning, match="other weights"):
        claim(settings, tmp_path / "outputs")


def test_a_collision_of_short_identities_is_refused(tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        run.write_json(MANIFEST, run.read_json(MANIFEST) | {"identity": "f" * 64})
    with pytest.raises(UserError, match="another configuration"):
        claim(config(), tmp_path)
    with pytest.raises(UserError):  # and the lock was given back
        claim(config(), tmp_path)


def test_too_little_space_ends_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "SPACE_NEEDED", 10**18)
    with pytest.raises(RetryableError):
        claim(config(), tmp_path)
    assert not list(tmp_path.rglob("diffexplainer-*"))


def test_another_process_of_the_group_finds_the_directory_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claim(config(), tmp_path) as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        second = claim(config(), tmp_path)
        assert second.directory == first.directory
        assert not second.is_writer
        second.write_text("a", "b")
        second.finish()
        assert not (first.directory / "a").exists()
        assert not first.is_finished


def test_secrets_of_the_environment_are_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "sentinel-secret")
    directory = finished(tmp_path)
    for path in directory.rglob("*"):
        assert path.is_dir() or b"sentinel-secret" not in path.read_bytes()


def test_nothing_here_imports_torch() -> None:
    program = (
        "import sys, diffexplain, diffexplain.target, diffexplain.weights.paths, diffexplain.runs.run\n"
        "from diffexplain.config import identity\nfrom diffexplain.runs import draws, lock, manifest\n"
        "from diffexplain.weights import atomic\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_canonical_json_is_what_is_on_disk(tmp_path: Path) -> None:
    with claim(config(), tmp_path) as run:
        path = run.write_json("a.json", {"b": [0.1, 1e-30]})
        assert path.read_text() == atomic.to_json({"b": [0.1, 1e-30]})
