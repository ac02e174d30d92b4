"""A network that a Python program holds: which run it is, what stays as it was, what is refused."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.pretend import ACCIDENT
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms import transforms as v1

from diffexplain import app, cli, explain, load_run
from diffexplain.classifiers import in_memory
from diffexplain.classifiers.preprocessing import preprocessing_from
from diffexplain.classifiers.transforms import settings_of
from diffexplain.errors import RetryableError, UserError

ROOT = Path(__file__).parents[2]
NAMES = ["pole", "bee", "wasp"]
PIXELS = {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]


class Reds(nn.Module):
    """The first class is the redder, the smaller `self.others`."""

    def __init__(self, classes: int = 3, width: int = 4, others: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(width, classes)
        self.register_buffer("shift", torch.zeros(classes), persistent=False)
        self.others, self.scale = others, torch.ones(classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean(dim=(2, 3))) * self.scale + self.shift * self.others


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`explain` of networks in a run that pretends."""
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    overrides = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "diffusion=pretend"]
    overrides += ["classifier.vocabulary=tests/conf/vocabulary.yaml", f"paths.outputs={tmp_path}"]
    return functools.partial(explain, *overrides, labels=NAMES, target="pole", transform=PIXELS)


def known_by(model: Any) -> Mapping[str, Any]:
    with in_memory.given(model) as keys:
        return {key: keys[key] for key in ("classifier.tensors", "classifier.code")}


