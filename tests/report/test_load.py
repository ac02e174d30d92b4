"""A finished run is read back whole, or the reader is told what is missing."""

from pathlib import Path

import pytest
from tests.report import samples

from diffexplain import load_run
from diffexplain.errors import UserError
from diffexplain.report.load import read_curve
from diffexplain.runs.run import run_directory


def test_a_run_is_read_back_with_summary_pictures_and_curve(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    summary = samples.summary_of(run, found)
    samples.written(run, summary, found)
    loaded = load_run(str(tmp_path))
    assert loaded.summary == summary
    assert len(loaded.images) == 5
    assert [example.path for example in loaded.effects] == [samples.FLAG.path] * 2 + [samples.POLE.path] * 2
    assert loaded.images[0].shape == (16, 16, 3)
    assert [row["step"] for row in loaded.curve] == [0, 1, 2]
    assert loaded.report.is_file()


def test_a_run_is_found_by_its_summary(tmp_path: Path) -> None:
    config = samples.run_in(tmp_path / "elsewhere").config
    run = samples.run_in(run_directory(config, tmp_path, samples.FLAGPOLE.slug))
    summary = samples.summary_of(run, samples.evaluation())
    samples.written(run, summary, samples.evaluation())
    assert load_run(summary, tmp_path).directory == run.directory
    with pytest.raises(UserError, match="no such run"):
        load_run(summary, tmp_path / "nowhere")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="may not be finished"):
        load_run(tmp_path)


def test_a_damaged_picture_is_a_clear_error(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    samples.written(run, samples.summary_of(run, found), found)
    (tmp_path / "images" / "found-000.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match="pictures of this run are damaged"):
        load_run(tmp_path)


def test_a_line_that_was_cut_short_is_left_out_of_the_curve(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "score": 0.5}\n{"other": 1}\n{"step": 0}\n{"step": 2, "sc')
    assert read_curve(tmp_path) == ({"step": 0}, {"step": 1, "score": 0.5})


def test_a_run_without_metrics_has_no_curve(tmp_path: Path) -> None:
    assert read_curve(tmp_path) == ()
