"""Loading an editor that follows instructions: all of it, from files that are whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.editing.test_editors import COMPOSITION, DRAWS, FLAG, STEPS, instruct
from tests.tiny import tiny_images, tiny_pipeline, tiny_prior

from diffexplain.config import configuration, fetch_command
from diffexplain.editing import Instruct, load_instruct
from diffexplain.errors import UserError
from diffexplain.weights.sources import sources

UNET = "unet/diffusion_pytorch_model.safetensors"


def save_instruct(folder: Path) -> Path:
    """A tiny pipeline that follows instructions, in diffusers' format."""
    editor = instruct()
    assert isinstance(editor, Instruct)
    editor.pipeline.save_pretrained(folder)
    return folder


def load(folder: object) -> Instruct:
    source = {"repository": str(folder), "licence": "mit", "megabytes": 1}
    return load_instruct(tiny_prior(), model=str(folder), weights=[source], steps=STEPS)


def test_it_edits_as_what_was_saved(tmp_path: Path) -> None:
    made = [
        editor.edit(editor.prepare(COMPOSITION, DRAWS, (0,), tiny_images(1)), [0], [frozenset({FLAG})])
        for editor in (instruct(), load(save_instruct(tmp_path)))
    ]
    assert torch.equal(made[0], made[1])


def test_another_kind_of_pipeline_is_refused(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no pipeline that follows instructions"):
        load(tmp_path)
    (tmp_path / "model_index.json").unlink()
    with pytest.raises(UserError, match="no pipeline that follows instructions"):
        load(tmp_path)


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    folder = save_instruct(tmp_path)
    weights = load_file(folder / UNET)
    weights.pop("conv_in.weight")
    save_file(weights, folder / UNET)
    with pytest.raises(UserError, match=r"conv_in\.weight"):
        load(folder)


def test_what_is_not_there_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"diffexplain fetch .*editor=instruct editor\.model=no/such"):
        load("no/such")
    config = configuration.compose(["explainer=diffex", "editor=instruct", "editor.model=owner/editor"])
    with pytest.raises(UserError, match="of owner/editor is missing") as caught:
        fetch_command.require(config)
    command = str(caught.value).split("diffexplain fetch ")[1].split()
    assert sources(configuration.compose(command)) == sources(config)
