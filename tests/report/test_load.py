"""A finished run is read back whole, or the reader is told what is missing."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.report import samples

from diffexplain import load_run
from diffexplain.effects.results import Verdict
from diffexplain.errors import UserError
from diffexplain.report import write_report
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


def test_a_run_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    odd = samples.concept("companion/odd", "a <b>", Verdict.SPURIOUS, 0.9)
    summary = samples.summary_of(run, found, effects=samples.effects(odd, samples.FLAG))
    samples.written(run, summary, found)
    shown = summary._repr_html_()
    assert "world_shortcut_cnn, class:flagpole" in shown
    assert "<td>a &lt;b&gt;</td><td>spurious</td><td>+0.90</td><td>+0.85 to +0.95</td><td>24</td>" in shown
    assert shown.index("a &lt;b&gt;") < shown.index("a flag")
    assert "1 not tested" in shown
    loaded = load_run(tmp_path)
    assert loaded._repr_html_().startswith(shown)
    assert loaded._repr_html_().count('<img src="data:image/png;base64,') == 5
    assert "No concept was tested" in samples.summary_of(run, found, effects=None)._repr_html_()


def test_a_runs_table_has_a_row_for_each_concept_tested_or_not(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    samples.written(run, samples.summary_of(run, found), found)
    table = load_run(tmp_path).table()
    assert list(table["concept"]) == ["a flag", "a pole", "a person", "a cloud", "a dog"]
    first, last = table.iloc[0], table.iloc[-1]
    assert (first["classifier"], first["path"], first["verdict"]) == (
        "world_shortcut_cnn",
        "companion/flag",
        "spurious",
    )
    assert (first["effect"], first["n"], first["took"]) == (0.67, 24, 0.9)
    assert last["verdict"] == "not tested" and last["reason"] == samples.DOG.reason
    assert last[["effect", "low", "high", "n", "adjusted_p", "took"]].isna().all()


def test_a_table_without_pandas_says_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    samples.written(run, samples.summary_of(run, found), found)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'diffexplain\[notebook\]'"):
        load_run(tmp_path).table()


def test_a_found_prompt_is_a_file_where_one_was_optimised(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    samples.written(run, samples.summary_of(run, found), found)
    with pytest.raises(UserError, match="optimised no prompt"):
        _ = load_run(tmp_path).prompt
    run.write_bytes("prompt.safetensors", b"")
    assert load_run(tmp_path).prompt == tmp_path / "prompt.safetensors"


def test_a_runs_figure_has_the_pairs_with_their_scores(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    samples.written(run, samples.summary_of(run, found), found)
    loaded = load_run(tmp_path)
    figure = loaded.figure()
    assert [axis.get_title() for axis in figure.axes][:4] == ["without: 0.31", "a flag: 0.98"] * 2
    assert len(figure.axes) == 8
    assert np.array_equal(figure.axes[1].images[0].get_array(), loaded.effects[0].present)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(loaded.figure(concepts=1, pictures=1).axes) == 2


def test_a_run_without_pictures_has_no_figure(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    write_report(run, samples.summary_of(run, found))
    with pytest.raises(UserError, match="kept no pictures"):
        load_run(tmp_path).figure()


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
