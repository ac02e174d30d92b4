"""Effects over checkpoints: natural order, when a concept appeared, and what was not tested is never zero."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report import samples
from tests.report.test_page import HOSTILE, Parsed

from diffexplain.effects.results import Untested, Verdict
from diffexplain.report.checkpoints import CSV, Course, Point, Series, series_of
from diffexplain.report.sweep import SweepRow, row_of, sweep_table, write_sweep_report
from diffexplain.runs.sweep import Job
from diffexplain.statistics.estimates import Estimate, SameAnswer

MARGIN = 0.02
GONE = Untested(("part", "pole"), "a pole", "object", "its score was too small")


def course(*values: float | None, half: float = 0.05) -> Course:
    points = [
        Point(f"step_{place}", None if value is None else samples.estimate(value, half), "undecided")
        for place, value in enumerate(values)
    ]
    return Course("a flag", ("companion", "flag"), tuple(points), MARGIN)


@pytest.mark.parametrize(
    ("values", "since", "said"),
    [
        ((0.0, 0.05, 0.3, 0.4), 2, "beyond ±0.02 from step_2 on; at step_1: 0.05 (0.00 to 0.10)"),
        ((0.3, 0.4), 0, "beyond ±0.02 from the first checkpoint on, step_0"),
        ((0.3, 0.0, 0.4), 2, "from step_2 on"),  # it did not stay
        ((-0.3, 0.4), 1, "from step_1 on"),  # nor on the same side
        (
            (0.3, 0.0),
            None,
            "not beyond ±0.02 at the last checkpoint; beyond ±0.02 at 1 of 2 checkpoints that tested it",
        ),
        ((0.3, None), None, "not tested at the last checkpoint; beyond"),
        ((0.3, None, 0.4), 2, "from step_2 on; at step_1: not tested"),
        ((None, None), None, "not tested at any checkpoint"),
        ((0.0, 0.0), None, "not beyond ±0.02 at the last checkpoint"),
    ],
)
def test_it_appeared_where_the_interval_goes_beyond_the_margin_and_stays(
    values: Sequence[float | None], since: int | None, said: str
) -> None:
    assert course(*values).since == since
    assert said in course(*values).said


@pytest.fixture
def found(tmp_path: Path) -> tuple[Path, list[SweepRow], list[Series]]:
    """Of five checkpoints, in another order: two without the shortcut, two with it, one that failed."""
    folder = tmp_path / "sweeps" / "1"
    folder.mkdir(parents=True)
    flags = {"step_1000": 0.6, "step_20": 0.001, "step_300": None, "step_2000": 0.7, "step_3": 0.0}
    jobs, rows = [], []
    for name, size in flags.items():
        path = tmp_path / f"{name}.ckpt"
        path.touch()
        run = samples.run_in(tmp_path / "runs" / name)
        job: Job[SweepRow] = Job((f"classifier.checkpoint={path}",), run.config)
        if size is None:
            jobs.append(replace(job, status="failed", error=f"it broke {HOSTILE}\nmore"))
            rows.append(row_of(folder, jobs[-1]))
            continue
        flag = samples.concept("companion/flag", "a flag", Verdict.SPURIOUS, size)
        ranking = samples.ranking(flag, *([samples.POLE] if name != "step_3" else []), untested=(samples.DOG,))
        ranking = replace(ranking, untested=(samples.DOG, GONE)) if name == "step_3" else ranking
        summary = samples.summary_of(run, samples.evaluation(), effects=samples.effects(rankings=(ranking,)))
        if name == "step_20":
            summary = replace(summary, same_answer=SameAnswer(0.5, 12))
        run.write_text("summary.json", summary.to_json())
        jobs.append(replace(job, status="done"))
        rows.append(row_of(folder, jobs[-1], run.directory, summary))
    return folder, rows, series_of(folder, jobs, [row.directory for row in rows])


def test_checkpoints_stand_in_natural_order_with_what_was_not_tested(
    found: tuple[Path, list[SweepRow], list[Series]],
) -> None:
    folder, rows, (series,) = found
    assert series.checkpoints == ("step_3", "step_20", "step_300", "step_1000", "step_2000")
    flag, pole, dog = sorted(series.courses, key=lambda one: one.phrase[2:] not in ("flag", "pole"))
    assert [point.effect and point.effect.value for point in flag.points] == [0.0, None, None, 0.6, 0.7]
    assert flag.since == 3 and pole.since == 3 and dog.said == "not tested at any checkpoint"
    assert [bool(point.effect) for point in pole.points] == [False, False, False, True, True]
    assert (pole.points[0].reason, flag.points[2].reason) == (GONE.reason, f"it broke {HOSTILE}")
    assert "same answer" in flag.points[1].reason
    page = Parsed(write_sweep_report(folder, rows, [series]).read_text(encoding="utf-8"))
    said = "a flag: beyond ±0.02 from step_1000 on; at step_300: not tested; at step_20: not tested; at step_3: 0.00"
    assert "Over 5 checkpoints" in page.text and said in page.text
    # Names are long where files have the same folder, which tells nothing of them apart.
    assert "on step_2000.ckpt." in page.text and "step_300.ckpt: failed" in page.text
    assert "classifier.checkpoint=step_2000.ckpt  done" in sweep_table(rows)
    assert "script" not in page.tags and HOSTILE in page.text
    lines = list(csv.DictReader((folder / CSV).open(encoding="utf-8")))
    assert len(lines) == 15
    assert {line["effect"] for line in lines if line["verdict"] == "not tested"} == {""}
    # A mark for each effect and none for what was not tested, and a line between neighbours alone.
    (chart,) = (chart for one, chart in series.charts() if one.phrase == "a flag")
    assert (chart.count("<circle"), chart.count(">?</text>"), chart.count('class="line raw"')) == (3, 2, 1)


def test_other_sweeps_have_no_checkpoints(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path)
    for key in ("target=class:{}", "seed={}", "classifier.checkpoint=missing{}"):
        jobs: list[Job[SweepRow]] = [Job((key.format(number),), run.config) for number in range(2)]
        assert series_of(tmp_path, jobs, [None, None]) == []


def test_an_estimate_at_the_margin_is_not_beyond_it() -> None:
    assert Point("a", Estimate(0.5, MARGIN, 0.9, 9), "").side(MARGIN) == 0
