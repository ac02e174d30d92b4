"""What docs/classifiers.md shows can be typed: every command of it, on small networks, until its run would begin."""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import pytest
import timm
import timm.models
import torch
from tests.classifiers import onnx_graphs
from torch import Tensor, nn
from torchvision import models
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from diffexplain import app, cli
from diffexplain.classifiers import Classifier, labels
from diffexplain.classifiers.preprocessing import preprocessing_from
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts
from diffexplain.pipelines.suitability import check_suitability
from diffexplain.report import load_run

PAGE = (Path(__file__).parents[2] / "docs" / "classifiers.md").read_text(encoding="utf-8")
NAMES = ["bee", "wasp", "hoverfly"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILES = {text.split()[1]: text for kind, text in BLOCK.findall(PAGE) if kind == "python"}
TYPED = "".join(text for kind, text in BLOCK.findall(PAGE) if not kind).replace("\\\n", "")
COMMANDS = [line for line in TYPED.splitlines() if line.startswith("diffexplain ")]
FETCHED = {one: other for one, other in pairwise(COMMANDS) if one.startswith("diffexplain fetch ")}
"""What brings a classifier, with the run that follows it."""
RUNS = [text for text in COMMANDS if text.startswith("diffexplain run ") and text not in FETCHED.values()]
TORCH, FUNCTION = RUNS[0], next(text for text in RUNS if "classifier=function" in text)
CONCEPTS = "concepts: [{name: companion, kind: object, children: [a flower, a tree]}]"
LOCALLY = ("diffusion=world", "trainer=cpu", "logger=local")


def table(heading: str) -> list[tuple[str, str]]:
    """The rows of the table of two columns under a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows: list[tuple[str, str]] = re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return rows[1:]


def overrides(command: str, *more: str) -> list[str]:
    """What a command gives, with ``more`` in the place of its own."""
    keys = [text.partition("=")[0] for text in more]
    return [*(text for text in shlex.split(command)[2:] if text.partition("=")[0] not in keys), *more]


@pytest.fixture(autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of somebody who follows the page: one for all tests, since Python keeps what it imports."""
    folder = tmp_path_factory.getbasetemp() / "follower"
    monkeypatch.chdir(_furnished(folder) if not folder.exists() else folder)
    return folder


def _furnished(folder: Path) -> Path:
    folder.mkdir()
    for name, source in FILES.items():
        (folder / name).write_text(source, encoding="utf-8")
    torch.manual_seed(0)
    own: dict[str, nn.Module] = {}
    exec(FILES["bees.py"], own)
    network = own["build"]()
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer_states": [{"lr": 0.1}]}, folder / "best.ckpt")
    first, second = (timm.create_model("resnet18", num_classes=3).state_dict() for _ in range(2))
    saved = {"arch": "resnet18", "args": Namespace(lr=0.1), "state_dict": first, "state_dict_ema": second}
    torch.save(saved, folder / "model_best.pth.tar")
    torch.save(models.mobilenet_v3_small(num_classes=3).state_dict(), folder / "finetuned.pth")
    small = timm.create_model("test_resnet", num_classes=3)
    timm.models.save_for_hf(small, folder / "my_timm", model_config={"label_names": NAMES}, safe_serialization=True)
    vit = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = ViTConfig(**vit, image_size=32, patch_size=8, id2label=dict(enumerate(NAMES)))
    ViTForImageClassification(config).save_pretrained(folder / "my_vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "my_vit")
    onnx_graphs.write(folder / "model.onnx", ("batch", 3, 32, 32))
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return folder


def prepared(command: str, *more: str) -> Classifier:
    """The classifier of a command, after all that is looked at before its run begins."""
    config = configuration.compose(overrides(command, *LOCALLY, *more))
    target = app.resolve_target(config)
    assert target.class_name == "bee"
    classifier: Classifier = Parts().classifier(config["classifier"], config["plugins"])
    check_suitability(config, target, classifier, config["plugins"])
    return classifier


def test_each_way_takes_ten_lines_at_most() -> None:
    ways = PAGE.split("\n## In ten lines\n")[1].split("\n## ")[0].split("\n### ")[1:]
    assert len(ways) == 7
    for way in ways:
        code = "".join(text for kind, text in BLOCK.findall(way) if kind)
        for command in (text for kind, text in BLOCK.findall(way) if not kind):
            assert len((code + command).splitlines()) <= 10


@pytest.mark.parametrize("command", RUNS)
def test_each_command_comes_to_the_beginning_of_its_run(command: str) -> None:
    classifier = prepared(command)
    assert list(classifier.labels.names) == NAMES
    assert classifier.inspection is not None and classifier.inspection.output == "softmax"


def test_the_weights_are_those_of_the_file_that_is_named(folder: Path) -> None:
    saved = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(prepared(TORCH).backbone.state_dict()["4.bias"], saved["model.4.bias"])
    average = torch.load(folder / "model_best.pth.tar", weights_only=False)["state_dict_ema"]
    command = next(text for text in RUNS if "state_dict_ema" in text)
    assert torch.equal(prepared(command).backbone.state_dict()["fc.bias"], average["fc.bias"])


@pytest.mark.parametrize(("fetch", "run"), FETCHED.items())
def test_what_needs_a_download_says_how_to_bring_it(fetch: str, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(overrides(run, *LOCALLY)) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in shlex.split(fetch)), told


def test_a_function_is_explained_to_the_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "concepts.yaml").write_text(CONCEPTS)
    quick = ("classifier.hierarchy=concepts.yaml", "effects.images=2", "effects.smallest=2", "explainer.beam=0")
    assert cli.run(overrides(FUNCTION, *LOCALLY, *quick)) == 0
    run = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    effects = load_run(run).summary.effects
    assert effects is not None and [concept.text for concept in effects.rankings[0].concepts] == ["a flower", "a tree"]


def test_what_passes_no_gradient_is_told_the_two_remedies_of_the_page() -> None:
    with pytest.raises(UserError, match=r"gradient=spsa.*explainer=diffex"):
        prepared(FUNCTION, "explainer=diffexplainer")
    prepared(FUNCTION, "explainer=diffexplainer", "gradient=spsa")


@pytest.mark.parametrize(("said", "keys"), table("What goes in"))
def test_preprocessing_is_said_with_these_keys(said: str, keys: str) -> None:
    given = [f"classifier.preprocessing.{key}" for key in re.findall(r"`(.+?)`", keys)]
    config = configuration.compose(overrides(TORCH, *LOCALLY, *given))
    colour = torch.tensor([0.2, 0.4, 0.6])
    picture = colour.view(1, 3, 1, 1).expand(1, 3, 300, 400)
    made = preprocessing_from(config["classifier"]["preprocessing"])(picture)
    usual = (colour - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    brightness = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    known: dict[str, tuple[tuple[int, int], Tensor]] = {
        "224 pixels out of 256": ((224, 224), usual),
        "the whole picture, squeezed": ((192, 256), usual),
        "-1 to 1": ((224, 224), 2 * colour - 1),
        "0 to 1": ((224, 224), colour),
        "0 to 255, BGR, by OpenCV": ((224, 224), 255 * colour.flip(0)),
        "one channel, the brightness": ((224, 224), torch.tensor([(brightness - 0.5) / 0.25])),
        "pictures as they are, the rest is in `forward`": ((300, 400), colour),
    }
    size, expected = known[said]
    assert made.shape[-2:] == size
    # The brightness is rounded to one of 256 values, as PIL's is.
    torch.testing.assert_close(made[0, :, 0, 0], expected, atol=0.01 if len(expected) == 1 else 1e-4, rtol=0)


@pytest.mark.parametrize(("given", "answer"), table("What is refused, and when"))
def test_what_is_refused_leaves_nothing_behind(
    given: str, answer: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = re.findall(r"\w[\w.]*=(?:\[.*?\]|\{.*?\}|[^ ]+)", given.strip("`"))
    assert cli.run(overrides(TORCH, *LOCALLY, *more, f"paths.outputs={folder}/none")) == 2
    assert answer in capsys.readouterr().err
    assert not (folder / "none").exists()


def test_every_form_of_a_file_of_names_is_on_the_page() -> None:
    assert "".join(f"{form}\n" for form in labels.FORMS) in PAGE


def test_targets_are_typed_as_on_the_page() -> None:
    section = PAGE.split("A class is typed as it is written")[1].split("`diffexplain list classes")[0]
    given = 'classifier.labels=["carpenter\'s kit", bee, "R&B, soul", "n02206856 fly", "1"]'
    typed = [shlex.split(text)[0] for text in re.findall(r"`([^`]*(?:target=|class:)[^`]*)`", section)]
    wanted = [text if text.startswith("target=") else f"target={text}" for text in typed]
    found = [app.resolve_target(configuration.compose(overrides(TORCH, given, text, *LOCALLY))) for text in wanted]
    assert [target.class_index for target in found] == [0, 2, 3, 1, 4]
