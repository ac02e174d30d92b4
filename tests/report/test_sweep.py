"""A sweep's page and table hold every job; those that failed with their errors."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.report import samples
from tests.report.test_page import HOSTILE, Parsed

from diffexplain.effects.results import Verdict
from diffexplain.report import SCHEMA_VERSION, Summary
from diffexplain.report.sweep import rows_of, sweep_table, write_sweep_report
from diffexplain.runs.sweep import Job


@dataclass(frozen=True)
class Outcome:
    directory: Path
    summary: Summary | None


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job[Outcome]]:
    run = samples.run_in(tmp_path / "cnn" / "class:flagpole" / "a")
    silent = samples.run_in(tmp_path / "cnn" / "class:bee" / "b")
    done = Outcome(run.directory, samples.summary_of(run, samples.evaluation()))
    nothing = Outcome(silent.directory, samples.summary_of(silent, samples.silent(), effects=None))
    return [
        Job(("target=class:flagpole",), run.config, "done", done),
        Job(("target=class:bee",), run.config, "done", nothing),
        Job(("target=class:bad",), run.config, "failed", None, f"first line\n{HOSTILE}"),
        Job(("target=class:late",), run.config),
    ]


def test_the_table_has_a_line_for_every_job_and_the_whole_error_of_each_that_failed(
    tmp_path: Path, jobs: list[Job[Outcome]]
) -> None:
    lines = sweep_table(rows_of(tmp_path / "sweeps", jobs)).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == [
        f"target=class:{name}" for name in ("flagpole", "bee", "bad", "late")
    ]
    assert "97 of 100  a flag        +0.67 (0.62 to 0.72)  a pole    a flag +0.67    40 of 100" in lines[2]
    # Where nothing activates nothing is tested, and "none" would be an answer.
    assert "none" not in lines[3]
    run = samples.run_in(tmp_path / "fair")
    fair = samples.summary_of(run, samples.evaluation(), effects=samples.effects(samples.CLOUD, samples.PERSON))
    tested = Job(("target=class:fair",), run.config, "done", Outcome(run.directory, fair))
    assert sweep_table(rows_of(tmp_path, [tested])).splitlines()[2].count("none") == 3
    assert "not started" in lines[5]
    assert lines[-3:] == ["target=class:bad: failed", "  first line", f"  {HOSTILE}"]


def test_a_run_without_a_prompt_is_done_and_has_its_concepts(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path / "ranked")
    lowering = samples.concept("companion/dog", "a dog", Verdict.SPURIOUS, -0.7)
    ranked = samples.summary_of(run, None, effects=samples.effects(samples.FLAG, lowering))
    job = Job(("target=class:flagpole",), run.config, "done", Outcome(run.directory, ranked))
    (row,) = rows_of(tmp_path, [job])
    assert row.activation is None and row.spurious is not None and row.concept is not None
    # The one that raises comes first, though another has the larger effect.
    assert (row.spurious.phrase, row.concept.phrase) == ("a flag", "a dog")
    text = Parsed(write_sweep_report(tmp_path, [job]).read_text(encoding="utf-8")).text
    assert "1 of 1 runs are done." in text and "a dog−0.70, interval −0.75 to −0.65" in text


def test_the_page_names_every_job_and_links_to_the_runs_that_are_done(tmp_path: Path, jobs: list[Job[Outcome]]) -> None:
    parsed = Parsed(write_sweep_report(tmp_path / "sweeps" / "1", jobs).read_text(encoding="utf-8"))
    assert "2 of 4 runs are done." in parsed.text
    assert "target=class:bad: failed." in parsed.text
    assert parsed.text.count(HOSTILE) == 1
    links = [value for tag, name, value in parsed.attributes if tag == "a" and name == "href"]
    assert links == ["../../cnn/class%3Aflagpole/a/report.html", "../../cnn/class%3Abee/b/report.html"]
    assert "script" not in parsed.tags


def test_the_numbers_are_written_too(tmp_path: Path, jobs: list[Job[Outcome]]) -> None:
    write_sweep_report(tmp_path / "sweeps" / "1", jobs)
    plain = json.loads((tmp_path / "sweeps" / "1" / "summary.json").read_text(encoding="utf-8"))
    assert (plain["schema_version"], plain["kind"]) == (SCHEMA_VERSION, "sweep")
    assert [job["status"] for job in plain["jobs"]] == ["done", "done", "failed", "not started"]
    assert plain["jobs"][0]["spurious"]["phrase"] == "a flag"
    assert plain["jobs"][0]["spurious"]["effect"]["value"] == 0.67
    assert plain["jobs"][2]["activation"] is None


def test_a_sweep_in_which_all_failed_has_a_page(tmp_path: Path, jobs: list[Job[Outcome]]) -> None:
    parsed = Parsed(write_sweep_report(tmp_path, jobs[2:]).read_text(encoding="utf-8"))
    assert "0 of 2 runs are done." in parsed.text
