"""Loading an editor that follows instructions: all of it, from files that are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.diffusion.tiny_pipelines import MADE, made
from tests.editing.test_editors import COMPOSITION, DRAWS, FLAG, OPTIONS, STEPS, instruct, klein, side
from tests.tiny import tiny_images, tiny_pipeline, tiny_prior

from diffexplain.config import configuration, fetch_command
from diffexplain.diffusion import AnyPrior, TextPrior
from diffexplain.editing import load_flux2_klein, load_instruct
from diffexplain.editing.instruct import Instructed
from diffexplain.errors import UserError
from diffexplain.weights.sources import sources

NETWORKS = {
    "instruct": ("unet/diffusion_pytorch_model.safetensors", "conv_in.weight"),
    "flux2_klein": ("transformer/diffusion_pytorch_model.safetensors", "x_embedder.weight"),
}
"""Of each editor, the file of its network and a tensor of that."""
CHOICES = pytest.mark.parametrize("name", NETWORKS)


def fresh(name: str) -> Any:
    return instruct() if name == "instruct" else klein()


def saved(name: str, folder: Path) -> Path:
    """A tiny pipeline that follows instructions, in diffusers' format."""
    fresh(name).pipeline.save_pretrained(folder)
    return folder


def load(name: str, folder: object, prior: AnyPrior | None = None) -> Instructed:
    weights = [{"repository": str(folder), "licence": "mit", "megabytes": 1}]
    if name == "instruct":
        return load_instruct(tiny_prior(), model=str(folder), weights=weights, steps=STEPS)
    prior = prior or TextPrior(made(name), size=64, **MADE[name][1])
    return load_flux2_klein(prior, model=str(folder), weights=weights, steps=STEPS, options=OPTIONS)


@CHOICES
def test_it_edits_as_what_was_saved(name: str, tmp_path: Path) -> None:
    made = [
        editor.edit(editor.prepare(COMPOSITION, DRAWS, (0,), tiny_images(1, side(editor))), [0], [frozenset({FLAG})])
        for editor in (fresh(name), load(name, saved(name, tmp_path)))
    ]
    assert torch.equal(made[0], made[1])


@CHOICES
def test_another_kind_of_pipeline_is_refused(name: str, tmp_path: Path) -> None:
    tiny_pipeline().save_config(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match="no pipeline that"):
            load(name, tmp_path)
        (tmp_path / "model_index.json").unlink(missing_ok=True)


@CHOICES
def test_weights_that_are_not_all_there_are_refused(name: str, tmp_path: Path) -> None:
    folder, (file, tensor) = saved(name, tmp_path), NETWORKS[name]
    weights = load_file(folder / file)
    weights.pop(tensor)
    save_file(weights, folder / file)
    with pytest.raises(UserError, match=tensor.replace(".", r"\.")):
        load(name, folder)


@CHOICES
def test_what_is_not_there_is_named_with_the_command_that_brings_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=rf"diffexplain fetch .*editor={name} editor\.model=no/such"):
        load(name, "no/such")
    config = configuration.compose(["explainer=diffex", f"editor={name}", "editor.model=owner/editor"])
    with pytest.raises(UserError, match="of owner/editor is missing") as caught:
        fetch_command.require(config)
    command = str(caught.value).split("diffexplain fetch ")[1].split()
    assert sources(configuration.compose(command)) == sources(config)


def test_klein_is_in_memory_once_where_the_prior_is_it(tmp_path: Path) -> None:
    folder = str(saved("flux2_klein", tmp_path))
    prior = TextPrior.load(folder, weights=[{"repository": folder}], size=64, dtype="float32", **MADE["flux2_klein"][1])
    assert load("flux2_klein", folder, prior).pipeline is prior.pipeline
    assert load("flux2_klein", folder).pipeline is not prior.pipeline


def test_klein_refuses_a_size_and_an_option_before_its_weights_are_read(tmp_path: Path) -> None:
    made("flux2_klein").save_config(tmp_path)
    with pytest.raises(UserError, match="multiples of 16, from 64x64") as caught:
        load("flux2_klein", tmp_path, tiny_prior())
    assert caught.value.given == "32x32"
    prior: Any = TextPrior(made("flux2_klein"), size=64, **MADE["flux2_klein"][1])
    weights = [{"repository": str(tmp_path)}]
    with pytest.raises(UserError, match="takes no such option"):
        load_flux2_klein(prior, model=str(tmp_path), weights=weights, options={"image": 1})
