"""Every shipped experiment starts and ends, on the embedded world, with next to nothing to compute."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.overriding import changed
from torch import Tensor

from diffexplain import app
from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.config import configuration
from diffexplain.pipelines.parts import Parts
from diffexplain.report import load_run
from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from experiments.reliability import runs

ROOT = Path(__file__).parents[2]
QUIET = ["logger=local", "trainer=cpu", "trainer.progress=none", "diffusion.steps=1"]
LITTLE = ["explainer.steps=2", "evaluation=quick", *QUIET]
LEAST = [
    *("evaluation.images=4", "evaluation.random_images=2", "evaluation.candidates=0"),
    *("evaluation.looked_images=2", "evaluation.examples=2", "concepts.hierarchy=tests/conf/hierarchy.yaml"),
    *("effects.images=2", "effects.smallest=2", "discovery.pictures=4"),
]
FEW_EDITS = [
    "effects.images=2",
    "effects.smallest=2",
    "explainer.beam=0",
    "effects.resamples=50",
    "concepts.hierarchy=tests/conf/hierarchy.yaml",
]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts()


def photographs(folder: Path) -> Path:
    """Two rendered scenes in a new folder."""
    folder.mkdir()
    for number, image in enumerate(render_images(World(subjects=("flagpole",)).sample(2, 1), [1, 2])):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


ALONE = [name for name in configuration.available()["experiment"] if name != "confirm"]
"""Those that need no finished run; what confirms one is in test_confirm_run.py."""


@pytest.mark.parametrize("name", ALONE)
def test_every_experiment_runs(name: str, parts: Parts, tmp_path: Path) -> None:
    config = configuration.compose([f"experiment={name}"])
    ranks = config["explainer"]["name"] == "diffex"
    little = [*QUIET, *FEW_EDITS] if ranks else [*LITTLE, *LEAST]
    if ranks and config["editor"]["name"] != "paired":
        little += [f"images={photographs(tmp_path / 'photographs')}", "editor.steps=2"]
    overrides = [f"experiment={name}", *little, f"paths.outputs={tmp_path}"]
    outcome = app.make(configuration.compose(overrides), parts)
    assert outcome.made
    loaded = load_run(outcome.directory)
    assert loaded.summary == outcome.summary
    assert loaded.report.is_file()
    assert len(loaded.curve) == (0 if ranks else 2)
    # Of each of the concepts that are shown two pictures; of values that mirror each other one is shown.
    assert loaded.effects and len(loaded.effects) % 2 == 0 and len(loaded.effects) <= (12 if ranks else 4)


def test_two_processes_share_each_run_of_a_sweep_and_only_the_first_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    tiny = [
        *("paths.configs=[tests/conf]", "plugins=[tests]", "diffusion=tiny", "explainer.batch=2"),
        *("classifier.vocabulary=tests/conf/vocabulary.yaml", "concepts.hierarchy=tests/conf/tiny_hierarchy.yaml"),
        *("effects.opening=a", "discovery.objects=1", "trainer=devices2", "trainer.accelerator=cpu"),
        "explainer.screening_images=0",
    ]
    little = [text for text in (*LITTLE, *LEAST) if not text.startswith("diffusion.")]
    outputs = tmp_path / "outputs"
    arguments = ["-m", "seed=0,1", *changed(little, *tiny), f"paths.outputs={outputs}"]

    def program() -> int:
        sys.argv = ["run.py", *arguments]  # By which Lightning starts the second process.
        try:
            runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    done = runs.run(program, tmp_path / "log")
    assert done.status == 0, done.said
    (record,) = outputs.glob("sweeps/*/sweep.json")
    jobs = json.loads(record.read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["done", "done"]
    for job in jobs:
        assert len(load_run(record.parent / job["directory"]).curve) == 2
    assert done.said.count("Report:") == 1


def test_a_units_scale_is_set_by_the_same_pictures_wherever_a_page_speaks_of_it(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    calibrated = TargetReader.calibrated

    def remembered(reader: TargetReader, images: Tensor) -> TargetReader:
        seen.append(images)
        return calibrated(reader, images)

    monkeypatch.setattr(TargetReader, "calibrated", remembered)
    asked = ["target=unit:stages:3@flagpole", "evaluation.neutral_text='a photo of a bee'"]
    app.make(configuration.compose([*LITTLE, *LEAST, *asked, f"paths.outputs={tmp_path}"]), parts)
    first, *others = seen
    assert others and all(torch.equal(first, images) for images in others)