def test_a_network_in_memory_is_explained_found_again_and_left_as_it_was(
    pretended: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Reds().double()
    network.head.weight.requires_grad_(False)
    monkeypatch.setenv(ACCIDENT, "retry")
    with pytest.raises(RetryableError):
        pretended(model=network)
    monkeypatch.delenv(ACCIDENT)
    summary = pretended(model=network)
    assert network.training and network.body[2].training
    assert [name for name, one in network.named_parameters() if not one.requires_grad] == ["head.weight"]
    assert {one.dtype for one in network.parameters()} == {torch.float64}
    assert load_run(summary, tmp_path).summary == summary
    assert len(list(tmp_path.glob("module/class-pole/pretend-*"))) == 1  # The attempt that failed was gone on with.
    assert "Reds" in summary.classifier.source and "in memory" in summary.classifier.facts["weights"]
    monkeypatch.setattr(app, "_make", lambda *_: pytest.fail("it was made again"))
    assert pretended(model=network.eval(), target=0) == summary


def test_the_command_of_such_a_run_says_who_can_repeat_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{key}={value}" for key, value in known_by(Reds()).items()]
    monkeypatch.setattr("diffexplain.config.fetch_command.require", lambda _: pytest.fail("it went on"))
    assert cli.run(["classifier=module", "classifier.network=my.Reds", *keys, "target=class:tench"]) == 2
    told = capsys.readouterr().err
    assert "explain(model=" in told and "my.Reds" in told


def changed(change: str) -> nn.Module:
    network = Reds(others=2.0) if change == "an attribute" else Reds()
    with torch.no_grad():
        match change:
            case "a weight":
                network.head.bias[0] += 1e-6
            case "a buffer in no checkpoint":
                network.shift += 1
            case "a tensor that is no buffer":
                network.scale[1] = 2
            case "the kind of a layer":
                network.body[1] = nn.Tanh()
            case "a layer's setting":
                network.body[2].p = 0.25
            case "a hook":
                network.head.register_forward_hook(lambda _module, _inputs, output: -output)
            case "a method":
                network.forward = lambda images: images.mean(dim=(2, 3))  # type: ignore[method-assign]
    return network


CHANGES = ("a weight", "a buffer in no checkpoint", "a tensor that is no buffer", "an attribute")
CHANGES += ("the kind of a layer", "a layer's setting", "a hook", "a method")


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_answer_makes_another_run(change: str) -> None:
    assert known_by(changed(change)) != known_by(Reds())


def test_what_changes_no_answer_makes_the_same_run() -> None:
    usual = known_by(Reds())
    network = Reds().eval().requires_grad_(False)
    network(torch.zeros(1, 3, 8, 8))
    assert known_by(network) == usual
    assert known_by(torch.compile(Reds())) == known_by(nn.DataParallel(Reds())) == usual


TYPED = """
import torch
from torch import nn

class Typed(nn.Module):
    @torch.no_grad()
    def forward(self, images):
        return images.mean(dim=(2, 3)) + SHIFT
"""


def test_code_without_a_source_is_known_as_it_was_compiled() -> None:
    def of(shift: str) -> Mapping[str, Any]:
        names: dict[str, Any] = {"__name__": "nowhere"}
        exec(compile(TYPED.replace("SHIFT", shift), "<typed>", "exec"), names)
        with pytest.warns(UserWarning, match=r"^The source of nowhere\.Typed cannot be had"):
            return known_by(names["Typed"]())

    assert of("0") == of("0") != of("1")


class Stuck(Reds):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = self.head(torch.ones(4))


REFUSED = [
    ({"model": lambda images: images}, "torch.nn.Module"),
    ({"model": Reds}, "torch.nn.Module"),
    ({"model": nn.Module()}, "has no forward"),
    ({"model": Reds(classes=4)}, "classifier.labels has 3 names"),
    ({"model": Reds().to("meta")}, "meta device"),
    ({"model": Stuck()}, "cannot be copied"),
    ({"model": Reds(), "labels": dict(enumerate(NAMES))}, "labels is a list of names"),
    ({"model": Reds(), "target": "pool"}, "no such class"),
    ({"model": Reds(), "target": "unit:bodi.0:1"}, "body.0"),
    ({"model": Reds(), "transform": {"sise": 32}}, "classifier.preprocessing.sise"),
    ({"model": Reds(), "transform": v2.RandomCrop(32)}, "cannot be redone"),
    ({"model": Reds(), "transform": v2.Compose([v2.Normalize(MEAN, STD), v2.Resize(32)])}, "cannot be redone"),
    ({"model": None}, "labels and transform are those of a model"),
]


@pytest.mark.parametrize(("said", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_cannot_be_explained_is_refused_and_leaves_nothing(
    said: dict[str, Any], told: str, pretended: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        pretended(**said)
    assert told in str(refused.value)
    assert not list(tmp_path.iterdir())


BYTES = v2.ToDtype(torch.uint8, scale=True)
FLOATS = v2.ToDtype(torch.float32, scale=True)
TRANSFORMS = [
    ResNet18_Weights.DEFAULT.transforms(),
    v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor(), v1.Normalize(MEAN, STD)]),
    v1.Compose([v1.Resize((32, 48), InterpolationMode.BICUBIC), v1.ToTensor()]),
    v1.Compose([v1.Resize((32, 32)), v1.Grayscale(), v1.ToTensor(), v1.Normalize([0.5], [0.25])]),
    v2.Compose(
        [v2.ToImage(), BYTES, v2.Resize(40, antialias=True), v2.CenterCrop(32), FLOATS, v2.Normalize(MEAN, STD)]
    ),
    v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([120.0] * 3, [60.0] * 3)]),
    nn.Sequential(v2.ToImage(), FLOATS, v2.Resize((32, 32)), v2.Normalize(torch.tensor(MEAN), torch.tensor(STD))),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=range(len(TRANSFORMS)))
def test_a_transform_of_torchvision_is_redone(transform: Any) -> None:
    noise = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0)), 96)
    values = (255 * noise[0]).round().byte()
    picture = Image.fromarray(values.permute(1, 2, 0).numpy())
    made = preprocessing_from(settings_of(transform))(values[None] / 255)[0]
    wanted = transform(picture)
    assert made.shape == wanted.shape
    step = 1 if wanted.max() > 10 else 1 / 255 / 0.2
    assert float((made - wanted).abs().max()) <= 1.01 * step
