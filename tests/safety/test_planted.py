"""Code planted wherever weights are read is not executed, and the file is refused in words that name it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.classifiers.test_sources import NAMES, huggingface_folder, open_clip_folder, timm_folder
from tests.hub import repositories

from diffexplain.classifiers import load_checkpoint, load_efficientnet_lite0, timm_models
from diffexplain.config import configuration
from diffexplain.diffusion import load_prior
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts, loading
from diffexplain.segmentation import Segmenter
from diffexplain.weights.paths import resolve_folder


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, crater: Path) -> None:
        self.crater = crater

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.crater),)


Loading = tuple[str, Callable[[], object]]
"""Under the folder, the file that is read; and what reads it."""


def classifier(overrides: list[str]) -> Callable[[], object]:
    node = configuration.compose([*overrides, "diffusion=world"])["classifier"]
    return lambda: Parts().build("classifier", loading(node, []), [])


def torchvision(folder: Path, patch: pytest.MonkeyPatch) -> Loading:
    """The file of the store, whatever it is, with its own checksum in the lock file."""
    patch.setenv("DIFFEXPLAIN_CACHE", str(folder))
    overrides = ["classifier=torchvision", "classifier.model=mobilenet_v3_small"]
    (source,) = configuration.compose(overrides)["classifier"]["weights"]
    name = f"files/{Path(source['url']).name}"

    def load() -> object:
        content = (folder / name).read_bytes()
        record = {"sha256": source.get("sha256") or sha256(content).hexdigest(), "bytes": len(content)}
        lock = {"schema_version": 1, "repositories": {}, "files": {source["url"]: record}}
        (folder / "lock.json").write_text(json.dumps(lock))
        return classifier(overrides)()

    return name, load


def checkpoint(folder: Path, patch: pytest.MonkeyPatch, name: str = "own.pt") -> Loading:
    plain: dict[str, Any] = {"preprocessing": {"size": 16}, "labels": NAMES, "plugins": ["tests"]}
    return name, lambda: load_checkpoint("tests.own_classifiers.build", checkpoint=str(folder / name), **plain)


def efficientnet_lite0(folder: Path, patch: pytest.MonkeyPatch) -> Loading:
    """As if the registry's file had changed together with the checksum that is asked for."""
    patch.setattr(timm_models, "_lite0_path", lambda: folder / "lite0.pth")
    return "lite0.pth", load_efficientnet_lite0


def segmenter(folder: Path, patch: pytest.MonkeyPatch) -> Loading:
    write(folder, repositories.tiny_repositories()[repositories.CLIPSEG].files)
    return "model.safetensors", lambda: Segmenter.load(str(folder))


def prior(folder: Path, patch: pytest.MonkeyPatch) -> Loading:
    files = repositories.tiny_repositories()[repositories.SD15].files
    write(folder, {name: content for name, content in files.items() if name not in repositories.CLUTTER})
    return "unet/diffusion_pytorch_model.safetensors", lambda: load_prior(str(folder), steps=1)


def clip(folder: Path, patch: pytest.MonkeyPatch) -> Loading:
    write(folder, {path.name: path.read_bytes() for path in resolve_folder("embedded:clip").iterdir()})
    return "model.safetensors", classifier(["classifier=clip", f"classifier.model={folder}", LABELS])


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


LABELS = f"classifier.labels=[{','.join(NAMES)}]"
PLACES: dict[str, Callable[[Path, pytest.MonkeyPatch], Loading]] = {
    "torchvision": torchvision,
    "checkpoint": checkpoint,
    "checkpoint, by another name": lambda folder, patch: checkpoint(folder, patch, "own.safetensors"),
    "efficientnet_lite0": efficientnet_lite0,
    "timm": lambda folder, _: ("model.safetensors", classifier(timm_folder(folder))),
    "huggingface": lambda folder, _: ("model.safetensors", classifier(huggingface_folder(folder))),
    "open_clip": lambda folder, _: ("open_clip_model.safetensors", classifier(open_clip_folder(folder))),
    "clip": clip,
    "segmenter": segmenter,
    "prior": prior,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_bomb_a_cut_off_and_a_foreign_file_are_refused(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crater, folder = tmp_path / "crater", tmp_path / "weights"
    folder.mkdir()
    name, load = PLACES[place](folder, monkeypatch)
    (folder / name).parent.mkdir(exist_ok=True)
    torch.save({"state_dict": Bomb(crater), "weight": torch.ones(3)}, folder / name)
    bomb = (folder / name).read_bytes()
    torch.save({"weight": Bomb(crater)}, folder / name, _use_new_zipfile_serialization=False)
    legacy = (folder / name).read_bytes()
    for content in (bomb, legacy, bomb[: len(bomb) // 2], b"", b"<!DOCTYPE html><html>404</html>"):
        (folder / name).write_bytes(content)
        with pytest.raises(UserError) as caught:
            load()
        assert str(folder / name) in str(caught.value)
        assert "weights_only" not in str(caught.value), "torch's own message tells how to execute it"
        assert not crater.exists()
    (tmp_path / "bomb.pt").write_bytes(legacy)
    torch.load(tmp_path / "bomb.pt", weights_only=False)
    assert crater.exists(), "the bomb was a dud, so nothing was tested"


@pytest.mark.parametrize("place", ["huggingface", "clip", "segmenter", "prior"])
def test_of_another_networks_weights_the_first_five_are_named_and_the_rest_counted(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name, load = PLACES[place](tmp_path, monkeypatch)
    tensors = load_file(tmp_path / name)
    grown = {key: torch.cat([tensor] * 3) for key, tensor in tensors.items() if tensor.ndim and "bias" not in key}
    save_file(grown | {"stranger": torch.ones(3)}, tmp_path / name, {"format": "pt"})
    capfd.readouterr()
    with pytest.raises(UserError, match=r"(another shape of|conv_in\.weight) .* and \d+ more") as caught:
        load()
    assert len(str(caught.value)) < 2000
    assert len("".join(capfd.readouterr())) < 1000  # The libraries list every tensor.


@pytest.mark.parametrize(
    ("place", "pickled"),
    [
        ("huggingface", "pytorch_model.bin"),
        ("clip", "pytorch_model.bin"),
        ("segmenter", "pytorch_model.bin"),
        ("prior", "unet/diffusion_pytorch_model.bin"),
        ("prior", "text_encoder/pytorch_model.bin"),
        ("prior", "vae/diffusion_pytorch_model.bin"),
    ],
)
def test_a_pickle_in_place_of_the_safetensors_is_not_looked_at(
    place: str, pickled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crater, folder = tmp_path / "crater", tmp_path / "weights"
    folder.mkdir()
    _, load = PLACES[place](folder, monkeypatch)
    next((folder / pickled).parent.glob("*.safetensors")).unlink()
    torch.save({"weight": Bomb(crater)}, folder / pickled)
    with pytest.raises(UserError):
        load()
    assert not crater.exists()
