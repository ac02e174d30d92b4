"""A sweep's page and tables hold every job, worst first; those that failed with their errors."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.report import samples
from tests.report.test_page import HOSTILE, Parsed

from diffexplain.effects.results import Verdict
from diffexplain.report import SCHEMA_VERSION, Summary
from diffexplain.report.images import write_pictures
from diffexplain.report.sweep import (
    SAME_ANSWER,
    SweepRow,
    headline,
    row_of,
    sweep_table,
    worst_first,
    write_sweep_report,
)
from diffexplain.runs.run import Run
from diffexplain.runs.sweep import Job
from diffexplain.statistics.estimates import SameAnswer


def row(folder: Path, name: str, summary: Summary | None = None, run: Run | None = None, **job: str) -> SweepRow:
    of = samples.run_in(folder / "of" / name) if run is None else run
    config = {**of.config, "target": f"class:{name}"}
    return row_of(
        folder, Job((f"target=class:{name}",), config, **job), None if summary is None else of.directory, summary
    )


@pytest.fixture
def rows(tmp_path: Path) -> list[SweepRow]:
    folder = tmp_path / "sweeps" / "1"
    run = samples.run_in(tmp_path / "cnn" / "class:flagpole" / "a")
    silent = samples.run_in(tmp_path / "cnn" / "class:bee" / "b")
    return [
        row(folder, "late"),
        row(folder, "bee", samples.summary_of(silent, samples.silent(), effects=None), silent),
        row(folder, "bad", status="failed", error=f"first line\n{HOSTILE}"),
        row(folder, "flagpole", samples.summary_of(run, samples.evaluation()), run),
    ]


def summary(tmp_path: Path, *concepts: object) -> Summary:
    return samples.summary_of(
        samples.run_in(tmp_path / "any"), samples.evaluation(), effects=samples.effects(*concepts)
    )


def test_the_table_has_a_line_for_every_job_worst_first_and_the_whole_error_of_each_that_failed(
    rows: list[SweepRow],
) -> None:
    lines = sweep_table(rows).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == [
        f"target=class:{name}" for name in ("flagpole", "bee", "late", "bad")
    ]
    assert "97 of 100  a flag        +0.67 (0.62 to 0.72)  a pole    a flag +0.67    40 of 100" in lines[2]
    # Where nothing activates nothing is tested, and "none" would be an answer.
    assert "not tested" in lines[3] and "none" not in lines[3]
    assert "not started" in lines[4]
    assert lines[-3:] == ["target=class:bad: failed", "  first line", f"  {HOSTILE}"]


def test_none_is_said_of_what_was_tested_and_undecided_clears_nothing(tmp_path: Path) -> None:
    cleared = row(tmp_path, "cleared", summary(tmp_path, samples.CLOUD, samples.POLE))
    undecided = row(tmp_path, "open", summary(tmp_path, samples.CLOUD, samples.PERSON))
    relevant = row(tmp_path, "relevant", summary(tmp_path, replace(samples.FLAG, verdict=Verdict.RELEVANT)))
    same = replace(summary(tmp_path, samples.FLAG), same_answer=SameAnswer(0.5, 12))
    nothing = row(tmp_path, "same", same)
    assert [one.answer for one in (cleared, undecided, relevant, nothing)] == [
        "none found",
        "undecided",
        "undecided",
        "untold",
    ]
    assert (cleared.concepts, cleared.undecided, cleared.untested) == (2, 0, 1)
    assert (nothing.concepts, nothing.undecided, nothing.untold, nothing.spurious) == (None, None, SAME_ANSWER, None)
    lines = sweep_table([nothing, cleared, undecided]).splitlines()[2:]
    assert "none sure: 1 of 2 undecided; 1 not tested" in lines[0]
    assert "none of 2 tested" in lines[1]
    assert SAME_ANSWER in lines[2] and "none" not in lines[2]
    page = Parsed(write_sweep_report(tmp_path, [cleared, undecided, nothing]).read_text(encoding="utf-8")).text
    headed = "In none of 2 classes that were tested is a spurious concept beyond doubt; in 1 of them some concepts are"
    assert f"{headed} undecided." in page
    assert (
        "1 of 3 classes: no concept was tested and told apart as core or spurious: that says nothing of them." in page
    )
    assert "none of 2 tested1 not tested" in page and "none sure1 of 2 undecided" in page


def test_the_page_begins_with_the_worst(tmp_path: Path, rows: list[SweepRow]) -> None:
    lowering = samples.concept("companion/dog", "a dog", Verdict.SPURIOUS, -0.7)
    worse = row(tmp_path, "worse", summary(tmp_path, lowering))
    assert [one.name.rpartition(":")[2] for one in worst_first([*rows, worse])] == [
        "worse",
        "flagpole",
        "bee",
        "late",
        "bad",
    ]
    text = "".join(piece for piece, _ in headline(worst_first([*rows, worse])))
    assert text == (
        "2 of 2 classes that were tested have a spurious concept; the largest effect is a dog, −0.70 (−0.75 to −0.65), "
        "on class:worse."
    )
    assert "".join(piece for piece, _ in headline(rows[:1])) == "0 of 1 runs are done."
    told = "; of none of them is told what is core and what is spurious."
    assert "".join(piece for piece, _ in headline(rows[1:2])) == f"1 of 1 runs are done{told}"


def test_a_run_without_a_prompt_is_done_and_has_its_concepts(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path / "ranked")
    lowering = samples.concept("companion/dog", "a dog", Verdict.SPURIOUS, -0.7)
    ranked = samples.summary_of(run, None, effects=samples.effects(samples.FLAG, lowering))
    one = row(tmp_path, "flagpole", ranked, run)
    assert one.activation is None and one.spurious is not None and one.concept is not None
    # The one that raises comes first, though another has the larger effect.
    assert (one.spurious.phrase, one.concept.phrase) == ("a flag", "a dog")
    text = Parsed(write_sweep_report(tmp_path, [one]).read_text(encoding="utf-8")).text
    assert "1 of 1 classes has a spurious concept" in text and "a dog−0.70, interval −0.75 to −0.65" in text


def test_the_page_names_every_job_and_links_to_the_runs_that_are_done(tmp_path: Path, rows: list[SweepRow]) -> None:
    parsed = Parsed(write_sweep_report(tmp_path / "sweeps" / "1", rows).read_text(encoding="utf-8"))
    assert "2 of 4 runs are done." in parsed.text
    assert "class:bad: failed." in parsed.text
    assert parsed.text.count(HOSTILE) == 1
    links = [value for tag, name, value in parsed.attributes if tag == "a" and name == "href"]
    assert links == ["../../cnn/class%3Aflagpole/a/report.html", "../../cnn/class%3Abee/b/report.html"]
    assert "script" not in parsed.tags


def test_the_page_sorts_and_filters_without_a_script(tmp_path: Path, rows: list[SweepRow]) -> None:
    page = write_sweep_report(tmp_path, rows).read_text(encoding="utf-8")
    parsed = Parsed(page)
    lines = [(name, value) for tag, name, value in parsed.attributes if tag == "tr" and name in ("class", "style")]
    # By name: bad, bee, flagpole, late; by how often it activates: 97 of 100, none of 100, unknown.
    assert lines == [
        *(("class", "spurious"), ("style", "--n:2;--a:-970")),
        *(("class", "untold"), ("style", "--n:1;--a:0")),
        *(("class", "unfinished"), ("style", "--n:3;--a:1")),
        *(("class", "unfinished"), ("style", "--n:0;--a:1")),
    ]
    assert "all (4)a spurious concept (1)nothing told (1)not done (2)" in parsed.text
    chosen = [value for tag, name, value in parsed.attributes if tag == "input" and name == "id"]
    assert chosen == ["by-worst", "by-name", "by-share", "only-all", "only-spurious", "only-untold", "only-unfinished"]
    for identifier in chosen:
        assert ("label", "for", identifier) in parsed.attributes
        assert f"#{identifier}:checked ~ " in page


def test_the_thumbnail_shows_the_leading_concept(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path / "run")
    shown = samples.effect_examples()[0]
    red = np.zeros((64, 64, 3), dtype=np.uint8)
    red[..., 0] = 255
    write_pictures(run, samples.evaluation().examples, [replace(shown, present=red)])
    one = row(tmp_path, "flagpole", samples.summary_of(run, samples.evaluation()), run)
    parsed = Parsed(write_sweep_report(tmp_path, [one]).read_text(encoding="utf-8"))
    images = {name: value for tag, name, value in parsed.attributes if tag == "img"}
    assert images["alt"] == "class:flagpole with a flag"
    kind, _, data = images["src"].partition(",")
    assert kind == "data:image/webp;base64" and len(data) < 300
    (run.directory / "images" / "index.json").write_text("{")
    assert "img" not in Parsed(write_sweep_report(tmp_path, [one]).read_text(encoding="utf-8")).tags


def test_a_page_of_a_thousand_rows_is_small(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path / "a folder's name as long as those of classifier, target and run are together")
    known = samples.summary_of(run, samples.evaluation())
    write_pictures(run, samples.evaluation(side=256).examples, samples.effect_examples(side=256))
    one = row(tmp_path, "flagpole", known, run)
    many = [replace(one, name=f"target=class:carpenter's kit {number}") for number in range(1000)]
    page = write_sweep_report(tmp_path, many)
    assert page.read_text(encoding="utf-8").count("data:image/webp") == 1000
    assert page.stat().st_size < 2_000_000
    assert (tmp_path / "sweep.csv").stat().st_size < 1_000_000


def test_the_numbers_are_written_too(tmp_path: Path, rows: list[SweepRow]) -> None:
    write_sweep_report(tmp_path, rows)
    plain = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (plain["schema_version"], plain["kind"]) == (SCHEMA_VERSION, "sweep")
    assert [job["status"] for job in plain["jobs"]] == ["not started", "done", "failed", "done"]
    assert plain["jobs"][3]["spurious"]["phrase"] == "a flag"
    assert plain["jobs"][3]["spurious"]["effect"]["value"] == 0.67
    assert plain["jobs"][2]["activation"] is None


def test_the_rows_are_written_as_csv_and_parquet(tmp_path: Path, rows: list[SweepRow]) -> None:
    write_sweep_report(tmp_path, rows)
    with (tmp_path / "sweep.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [line["status"] for line in read] == ["not started", "done", "failed", "done"]
    assert read[2]["error"] == f"first line\n{HOSTILE}"
    # What was not measured is empty, and never 0.
    assert {read[0][name] for name in ("activation", "concepts", "spurious_phrase", "spurious_effect_n")} == {""}
    assert (read[3]["spurious_phrase"], read[3]["spurious_effect"], read[3]["activation_n"]) == (
        "a flag",
        "0.67",
        "100",
    )
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "sweep.parquet")
    assert table.column_names == list(read[0])
    assert table["spurious_effect"].to_pylist() == [None, None, None, 0.67]
    assert table["activation_n"].to_pylist() == [None, 100, None, 100]


def test_without_pyarrow_no_older_parquet_stays(
    tmp_path: Path, rows: list[SweepRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffexplain.report.sweep.find_spec", lambda _name: None)
    (tmp_path / "sweep.parquet").write_bytes(b"of another day")
    page = write_sweep_report(tmp_path, rows).read_text(encoding="utf-8")
    assert not (tmp_path / "sweep.parquet").exists() and "sweep.parquet" not in page


def test_a_sweep_in_which_all_failed_has_a_page(tmp_path: Path, rows: list[SweepRow]) -> None:
    parsed = Parsed(write_sweep_report(tmp_path, [rows[0], rows[2]]).read_text(encoding="utf-8"))
    assert "0 of 2 runs are done." in parsed.text


def test_of_many_that_are_not_done_the_first_are_told(tmp_path: Path, rows: list[SweepRow]) -> None:
    many = [replace(rows[0], name=f"target=class:{number}") for number in range(30)]
    parsed = Parsed(write_sweep_report(tmp_path, many).read_text(encoding="utf-8"))
    assert "20 more are not done; they stand at the end of the table." in parsed.text
