"""Classifiers from every source, as small networks with random weights in the libraries' own formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import timm.models
import torch
from safetensors.torch import save_file
from tests import own_classifiers
from torchvision import models
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from diffexplain import app
from diffexplain.classifiers import Classifier, load_checkpoint, load_clip, load_torchvision, unit_modules
from diffexplain.classifiers.labels import classifier_labels
from diffexplain.cli import listing
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts, loading
from diffexplain.world.held_out import scenes_and_seeds
from diffexplain.world.render import render_images
from experiments.world.worlds import FAIR_WORLD

NAMES = ["a red kite", "a snail", "an old boot"]


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def torchvision_folder(folder: Path) -> list[str]:
    network = models.get_model("mobilenet_v3_small", weights=None)
    torch.save(network.state_dict(), folder / "weights.pth")
    return ["classifier=torchvision", "classifier.model=mobilenet_v3_small"]


def timm_folder(folder: Path) -> list[str]:
    network = timm.create_model("test_resnet", pretrained=False, num_classes=3)
    timm.models.save_for_hf(network, folder, model_config={"label_names": NAMES}, safe_serialization=True)
    return ["classifier=timm", f"classifier.model={folder}"]


def huggingface_folder(folder: Path) -> list[str]:
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(NAMES)),
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return ["classifier=huggingface", f"classifier.model={folder}"]


def open_clip_folder(folder: Path) -> list[str]:
    tower = {"width": 32, "layers": 2, "heads": 2}
    configuration = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, **tower},
    }
    content = {"model_cfg": configuration, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return ["classifier=open_clip", f"classifier.model={folder}", f"classifier.labels=[{','.join(NAMES)}]"]


def clip_folder(folder: Path) -> list[str]:
    return ["classifier=clip", "classifier.model=embedded:clip", f"classifier.labels=[{','.join(NAMES)}]"]


def own_folder(folder: Path) -> list[str]:
    save_file(own_classifiers.build(width=5).state_dict(), folder / "own.safetensors")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    return [
        "classifier=checkpoint",
        "classifier.network=tests.own_classifiers.build",
        "classifier.arguments={width: 5}",
        f"classifier.checkpoint={folder / 'own.safetensors'}",
        f"classifier.labels={folder / 'names.txt'}",
        "plugins=[tests]",
    ]


SOURCES: dict[str, Callable[[Path], list[str]]] = {
    "timm": timm_folder,
    "huggingface": huggingface_folder,
    "open_clip": open_clip_folder,
    "clip": clip_folder,
    "checkpoint": own_folder,
}


@pytest.fixture(params=sorted(SOURCES))
def overrides(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    return [*SOURCES[request.param](tmp_path), "diffusion=world"]


def loaded(overrides: list[str], **more: Any) -> Classifier:
    config = configuration.compose(overrides)
    node = loading(config["classifier"], config["plugins"], **more)
    classifier: Classifier = Parts().build("classifier", node, config["plugins"])
    return classifier


def test_a_classifier_of_any_source_answers_pictures_of_any_size_with_gradients(overrides: list[str]) -> None:
    classifier = loaded(overrides)
    images = torch.rand(2, 3, 70, 50, requires_grad=True)
    logits = classifier(images)
    assert logits.shape == (2, 3)
    assert not torch.equal(logits[0], logits[1])
    logits[:, 0].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    torch.testing.assert_close(loaded(overrides)(images), logits)


def test_class_names_of_any_source_are_known_before_it_is_loaded(overrides: list[str]) -> None:
    known = classifier_labels(configuration.compose(overrides)["classifier"])
    assert known.names == tuple(NAMES)
    assert loaded(overrides).labels.names == known.names
    assert any("a snail" in line for line in listing.classes(overrides))


def test_units_of_any_source_are_known_without_weights(overrides: list[str]) -> None:
    config = configuration.compose(overrides)
    units = app.shapes(config["classifier"], config["plugins"])
    classifier = loaded(overrides)
    assert units == unit_modules(classifier)
    assert units
    assert all(parameter.is_meta for parameter in loaded(overrides, meta=True).parameters())
    for path in list(units)[:: max(len(units) // 8, 1)]:
        activation = classifier.activation(torch.rand(2, 3, 40, 40), path, units[path] - 1)
        assert activation.shape == (2,)
    last = list(units)[-1]
    assert any(last in line and str(units[last]) in line for line in listing.units(overrides))


def test_a_wrong_unit_is_refused_without_loading(overrides: list[str]) -> None:
    config = configuration.compose([*overrides, "target=unit:nowhere:0"])
    with pytest.raises(UserError, match="no such module"):
        app.check_unit(app.resolve_target(config), config["classifier"], config["plugins"])


def test_torchvision_has_its_weights_names_and_preprocessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*torchvision_folder(tmp_path), "diffusion=world"]
    monkeypatch.setattr(
        "diffexplain.classifiers.torchvision_models.source_path", lambda *_, **__: tmp_path / "weights.pth"
    )
    classifier = loaded(overrides)
    state = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert all(torch.equal(value, state[name]) for name, value in classifier.backbone.state_dict().items())
    assert classifier.preprocess.size == [256] and classifier.preprocess.crop == [224]
    assert classifier.labels.names[557] == "flagpole"
    assert len(unit_modules(loaded(overrides, meta=True))) > 50


@pytest.mark.parametrize("name", ["alexnet", "resnet50", "vit_b_16", "convnext_tiny"])
def test_ready_classifiers_of_torchvision_name_their_weights_and_prior(name: str) -> None:
    config = configuration.compose([f"classifier={name}"])
    assert config["diffusion"]["name"] == "sd14_lcm"
    node = config["classifier"]
    entry = models.get_model_weights(name)[node["version"]]
    assert [source["url"] for source in node["weights"]] == [entry.url]
    classifier = load_torchvision(name, version=node["version"], meta=True)
    assert unit_modules(classifier)


def test_an_unknown_torchvision_classifier_names_the_nearest_before_anything_is_loaded() -> None:
    with pytest.raises(UserError) as caught:
        configuration.compose(["classifier=torchvision", "classifier.model=resnet5O"])
    assert "resnet50" in caught.value.nearest


def test_the_worlds_clip_tells_the_worlds_objects_apart() -> None:
    names = ["bee", "umbrella", "padlock", "mushroom"]
    classifier = load_clip(
        "embedded:clip", labels=names, templates=["a photo of a {}"], weights=[{"repository": "embedded:clip"}]
    )
    scenes, seeds = scenes_and_seeds(240, stream=6, world=FAIR_WORLD)
    chosen = [(scene, seed) for scene, seed in zip(scenes, seeds, strict=True) if scene.subject in names]
    images = torch.from_numpy(render_images(*zip(*chosen, strict=True))).permute(0, 3, 1, 2) / 255
    found = [names[index] for index in classifier(images).argmax(dim=1)]
    right = [name == scene.subject for name, (scene, _) in zip(found, chosen, strict=True)]
    assert len(right) >= 50 and sum(right) / len(right) >= 0.6  # By chance it would be a quarter.


def test_more_templates_are_averaged() -> None:
    def logits(templates: list[str]) -> torch.Tensor:
        source = [{"repository": "embedded:clip"}]
        return load_clip("", labels=["bee", "kite"], templates=templates, weights=source).backbone.text_features

    first, second, both = logits(["a {}"]), logits(["a photo of a {}"]), logits(["a {}", "a photo of a {}"])
    torch.testing.assert_close(both, torch.nn.functional.normalize(first + second, dim=-1))
    with pytest.raises(UserError, match="template"):
        logits(["a photo"])


PLAIN: dict[str, Any] = {"preprocessing": {"size": 16}, "labels": NAMES, "plugins": ["tests"]}


def test_an_object_of_the_users_needs_no_file() -> None:
    classifier = load_checkpoint("tests.own_classifiers.ready", **PLAIN)
    images = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(classifier(images), own_classifiers.ready(classifier.preprocess(images)))
    assert all(parameter.requires_grad for parameter in own_classifiers.ready.parameters())


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_of_tensors_is_read_as_training_wrote_it(tmp_path: Path, wrapped: bool) -> None:
    network = own_classifiers.build()
    state = {f"module.{name}" if wrapped else name: value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "own.pt")
    classifier = load_checkpoint("tests.own_classifiers.build", checkpoint=str(tmp_path / "own.pt"), **PLAIN)
    torch.testing.assert_close(classifier.backbone.state_dict(), network.state_dict())


class Bomb:
    """A pickle that would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "boom")


