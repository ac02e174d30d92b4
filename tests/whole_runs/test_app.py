"""A run from configuration to report, made of parts that pretend; faults outside the optimisation."""

import json
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import pretend
from tests.claiming import claim
from tests.overriding import changed
from tests.pretend import ACCIDENT, explain_until_killed

import diffexplain
from diffexplain import app, cli
from diffexplain.config import configuration
from diffexplain.effects.results import Verdict
from diffexplain.errors import OwnedElsewhere, RetryableError, UserError
from diffexplain.pipelines import prompt as prompt_pipeline
from diffexplain.pipelines.parts import Parts
from diffexplain.report import Summary
from diffexplain.runs.machine import HANDED_ON

ROOT = Path(__file__).parents[2]
PRETEND = ("paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend")
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    monkeypatch.delenv(ACCIDENT, raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    return [*PRETEND, f"paths.outputs={tmp_path}/outputs"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a finished run, of which each test takes a copy."""
    folder = tmp_path_factory.mktemp("finished")
    with chdir(ROOT):
        diffexplain.explain(*PRETEND, f"paths.outputs={folder}")
    return folder


@pytest.fixture
def run(settings: list[str]) -> Run:
    return lambda *more: cli.run(changed(settings, *more))


def artefacts(root: Path) -> dict[str, bytes]:
    """Everything that is the same however often the run was interrupted."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "timings.json" and path.suffix not in (".lock", ".owner")
    }


def test_more_devices_than_there_are_and_the_name_of_one(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("diffexplain.app.device_name", {"cpu": "a card's name"}.get)
    assert run() == 0
    (manifest,) = tmp_path.rglob("manifest.json")
    assert json.loads(manifest.read_text())["made_with"][-1]["device"] == "a card's name"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("diffexplain.runs.machine._DRIVERS", ("null",))
    assert run("trainer.accelerator=gpu", "trainer.devices=2", "force=true") == 2
    assert "trainer.devices is more than this machine has of cuda" in capsys.readouterr().err


def test_a_run_finds_the_flag_and_writes_its_files(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    report = Path(capsys.readouterr().out.split("Report: ")[1].strip())
    assert report.is_file()
    summary = Summary.load(report.parent)
    flag = summary.concepts[0]
    assert (flag.path, flag.verdict) == (("companion", "flag"), Verdict.SPURIOUS)
    assert flag.over_all.score.value > 0.9 and flag.over_all.n == 6
    assert summary.effects is not None and summary.effects.budget.screening == 12
    tested = {concept.path for concept in summary.concepts}
    assert tested.isdisjoint(one.path for one in summary.effects.rankings[0].untested)
    assert summary.words is not None and summary.words.nearest == (("flag",),)
    assert [row.name for row in summary.activation] == ["found prompt", "class name", "neutral", "random words"]
    assert summary.prior.facts["image_size"] == "32x32"
    timings = json.loads((report.parent / "timings.json").read_text())
    assert {"import", "build", "explain", "evaluate", "report", "total"} == set(timings["seconds"])
    assert timings["peak_memory_bytes"] > 10_000_000
    loaded = diffexplain.load_run(report.parent)
    assert loaded.summary == summary
    assert len(loaded.curve) == 3
    assert loaded.effects[0].path == ("companion", "flag")
    assert loaded.effects[0].score_present > loaded.effects[0].score_without + 0.9


def test_the_command_in_the_summary_composes_the_same_run(settings: list[str]) -> None:
    summary = diffexplain.explain(*settings, "seed=4")
    words = shlex.split(summary.command)
    assert words[:2] == ["diffexplain", "run"]
    again = configuration.compose([*words[2:], settings[-1]])
    assert app.make({**again, "target": "class:pole"}).made is False


def test_however_a_class_is_named_the_run_is_the_same(settings: list[str]) -> None:
    first = app.make(configuration.compose([*settings, "target=class:0"]))
    second = app.make(configuration.compose([*settings, "target=class:MAST"]))
    assert (first.made, second.made) == (True, False)
    assert first.summary == second.summary


def test_equal_runs_in_two_places_give_equal_bytes(settings: list[str], finished: Path, tmp_path: Path) -> None:
    diffexplain.explain(*settings)
    first, second = artefacts(finished), artefacts(tmp_path / "outputs")
    assert first.keys() == second.keys()
    names = [name for name in first if not name.endswith("manifest.json")]
    assert [first[name] for name in names] == [second[name] for name in names]


def test_a_finished_run_is_read_back_and_force_makes_it_again(
    run: Run, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "outputs")
    assert run() == 0
    assert "Already finished" in capsys.readouterr().out
    assert run("force=true") == 0
    directory = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    old = directory.with_name(f"{directory.name}.old-1")
    assert (old / "summary.json").read_bytes() == (directory / "summary.json").read_bytes()


@pytest.mark.parametrize("patience", [5, 1000])
def test_killed_and_started_again_gives_the_bytes_of_an_uninterrupted_run(
    patience: int, settings: list[str], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the midst of the edits, or after all of them, when the prompt is to be found."""
    monkeypatch.setattr(pretend.Editor, "patience", patience)
    expected = artefacts(finished)
    elsewhere = [*settings[:-1], f"paths.outputs={tmp_path}/killed"]
    explain_until_killed(elsewhere)
    assert not list((tmp_path / "killed").rglob("summary.json"))
    assert list((tmp_path / "killed").rglob("drawn-*.json"))
    assert bool(list((tmp_path / "killed").rglob("exchanged-*.json"))) == (patience == 1000)
    diffexplain.explain(*elsewhere)
    made = artefacts(tmp_path / "killed")
    assert made.keys() == expected.keys()
    assert {name for name in made if made[name] != expected[name]} <= {
        name for name in made if name.endswith("manifest.json")
    }


@pytest.mark.parametrize(
    ("accident", "status"), [("user", 2), ("retry", 75), ("SIGTERM", 75), ("SIGINT", 130), ("interrupt", 130)]
)
def test_accidents_become_exit_statuses_and_the_next_attempt_succeeds(
    accident: str, status: int, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    monkeypatch.setenv(ACCIDENT, accident)
    assert run() == status
    assert capsys.readouterr().err.startswith("diffexplain: ")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    monkeypatch.delenv(ACCIDENT)
    assert run() == 0


def test_too_little_memory_for_the_evaluations_images_is_recorded(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = pretend.Prior.generate

    def up_to_four(part: slice) -> None:
        if part.stop - part.start > 4:
            raise torch.OutOfMemoryError("injected")

    def crowded(prior: pretend.Prior, prompts: Any, latents: Any) -> Any:
        prior.without_gradient.run(8, up_to_four)
        return generate(prior, prompts, latents)

    monkeypatch.setattr(pretend.Prior, "generate", crowded)
    assert run() == 0
    assert "4 from here on (diffusion.micro_batch=4" in capsys.readouterr().err
    (timings,) = (tmp_path / "outputs").rglob("timings.json")
    assert json.loads(timings.read_text())["images_at_a_time_halved_from"] == [8]


CPU_ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried ..."
)


@pytest.mark.parametrize(
    ("part", "purpose"),
    [
        ("tests.pretend.load_classifier", "for this run"),
        ("tests.pretend.Segmenter.masks", "to edit one picture"),
        ("tests.pretend.Explainer.explain", "for this run"),
        ("diffexplain.pipelines.prompt.evaluate", "to evaluate one picture"),
    ],
)
def test_too_little_memory_is_one_line_whose_remedy_is_the_same_run(
    part: str,
    purpose: str,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: list[Exception] = [torch.OutOfMemoryError("injected"), RuntimeError(CPU_ALLOCATOR), MemoryError()]

    def never(*_: Any, **__: Any) -> None:
        raise errors[0]

    with monkeypatch.context() as patch:
        patch.setattr(part, never)
        while errors:
            assert run() == 75
            *_, line = capsys.readouterr().err.splitlines()
            assert f"The memory is not enough {purpose}" in line
            # A smaller batch would be another run, which begins anew.
            assert "batch" not in line and "at_once" not in line
            del errors[0]
    assert run() == 0


def test_a_classifier_that_does_not_fit_reads_half_a_block_at_a_time_and_the_summary_says_so(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = pretend.Boxes.forward

    def up_to_eight(boxes: pretend.Boxes, images: Any) -> Any:
        if len(images) > 8:
            raise RuntimeError(CPU_ALLOCATOR)
        return forward(boxes, images)

    monkeypatch.setattr(pretend.Boxes, "forward", up_to_eight)
    assert run() == 0
    printed = capsys.readouterr()
    assert "need more memory than there is" in printed.err
    summary = Summary.load(Path(printed.out.split("Report: ")[1].strip()).parent)
    assert any("Memory was short" in note for note in summary.notes)


@pytest.mark.parametrize("status", [0, 3])
def test_a_plugin_that_ends_the_program_has_neither_finished_a_run_nor_interrupted_it(
    status: int, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCIDENT, f"exit{status}")
    assert run() == 1
    said = capsys.readouterr().err
    assert "An error in your code (tests), not in diffexplain's:" in said
    assert f"SystemExit: {status}" in said


def test_outputs_that_are_deleted_under_a_run_are_no_finished_run(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = prompt_pipeline.evaluate

    def deleting(*arguments: Any, **options: Any) -> Any:
        shutil.rmtree(tmp_path / "outputs" / "pretend")
        return evaluate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(prompt_pipeline, "evaluate", deleting)
        assert run() == 75
    *_, line = capsys.readouterr().err.splitlines()
    assert "deleted" in line
    assert run() == 0
    assert "Report: " in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut off", "empty", "flipped", "nested", "another type", "a folder"])
def test_damaged_records_of_an_unfinished_run_are_made_again(
    damage: str, settings: list[str], finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "outputs")
    expected = artefacts(tmp_path / "outputs")
    (directory,) = {path.parent for path in (tmp_path / "outputs").rglob("summary.json")}
    (directory / "finished.json").unlink()
    for path in [*directory.glob("effects/*.json"), directory / "concepts.yaml"]:
        content = path.read_bytes()
        path.unlink()
        match damage:
            case "cut off":
                path.write_bytes(content[: len(content) // 2])
            case "empty":
                path.write_bytes(b"")
            case "flipped":
                path.write_bytes(content.replace(b"0", b"1", 1).replace(b"flag", b"flak", 1))
            case "nested":
                path.write_bytes(b"[" * 100_000)
            case "another type":
                path.write_bytes(b"3")
            case _:
                path.mkdir()
    if damage == "a folder":
        with pytest.raises(RetryableError, match="Cannot write"), pytest.warns(UserWarning, match="damaged"):
            diffexplain.explain(*settings)
        return
    with pytest.warns(UserWarning, match="is damaged, or of an earlier version"):
        diffexplain.explain(*settings)
    made = artefacts(tmp_path / "outputs")
    assert {name for name in made if made[name] != expected[name]} <= {
        name for name in made if name.endswith("manifest.json")
    }


def test_a_bug_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "resolve_target", None)
    with pytest.raises(TypeError):
        run()


def test_a_bug_in_a_plugin_is_shown_from_its_line_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ACCIDENT, "bug")
    assert run() == 1
    said = capsys.readouterr().err
    assert "An error in your code (tests), not in diffexplain's:" in said
    assert f'File "{ROOT}/tests/pretend.py"' in said
    assert said.rstrip().endswith("ZeroDivisionError: a bug")


def test_a_key_given_twice_is_refused(settings: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*settings, "target=class:pole", "target=class:tree"]) == 2
    said = capsys.readouterr().err
    assert "target is given twice" in said
    assert "target=class:pole target=class:tree" in said


def test_a_run_says_what_it_was_made_of_and_stays_when_that_changes(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phrases = tmp_path / "vocabulary.yaml"
    phrases.write_text(Path("tests/conf/vocabulary.yaml").read_text())
    directories = []
    for added in ("", "# written anew\n"):
        phrases.write_text(phrases.read_text() + added)
        assert run(f"classifier.vocabulary={phrases}") == 0
        directories.append(Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent)
    first, second = (Summary.load(directory) for directory in directories)
    assert directories[0] != directories[1]
    held = [summary.settings["contents"]["classifier.vocabulary"] for summary in (first, second)]
    assert held[0] != held[1]
    assert first.classifier.facts["code"] == f"tests {first.settings['contents']['plugins.tests'][:12]}"
    assert f"code {first.classifier.facts['code']}" in (directories[0] / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_had_ends_before_anything_is_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("target=class:pol", "target=pole", "classifier=pretent", "explainer.stepz=1", "--multi"):
        assert run(wrong) == 2
    assert "nearest:  pole" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_an_argument_that_nobody_takes_is_a_users_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("+explainer.batches=4") == 2
    assert "explainer.batches" in capsys.readouterr().err
    assert run("plugins=[]") == 2
    assert "plugins" in capsys.readouterr().err


def test_outputs_that_cannot_be_written_are_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(f"paths.outputs={tmp_path}/file") == 75
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_in_other_hands_is_left_alone(settings: list[str], run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration.compose(settings)
    with claim(config, config["paths"]["outputs"], target=app.resolve_target(config)):
        assert run() == 0
        assert f"process {os.getpid()}" in capsys.readouterr().out
        with pytest.raises(OwnedElsewhere):
            diffexplain.explain(*settings)


def test_for_a_run_in_other_hands_nothing_is_loaded(
    settings: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pretend.load_classifier", lambda: pytest.fail("weights were loaded"))
    config = configuration.compose(settings)
    with claim(config, config["paths"]["outputs"], target=app.resolve_target(config)):
        assert run() == 0


def test_a_sweep_goes_on_after_a_failure_and_repeats_only_that(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ("-m", "target=class:pole,class:tree,class:nothing")
    monkeypatch.setenv(ACCIDENT, "exit pole")
    assert run(*sweep) == 3
    printed = capsys.readouterr()
    assert "target=class:pole: failed" in printed.out
    assert "target=class:nothing: failed" in printed.out
    assert "[3/3] target=class:nothing" in printed.out
    assert printed.out.count("failed") == 4  # in the table and below it
    (record,) = (tmp_path / "outputs" / "sweeps").glob("*/sweep.json")
    statuses = [job["status"] for job in json.loads(record.read_text())["jobs"]]
    assert statuses == ["failed", "done", "failed"]

    before = artefacts(tmp_path / "outputs" / "pretend" / "class-tree")
    monkeypatch.delenv(ACCIDENT)
    assert run(*sweep) == 3
    statuses = [job["status"] for job in json.loads(record.read_text())["jobs"]]
    assert statuses == ["done", "done", "failed"]
    assert artefacts(tmp_path / "outputs" / "pretend" / "class-tree") == before
    assert (record.parent / "report.html").is_file()


def test_an_interrupted_sweep_starts_no_more_runs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ACCIDENT, "SIGTERM pole")
    assert run("-m", "target=class:pole,class:tree") == 75
    assert "not started" in capsys.readouterr().out


def test_results_do_not_depend_on_the_order_of_a_sweep(run: Run, tmp_path: Path) -> None:
    assert run("-m", "target=class:pole,class:tree", f"paths.outputs={tmp_path}/a") == 0
    assert run("-m", "target=class:tree,class:pole", f"paths.outputs={tmp_path}/b") == 0
    first, second = artefacts(tmp_path / "a" / "pretend"), artefacts(tmp_path / "b" / "pretend")
    summaries = [name for name in first if name.endswith((".png", "summary.json"))]
    assert summaries
    assert [first[name] for name in summaries] == [second[name] for name in summaries]


def test_models_are_shared_only_while_their_settings_are_the_same() -> None:
    parts = Parts()
    node: dict[str, Any] = {"_target_": "diffexplain.explainers.TrainerSettings", "devices": 1}
    first = parts.build("prior", node, [])
    assert parts.build("prior", dict(node), []) is first
    assert parts.build("prior", node | {"devices": 2}, []).devices == 2
    assert parts.build("prior", node, []) is not first


def test_a_helping_process_takes_part_in_its_own_run_and_writes_nothing(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration.compose(settings)
    config["target"] = app.resolve_target(config).text
    with claim(config, config["paths"]["outputs"], target=app.resolve_target(config)) as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setenv(HANDED_ON, first.identity)
        monkeypatch.setenv(ACCIDENT, "bug tree")  # It would show if the other run were begun here.
        (first.directory / "metrics.jsonl").write_text("")
        before = artefacts(tmp_path / "outputs")
        assert cli.run([*settings, "-m", "target=class:pole,class:tree"]) == 0
        assert artefacts(tmp_path / "outputs") == before
        assert capsys.readouterr().out == ""
        assert os.environ[HANDED_ON] == first.identity


def test_from_python_a_composed_configuration_does_as_well(settings: list[str]) -> None:
    config = configuration.compose(settings)
    assert diffexplain.explain(config) == diffexplain.explain(*settings)
    with pytest.raises(UserError):
        diffexplain.explain(*settings, "seed=x")
