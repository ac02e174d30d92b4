"""The copy on W&B is made from the run's files, always closed, and its faults stay its own."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger
from tests.report import samples

from diffexplain.effects.results import Confirmation, ConfirmedConcept, LabelledPhotographs
from diffexplain.errors import RetryableError, UserError
from diffexplain.evaluation.results import Activation, Control, Quality
from diffexplain.report import mirror, wandb_mirror
from diffexplain.report.summary import Summary
from diffexplain.report.sweep import row_of, write_sweep_report
from diffexplain.report.wandb_mirror import STEP
from diffexplain.runs.sweep import Job, write_sweep
from diffexplain.statistics.estimates import Estimate

LOWER = (("companion", "person"), ("companion", "cloud"), ("companion", "dog"))


class Copy:
    """A W&B run that keeps what it is told, and fails at ``fails_at`` logs."""

    offline = True
    id = "the-id"
    dir = "/somewhere/wandb/offline-run/files"

    def __init__(self, fails_at: int | None = None) -> None:
        self.logged: list[tuple[dict[str, Any], int | None]] = []
        self.summary: dict[str, Any] = {}
        self.artifacts: list[Any] = []
        self.finished = False
        self.fails_at = fails_at

    def log(self, values: dict[str, Any]) -> None:
        if len(self.logged) == self.fails_at:
            raise OSError("no space left\nfor W&B")
        step = values.pop(STEP, None)
        self.logged.append((values, step))

    def log_artifact(self, artifact: Any) -> None:
        self.artifacts.append(artifact)

    def define_metric(self, *_names: Any, **_more: Any) -> None:
        pass

    def finish(self, exit_code: int = 0) -> None:
        self.finished = True


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    samples.written(run, samples.summary_of(run, found), found)
    return tmp_path


def begins(monkeypatch: pytest.MonkeyPatch, copy: Copy) -> dict[str, Any]:
    """Let W&B begin with ``copy``; the result holds what it was begun with."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(wandb, "init", lambda **options: given.update(options) or copy)
    return given


