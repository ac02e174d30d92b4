"""How the runs of a folder stand: in a list, and on a page."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.claiming import claim
from tests.report import samples
from tests.runs.test_run import config, finished

from diffexplain import cli
from diffexplain.effects.results import Verdict
from diffexplain.errors import Interrupted, RetryableError, UserError
from diffexplain.report.index import write_index
from diffexplain.runs.inventory import inventory
from diffexplain.runs.run import FAILED, MANIFEST, REPORT


def ended(root: Path, error: BaseException, seed: int) -> Path:
    run = claim(config(seed=seed), root)
    with pytest.raises(type(error)), run:
        raise error
    return run.directory


ENDS = [
    (UserError("the classifier gives NaN"), "failed", "the classifier gives NaN"),
    (RetryableError("the disk was full"), "failed", "the disk was full"),
    (ZeroDivisionError("a bug"), "failed", "ZeroDivisionError: a bug"),
    (Interrupted("SIGTERM"), "unfinished", "SIGTERM"),
    (KeyboardInterrupt(), "unfinished", "KeyboardInterrupt"),
]


@pytest.mark.parametrize(("error", "status", "why"), ENDS, ids=[why for *_, why in ENDS])
def test_how_an_attempt_ended_is_known_until_the_next(
    error: BaseException, status: str, why: str, tmp_path: Path
) -> None:
    directory = ended(tmp_path, error, 3)
    (entry,) = inventory(tmp_path)
    assert (entry.directory, entry.status) == (directory, status)
    assert entry.why is not None and why in entry.why
    assert finished(tmp_path) == directory
    (entry,) = inventory(tmp_path)
    assert (entry.status, entry.why) == ("finished", None)
    assert not (directory / FAILED).exists()


def test_what_was_killed_what_is_being_made_and_what_is_damaged(tmp_path: Path) -> None:
    killed = claim(config(seed=0), tmp_path)
    killed.release()
    damaged = ended(tmp_path, UserError("no"), 1)
    (damaged / MANIFEST).write_text("{")
    with claim(config(seed=2), tmp_path) as made:
        standing = {entry.directory: entry.status for entry in inventory(tmp_path)}
    assert standing == {killed.directory: "unfinished", damaged: "damaged", made.directory: "being made"}
    claim(config(seed=0, force=True), tmp_path).release()
    assert len(inventory(tmp_path)) == 3  # The copy that was set aside is none of them.


def test_hundreds_of_runs_are_listed_and_stand_on_a_page(tmp_path: Path) -> None:
    first = finished(tmp_path)
    found = samples.effects(samples.concept("companion/flag", "a <flag>", Verdict.SPURIOUS, 0.67))
    (first / "summary.json").write_text(samples.summary_of(samples.run_in(tmp_path), None, effects=found).to_json())
    text = (first / MANIFEST).read_text()
    for number in range(300):
        copy = first.with_name(f"diffexplainer-{number:012}")
        copy.mkdir()
        (copy / MANIFEST).write_text(text)
    began = time.process_time()
    entries = inventory(tmp_path)
    page = write_index(tmp_path, entries).read_text(encoding="utf-8")
    assert time.process_time() - began < 5
    assert "300 unfinished, 1 finished" in page and "A &lt;flag&gt; raises the probability of" in page
    assert re.findall('<a href="(.+?)"', page) == [f"{first.relative_to(tmp_path)}/{REPORT}"]


def test_runs_can_be_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = ["list", "runs", f"paths.outputs={tmp_path}"]
    assert cli.main(listing) == 0
    assert "There are no runs in" in capsys.readouterr().out
    ended(tmp_path, UserError("a reason", given="x"), 3)
    assert cli.main(listing) == 0
    out = capsys.readouterr().out
    assert "failed  class:flagpole  world_fair_cnn  diffexplainer" in out and "\n  a reason\n" in out
    assert (tmp_path / "index.html").is_file()
