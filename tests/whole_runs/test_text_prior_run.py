"""Whole runs on pictures of a pipeline that is asked in texts alone, and what is refused before one begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.diffusion.tiny_pipelines import SIZE, made
from tests.whole_runs.test_black_box_run import SHORT

from diffexplain import cli
from diffexplain.report import Summary, load_run

ROOT = Path(__file__).parents[2]
COMMON = (
    *("paths.configs=[tests/conf]", "plugins=[tests]", "classifier=pretend", "segmenter=pretend", "logger=local"),
    *("trainer=cpu", "target=class:pole", "diffusion=pipeline"),
)
EFFECTS = ("concepts.hierarchy=tests/conf/tiny_hierarchy.yaml", "effects.opening=a", "effects.images=6")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    made("sdxl").save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def finished(capsys: pytest.CaptureFixture[str], folder: Path, *overrides: str) -> Summary:
    keys = ("steps=1", "guidance=0.0", f"size={SIZE}", "dtype=float32", f"model={folder}")
    assert cli.run([*COMMON, *(f"diffusion.{key}" for key in keys), *overrides]) == 0
    return load_run(Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent).summary


@pytest.mark.parametrize("method", ["diffex", "randomised_prompts"])
def test_effects_are_measured_on_its_pictures(
    method: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["explainer.search_images=6"] if method == "diffex" else ["discovery.objects=1", "discovery.pictures=12"]
    summary = finished(capsys, folder, f"explainer={method}", *EFFECTS, *more, f"paths.outputs={tmp_path}")
    assert summary.effects is not None
    tried = [*summary.effects.rankings[0].concepts, *summary.effects.rankings[0].untested]
    assert {concept.path[-1] for concept in tried} >= {"flag", "bee"}
    assert summary.effects.budget.evaluations > 0
    assert (summary.prior.source, summary.prior.facts["image_size"]) == (str(folder), f"{SIZE}x{SIZE}")


def test_a_prompt_of_whole_words_is_found_without_a_gradient(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("gradient=spsa", "gradient.width=1.0", "prompt=hard_words", "prompt.tokens=2", "prompt.prefix=a")
    summary = finished(capsys, folder, *words, *SHORT, f"paths.outputs={tmp_path}")
    assert summary.optimisation is not None and summary.optimisation.steps == 1
    assert summary.activation[0].share.n == 4
    assert not list(tmp_path.rglob("prompt.safetensors"))


@pytest.mark.parametrize(
    ("asked", "named", "remedies"),
    [
        ((), ("gradient=exact", "prompt=constrained"), ("explainer=diffex", "gradient=spsa prompt=hard_words")),
        (("gradient=spsa",), ("prompt=constrained",), ("gradient=spsa prompt=hard_words",)),
        (("gradient=leap", "prompt=hard_words"), ("gradient=leap",), ("explainer=randomised_prompts",)),
        (("explainer=nguyen",), ("explainer=nguyen",), ("explainer=diffex",)),
        (("explainer=randomised_prompts", "concepts=words"), ("concepts=words",), ("concepts=file",)),
        (("explainer=diffex", "images=docs"), ("editor=leditspp",), ("editor=instruct", "editor=flux2_klein")),
    ],
)
def test_what_texts_alone_do_not_give_is_said_before_any_weights_are_read(
    asked: tuple[str, ...],
    named: tuple[str, ...],
    remedies: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "pipeline").mkdir()  # There is nothing in it to be read.
    given = [*COMMON, f"diffusion.model={tmp_path}/pipeline", f"paths.outputs={tmp_path}/outputs", *asked]
    assert cli.run(given) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in (*named, *remedies)), error
    assert not (tmp_path / "outputs").exists()


def test_what_is_no_pipeline_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [*COMMON, "explainer=diffex", *EFFECTS, f"diffusion.model={ROOT}/docs", f"paths.outputs={tmp_path}"]
    assert cli.run(given) == 2
    assert "docs is no pipeline of diffusers: model_index.json is missing" in capsys.readouterr().err