def test_a_run_from_elsewhere_sends_no_file_from_outside_itself(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(b"a secret")
    for name in (str(secret), f"../{secret.parent.name}/secret.png"):
        (directory / "metrics.jsonl").write_text(json.dumps({"step": 0, "image": name}) + "\n")
        copy = Copy()
        begins(monkeypatch, copy)
        with pytest.raises(RetryableError, match="leaves"):
            wandb_mirror.sync(directory)
        assert copy.logged == []


def test_history_table_pictures_and_numbers_come_from_the_files(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy()
    given = begins(monkeypatch, copy)
    assert "is copied to /somewhere/wandb/offline-run" in wandb_mirror.sync(directory)
    assert [(values["score"], step) for values, step in copy.logged[:3]] == [(0.0, 0), (0.2, 1), (0.4, 2)]
    findings, _ = copy.logged[3]
    table = findings["concepts"].data
    assert [row[1] for row in table] == [f"{p} > {q}" for p, q in (("companion", "flag"), ("part", "pole"), *LOWER)]
    assert table[0][3:10] == ["spurious", None, 0.67, 0.67 - 0.05, 0.67 + 0.05, 3 * 0.0003, True]
    # What was not tested has a reason and no number.
    assert table[-1][3:] == ["not tested", samples.DOG.reason, *[None] * 8]
    assert len(findings["examples"]) == 5 and len(findings["edits"]) == 4
    assert "combinations" not in findings and "differences" not in findings
    numbers = {"spurious/count": 1, "spurious/top": "a flag", "spurious/top_effect": 0.67, "effects/count": 2}
    assert numbers.items() <= copy.summary.items()
    assert copy.summary["activation/found prompt"] == 0.97
    assert copy.finished
    identity = samples.run_in(directory).identity
    assert given["id"] == identity[:12]
    assert given["mode"] == "offline"
    (artifact,) = copy.artifacts
    assert artifact.type == "report" and set(artifact.manifest.entries) == {"report.html", "summary.json"}


def test_a_fault_of_wandb_closes_the_copy_and_is_one_clear_line(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(fails_at=1)
    begins(monkeypatch, copy)
    with pytest.raises(RetryableError, match=r"was not copied to W&B: OSError: no space left$"):
        wandb_mirror.sync(directory)
    assert copy.finished


def test_without_a_connection_the_copy_is_offline(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, modes = Copy(), []

    def init(**options: Any) -> Copy:
        modes.append(options["mode"])
        if options["mode"] == "online":
            raise wandb.errors.CommError("refused")
        return copy

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb_mirror, "mode", lambda: "online")
    with pytest.warns(UserWarning, match="cannot be reached"):
        wandb_mirror.sync(directory)
    assert modes == ["online", "offline"]
    assert copy.finished


def test_findings_shown_in_an_open_run_never_raise(directory: Path) -> None:
    copy = Copy()
    wandb_mirror.show_findings(WandbLogger(experiment=copy), directory)  # type: ignore[arg-type]
    assert copy.summary["core/top"] == "a pole"
    with pytest.warns(UserWarning, match="does not show the findings") as warned:
        wandb_mirror.show_findings(WandbLogger(experiment=Copy(fails_at=0)), directory)  # type: ignore[arg-type]
    assert len(warned) == 1


def test_what_was_not_measured_is_no_number(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path)
    unit = samples.summary_of(run, samples.evaluation(), samples.UNIT, effects=None)
    assert not [
        name for name in wandb_mirror.headline_numbers(unit) if name.startswith(("spurious", "core", "effects"))
    ]
    ranked = wandb_mirror.headline_numbers(samples.summary_of(run, None))
    assert ranked["effects/top"] == "a flag"
    assert not [name for name in ranked if name.startswith("activation") or name == "object_absent"]
    assert None not in ranked.values()


def test_every_estimate_of_a_summary_is_copied_whenever_its_part_was_added(tmp_path: Path) -> None:
    run, half = samples.run_in(tmp_path), Estimate(0.5, 0.4, 0.6, 20)
    summary = samples.summary_of(run, samples.evaluation())
    assert summary.effects is not None
    labelled = LabelledPhotographs(half, None, ())
    confirmed = Confirmation(3, 2, (ConfirmedConcept(("a", "b"), samples.effect(0.25), None),))
    summary = replace(
        summary,
        control=Control("random_weights", (Activation("found prompt", None, half, half),)),
        quality=(Quality("class name", None, half, None, None, None, None),),
        effects=replace(summary.effects, labelled=labelled, confirmation=confirmed),
    )
    numbers = wandb_mirror.headline_numbers(summary)
    assert numbers["control/activation/found prompt/share"] == numbers["quality/class name/clip_iqa"] == 0.5
    assert numbers["effects/labelled/own"] == 0.5 and "effects/labelled/others" not in numbers
    assert numbers["effects/confirmation/concepts/a > b/added/score"] == 0.25
    # Those of each concept are in the table.
    assert not [name for name in numbers if "companion" in name]


def test_a_sweeps_page_is_copied_under_the_group_of_its_runs(
    directory: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("sweep")
    job: Job[Any] = Job((), {**samples.run_in(directory).config, "target": "class:flagpole"}, status="done")
    write_sweep_report(folder, [row_of(folder, job, directory, Summary.load(directory))])
    write_sweep(folder, [job], [str(directory)])
    copy = Copy()
    given = begins(monkeypatch, copy)
    wandb_mirror.show_sweep(folder, {"name": "local"})
    assert not given  # Its runs are not on W&B.
    wandb_mirror.show_sweep(folder, {"name": "local", "wandb": {"_target_": "diffexplain.logging.wandb_logger"}})
    assert (given["group"], given["job_type"], given["id"]) == (folder.name, "sweep", folder.name)
    ((shown, _),) = copy.logged
    cells = dict(zip(shown["runs"].columns, shown["runs"].data[0], strict=True))
    assert cells["status"] == "done" and cells["error"] is None
    assert copy.artifacts[0].type == "sweep"


def test_the_runs_of_a_sweep_share_its_group_unless_another_is_named() -> None:
    one, named = {"_target_": "w", "group": None}, {"_target_": "w", "group": "mine"}
    config = {"seed": 0, "logger": {"name": "local", "one": one, "named": named, "csv": {"_target_": "c"}}}
    logger = mirror.in_sweep(config, "sweep")["logger"]
    assert (logger["one"]["group"], logger["named"]["group"], logger["csv"]) == ("sweep", "mine", {"_target_": "c"})
    assert mirror.in_sweep({"logger": one}, "sweep")["logger"]["group"] == "sweep"


def test_a_run_that_is_not_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        wandb_mirror.sync(tmp_path / "nowhere")


def test_the_mode_follows_the_environment_and_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "absent"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE")
    assert wandb_mirror.mode() == "offline"
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert wandb_mirror.mode() == "online"
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert wandb_mirror.mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mirror.mode() == "disabled"


def test_a_real_offline_copy_is_written_into_the_run(directory: Path) -> None:
    line = wandb_mirror.sync(directory)
    (copy,) = (directory / "wandb").glob("offline-run-*")
    assert line == f"{directory} is copied to {copy}"
    assert any(copy.glob("*.wandb"))
    assert isinstance(wandb.run, SimpleNamespace | None)
