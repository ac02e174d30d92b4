"""The segmenter of natural pictures: fetched from a hub with a tiny repository in the real layout, and loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.hub import repositories
from tests.hub.server import Hub, running
from tests.tiny import tiny_images

from diffexplain.config import configuration, fetch_command
from diffexplain.config.instantiate import build
from diffexplain.errors import UserError
from diffexplain.segmentation import Calibration, Segmenter
from diffexplain.weights.store import local

FETCH = "diffexplain fetch classifier=world_shortcut_cnn diffusion=world segmenter=clipseg"
PHRASES = ["a flag", "a red flower with snow", "bee"]


def config() -> dict[str, Any]:
    return configuration.compose(["segmenter=clipseg"])


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A store into which it was fetched, and what the command said."""
    store = tmp_path_factory.mktemp("store")
    with running(Hub({repositories.CLIPSEG: repositories.tiny_repositories()[repositories.CLIPSEG]})) as hub:
        said = subprocess.run(
            [str(Path(sys.executable).with_name("diffexplain")), *FETCH.split()[1:]],
            env={
                **os.environ,
                "HF_ENDPOINT": hub.endpoint,
                "HF_HUB_OFFLINE": "0",
                "DIFFEXPLAIN_CACHE": str(store),
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFEXPLAIN_CACHE", str(store))
        yield store, said


@pytest.fixture(scope="module")
def segmenter(fetched: tuple[Path, str]) -> Segmenter:
    fetch_command.require(config())
    built = build(config()["segmenter"], where="segmenter")
    assert isinstance(built, Segmenter)
    return built


def test_its_licence_is_said_before_it_comes_and_no_pickle_comes(fetched: tuple[Path, str]) -> None:
    store, said = fetched
    assert "MIT licence excludes the weights" in said.splitlines()[0]
    names = {path.name for path in (store / "repositories").rglob("*") if path.is_file()}
    assert names == set(config()["segmenter"]["weights"][0]["files"])


def test_it_is_the_published_network_at_the_size_it_is_used_at(segmenter: Segmenter) -> None:
    assert segmenter.image_size == 48
    images = tiny_images(2, 48)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    for phrase, found in zip(PHRASES, segmenter.logits(images, PHRASES).unbind(1), strict=True):
        tokens = segmenter.tokenizer([phrase], return_tensors="pt")  # alone: padding must not matter
        alike = {name: value.expand(2, -1) for name, value in tokens.items()}
        expected = segmenter.model(pixel_values=(images - mean) / std, **alike).logits
        assert expected.std() > 1e-3
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert (segmenter.logits(images, PHRASES).diff(dim=1).abs().amax(dim=(2, 3)) > 1e-4).all()


def test_its_thresholds_are_the_configurations(segmenter: Segmenter) -> None:
    assert segmenter.calibration == Calibration(mask_threshold=0.3, minimum_area=0.005)
    changed = configuration.compose(["segmenter=clipseg", "segmenter.mask_threshold=0.4"])
    assert build(changed["segmenter"], where="segmenter").calibration.mask_threshold == 0.4


def test_the_processors_newer_form_is_read_alike(fetched: tuple[Path, str], tmp_path: Path) -> None:
    folder = local(config()["segmenter"]["weights"][0])
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pictures = json.loads((folder / "preprocessor_config.json").read_text())
    del pictures["feature_extractor_type"]
    pictures |= {"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(pictures))
    source = {**config()["segmenter"]["weights"][0], "repository": str(tmp_path)}
    again = Segmenter.fetched([source], mask_threshold=0.3, minimum_area=0.005)
    assert again.image_size == 48
    torch.testing.assert_close(again.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))


def test_without_it_a_run_ends_with_the_command_and_a_damaged_file_is_named(
    fetched: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = next(fetched[0].rglob("model.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        fetch_command.require(config())
    weights.write_bytes(whole)
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path))
    with pytest.raises(UserError) as caught:
        fetch_command.require(config())
    assert str(caught.value) == f"config.json of {repositories.CLIPSEG} is missing; this brings it: {FETCH}"
    with pytest.raises(UserError, match="diffexplain fetch segmenter=clipseg"):
        build(config()["segmenter"], where="segmenter")