def test_a_pickle_with_anything_else_is_not_executed(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "crater")}, tmp_path / "own.pt")
    with pytest.raises(UserError, match=r"own\.pt"):
        load_checkpoint("tests.own_classifiers.build", checkpoint=str(tmp_path / "own.pt"), **PLAIN)
    assert not (tmp_path / "crater").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "tests.own_classifiers.number"}, "class or function"),
        ({"network": "tests.own_classifiers.missing"}, "names nothing"),
        ({"network": "os.system"}, "plugins"),
        ({"network": "tests.own_classifiers.build", "checkpoint": "no.safetensors"}, "no file"),
    ],
)
def test_what_is_wrong_with_a_classifier_of_the_users_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_checkpoint(**{**PLAIN, **changes})


def test_a_configuration_cannot_name_plugins_of_its_own() -> None:
    config = configuration.compose(["classifier=checkpoint", "diffusion=world"])
    node = {**config["classifier"], "plugins": ["os"]}
    with pytest.raises(UserError, match="run alone"):
        Parts().build("classifier", loading(node, []), [])


def test_weights_of_another_network_or_cut_off_are_refused(tmp_path: Path) -> None:
    config = configuration.compose([*timm_folder(tmp_path), "diffusion=world"])["classifier"]
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        Parts().build("classifier", loading(config, []), [])
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="does not fit"):
        Parts().build("classifier", loading(config, []), [])


def test_a_transformers_model_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    overrides = [*huggingface_folder(tmp_path), "diffusion=world"]
    save_file({"classifier.bias": torch.zeros(3)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"found:    no classifier\.weight"):
        loaded(overrides)


def test_a_zero_shot_clip_cannot_be_made_of_another_model(tmp_path: Path) -> None:
    huggingface_folder(tmp_path)
    with pytest.raises(UserError, match="another model"):
        load_clip("x", labels=NAMES, weights=[{"repository": str(tmp_path)}])
