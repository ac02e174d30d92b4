"""Classifiers that are asked and not looked into: ONNX graphs, computed by onnxruntime, and functions of the user's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests import own_black_boxes
from tests.classifiers import onnx_graphs
from torch import Tensor

from diffexplain import app, cli
from diffexplain.classifiers import Classifier, load_function, load_onnx
from diffexplain.classifiers.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts
from diffexplain.weights.onnx import onnx_files

NAMES = ["red", "green", "blue"]


def overrides(path: Path, *settings: str) -> list[str]:
    labels = f"classifier.labels=[{','.join(NAMES)}]"
    own = [f"classifier.{setting}" for setting in settings]
    return ["classifier=onnx", f"classifier.checkpoint={path}", labels, "diffusion=world", *own]


def loaded(path: Path, *settings: str) -> Classifier:
    """As a run has it: from the command line, and inspected."""
    config = configuration.compose(overrides(path, *settings))
    classifier: Classifier = Parts().classifier(config["classifier"], config["plugins"])
    return classifier


def pictures(count: int = 5, side: int = 8) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def normalised(images: Tensor) -> Tensor:
    return (images - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)


def agrees(found: Tensor, given: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found.double(), onnx_graphs.by_hand(given), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("batch", ["batch", None, 1, 2, 8])
@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "NHWC"])
def test_a_graph_answers_any_number_of_pictures_in_the_layout_and_size_that_it_shows(
    tmp_path: Path, batch: Any, last: bool
) -> None:
    shape = (batch, 8, 8, 3) if last else (batch, 3, 8, 8)
    classifier = loaded(onnx_graphs.write(tmp_path / "model.onnx", shape, last=last))
    agrees(classifier(pictures()), normalised(pictures()))
    assert classifier(pictures(3, side=20)).shape == (3, 3)


def test_bytes_are_given_as_bytes(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx", ("n", 8, 8, 3), TensorProto.UINT8, last=True)
    agrees(loaded(path)(pictures()), (255 * pictures()).round(), 1e-4)


@pytest.mark.parametrize(("type", "tolerance"), [(TensorProto.FLOAT16, 1e-2), (TensorProto.DOUBLE, 1e-6)])
def test_pictures_are_given_in_the_graphs_own_type(tmp_path: Path, type: int, tolerance: float) -> None:
    classifier = loaded(onnx_graphs.write(tmp_path / "model.onnx", type=type))
    agrees(classifier(pictures()), normalised(pictures()).double(), tolerance)


def test_one_channel_is_the_brightness(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx", ("n", 1, 8, 8))
    classifier = loaded(
        path, "preprocessing.mean=[0.5]", "preprocessing.std=[0.25]", "preprocessing.bytes_between=false"
    )
    grey = (pictures() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(dim=1, keepdim=True)
    agrees(classifier(pictures()), (grey - 0.5) / 0.25)


def test_what_the_graph_leaves_open_is_said(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx", ("n", "channels", "height", "width"))
    settings = ("layout=NCHW", "preprocessing.size=8", "preprocessing.mean=null", "preprocessing.std=null")
    agrees(loaded(path, *settings, "preprocessing.channels=BGR")(pictures()), pictures().flip(1))


def test_a_wide_picture_is_squeezed_where_the_graph_takes_no_square(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx", ("n", 3, 8, 4))
    assert loaded(path).preprocess(pictures()).shape == (5, 3, 8, 4)


def test_of_several_outputs_the_logits_are_read(tmp_path: Path) -> None:
    classifier = loaded(onnx_graphs.write(tmp_path / "model.onnx", outputs=("twice", "logits")))
    agrees(classifier(pictures()), normalised(pictures()))


def test_tensors_in_other_files_are_read_and_known_as_the_graphs(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx", beside="weights.bin")
    agrees(loaded(path)(pictures()), normalised(pictures()))
    assert [file.name for file in onnx_files(path)] == ["model.onnx", "weights.bin"]
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UserError, match=r"not beside it[^$]*weights\.bin"):
        loaded(path)


def test_tensors_of_a_loops_body_count_too(tmp_path: Path) -> None:
    inner = onnx.load(onnx_graphs.write(tmp_path / "inner.onnx", beside="deep.bin"), load_external_data=False)
    branch = helper.make_node("If", ["condition"], ["out"], then_branch=inner.graph, else_branch=inner.graph)
    outer = helper.make_model(helper.make_graph([branch], "outer", [], []))
    (tmp_path / "outer.onnx").write_bytes(outer.SerializeToString())
    assert [file.name for file in onnx_files(tmp_path / "outer.onnx")] == ["outer.onnx", "deep.bin"]


def test_a_graph_cannot_read_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    path = onnx_graphs.write(tmp_path / "inside" / "model.onnx", beside="weights.bin")
    (tmp_path / "inside" / "weights.bin").rename(tmp_path / "weights.bin")
    path.write_bytes(path.read_bytes().replace(b"weights.bin", b"../weights!").replace(b"weights!", b"weights."))
    with pytest.raises(UserError, match="outside its own folder"):
        onnx_files(path)


FLOATS = ("n", 3, 8, 8)


@pytest.mark.parametrize(
    ("shape", "type", "settings", "message"),
    [
        (FLOATS, TensorProto.FLOAT, ("layout=NHWC",), "takes 8 in the layout NHWC"),
        (FLOATS, TensorProto.FLOAT, ("layout=CHW",), "no such layout"),
        (FLOATS, TensorProto.FLOAT, ("preprocessing.size=16",), "8x8 pixels"),
        (FLOATS, TensorProto.FLOAT, ("preprocessing.size=16", "preprocessing.crop=10"), "8x8 pixels"),
        (FLOATS, TensorProto.FLOAT, ("preprocessing.mean=[0.5]", "preprocessing.std=[0.5]"), "3 channels"),
        (FLOATS, TensorProto.FLOAT, ("preprocessing.scale=255",), "in the unit of scale"),
        (FLOATS, TensorProto.INT32, (), "type that is not supported"),
        (FLOATS, TensorProto.UINT8, ("preprocessing.mean=[0.5,0.5,0.5]",), "normalises them itself"),
        (FLOATS, TensorProto.UINT8, ("preprocessing.scale=1",), "normalises them itself"),
        (("n", 1, 8, 8), TensorProto.FLOAT, (), "does not say how they are normalised"),
        (("n", 3, None, None), TensorProto.FLOAT, (), "any size"),
        (("n", 3, 8, 3), TensorProto.FLOAT, (), "classifier.layout"),
        (("n", None, 8, 8), TensorProto.FLOAT, (), "classifier.layout"),
        (("n", 4, 8, 8), TensorProto.FLOAT, ("layout=NCHW",), "one channel or three"),
    ],
)
def test_a_graph_that_says_otherwise_than_the_user_or_too_little_is_refused(
    tmp_path: Path, shape: Any, type: int, settings: tuple[str, ...], message: str
) -> None:
    path = tmp_path / "model.onnx"
    if shape[1] in (1, 3) and type != TensorProto.INT32:
        onnx_graphs.write(path, shape, type)
    else:
        write_any(path, shape, type)
    with pytest.raises(UserError, match=message):
        loaded(path, *settings)


def write_any(path: Path, *inputs: Any) -> None:
    """A graph that does nothing with inputs of any shape and type."""
    pairs = list(zip(inputs[::2], inputs[1::2], strict=True))
    values = [helper.make_tensor_value_info(f"in{at}", type, shape) for at, (shape, type) in enumerate(pairs)]
    nodes = [helper.make_node("Identity", [f"in{at}"], [f"out{at}"]) for at in range(len(pairs))]
    outs = [helper.make_tensor_value_info(f"out{at}", type, shape) for at, (shape, type) in enumerate(pairs)]
    graph = helper.make_graph(nodes, "any", values, outs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_what_takes_no_pictures_is_refused(tmp_path: Path) -> None:
    write_any(tmp_path / "two.onnx", FLOATS, TensorProto.FLOAT, ("n", 2), TensorProto.FLOAT)
    write_any(tmp_path / "rows.onnx", ("n", 192), TensorProto.FLOAT)
    for name in ("two.onnx", "rows.onnx"):
        with pytest.raises(UserError, match="other things than pictures"):
            loaded(tmp_path / name)


def test_another_number_of_names_is_refused(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx")
    with pytest.raises(UserError, match="2 names"):
        loaded(path, "labels=[red,green]")


@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x80\x04pickle"])
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.onnx"):
        loaded(tmp_path / "model.onnx")


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    path = onnx_graphs.write(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperation"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="onnxruntime cannot load"):
        loaded(path)


def test_without_onnxruntime_the_command_that_brings_it_is_named_before_the_file_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'diffexplain\[onnx\]'"):
        load_onnx(str(tmp_path / "missing.onnx"), labels=NAMES, preprocessing={"size": 8})


def test_a_black_box_has_no_units_and_says_so_without_reading_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = overrides(onnx_graphs.write(tmp_path / "model.onnx"))
    config = configuration.compose([*given, "target=unit:conv1:3"])
    with pytest.raises(UserError, match="cannot be reached"):
        app.check_unit(app.resolve_target(config), config["classifier"])
    assert cli.main(["list", "units", *given]) == 2
    assert "cannot be reached" in capsys.readouterr().err


FUNCTIONS: dict[str, Any] = {"labels": NAMES, "plugins": ["tests"]}


@pytest.mark.parametrize("name", ["colours", "colours_by_torch"])
def test_a_function_is_given_pictures_as_they_are_and_answers_in_arrays_or_tensors(name: str) -> None:
    classifier = load_function(f"tests.own_black_boxes.{name}", **FUNCTIONS)
    images = pictures(side=12).requires_grad_()
    expected = torch.from_numpy(own_black_boxes.colours(images.detach())).float()
    found = classifier(images)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.own_black_boxes.Part", "classifier.network"),
        ("tests.own_classifiers.ready", "class or function|classifier.network"),
        ("tests.own_black_boxes.nothing", "called with pictures alone"),
        ("tests.own_black_boxes.missing", "names nothing"),
        ("tests.own_black_boxes.SIDE", "class or function"),
        ("numpy.mean", "plugins"),
    ],
)
def test_what_is_no_function_of_pictures_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_function(name, **FUNCTIONS)


def test_arrays_that_look_at_another_backwards_are_read() -> None:
    from diffexplain.classifiers.black_box import BlackBox

    found = BlackBox(lambda images: np.arange(6.0).reshape(2, 3)[:, ::-1])(torch.zeros(2, 3, 4, 4))
    assert found.tolist() == [[2, 1, 0], [5, 4, 3]]
