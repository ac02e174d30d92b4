"""CaffeNet against onnxruntime, layer by layer, and out of files as Caffe and ONNX write them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.classifiers.protobuf_files import caffenet_graph, write_caffemodel
from torch import Tensor

from diffexplain.classifiers import unit_modules
from diffexplain.classifiers.caffenet import CROP, CaffeNet, CaffePreprocessing, load_caffenet, read_caffenet
from diffexplain.classifiers.protobuf_weights import read_onnx
from diffexplain.errors import UserError

Weights = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Random, of a size that keeps activations near 1, so that an error of 1e-4 is one.

    But near 10 where they are first normalised, or the normalisation would do next to nothing.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        expected = CaffeNet().state_dict()
    values = {}
    for name, value in expected.items():
        inputs = value[0].numel() if value.ndim > 1 else 100
        values[name] = torch.randn(value.shape, generator=generator).mul_((2 / inputs) ** 0.5)
    values["conv1.weight"] /= 10  # its input is in 0 to 255
    values["conv2.weight"] /= 10
    return values


@pytest.fixture(scope="module")
def network(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> CaffeNet:
    """Out of a file such as the published one."""
    path = write_caffemodel(tmp_path_factory.mktemp("caffe") / "bvlc_reference_caffenet.caffemodel", weights)
    network = read_caffenet(path).requires_grad_(False)
    path.unlink()  # a quarter of a gigabyte
    return network


@pytest.fixture(scope="module")
def graph(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("onnx") / "caffenet.onnx"
    onnx.save(caffenet_graph(weights), path)
    yield path
    path.unlink()


def layers(network: CaffeNet, images: Tensor) -> dict[str, Tensor]:
    """Every layer's output under its name."""
    outputs = {}
    for name, module in network.named_children():
        images = outputs[name] = module(images)
    return outputs


def reference(graph: Path, images: Tensor) -> dict[str, np.ndarray]:
    """Every layer's output under its name, as onnxruntime computes it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {"data_0": images.numpy()}), strict=True))


def pictures(side: int) -> Tensor:
    """A random one, less a mean, (1, 3, side, side)."""
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 255 - 110


def test_every_layer_is_that_of_the_reference_network(network: CaffeNet, graph: Path) -> None:
    expected = reference(graph, pictures(CROP))
    outputs = layers(network, pictures(CROP))
    assert [*outputs, "prob_1"] == list(expected)
    for name, output in outputs.items():
        np.testing.assert_allclose(output.numpy(), expected[name], rtol=0, atol=1e-4, err_msg=name)
        assert output.std() > 0.05, f"{name} says nothing"
    assert (outputs["norm1"] - outputs["pool1"]).abs().max() > 0.01
    np.testing.assert_allclose(outputs["fc8"].softmax(dim=1).numpy(), expected["prob_1"], atol=1e-5)


def test_images_of_224_pixels_as_in_the_onnx_zoo_give_maps_of_the_same_size(
    weights: Weights, network: CaffeNet, tmp_path: Path
) -> None:
    convolutions = {name: value for name, value in weights.items() if name.startswith("conv")}
    graph = caffenet_graph(convolutions, side=224)
    del graph.graph.node[-6:], graph.graph.output[-6:]
    onnx.save(graph, tmp_path / "convolutions.onnx")
    expected = reference(tmp_path / "convolutions.onnx", pictures(224))
    outputs = layers(network, pictures(224))
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name].numpy(), value, rtol=0, atol=1e-4, err_msg=name)
    assert expected["pool5"].shape == (1, 256, 6, 6)


def test_both_published_forms_give_the_same_network(weights: Weights, network: CaffeNet, graph: Path) -> None:
    for state in (network.state_dict(), read_caffenet(graph).state_dict()):
        assert list(state) == list(weights)
        assert all(torch.equal(value, weights[name]) for name, value in state.items())


def test_the_classifier_is_the_network_behind_caffes_preprocessing(network: CaffeNet, graph: Path) -> None:
    source = {"repository": str(graph.parent), "files": [graph.name], "licence": "any", "megabytes": 244}
    classifier = load_caffenet(weights=[source])
    image = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(classifier(image), network(CaffePreprocessing()(image)))
    torch.testing.assert_close(
        classifier.activation(image, "conv5", 12),
        layers(network, CaffePreprocessing()(image))["conv5"][:, 12].mean(dim=(1, 2)),
    )
    assert classifier.labels.resolve("flagpole") == 557


def small(weights: Weights) -> dict[str, Tensor]:
    """Four outputs of every layer: the layers' names and order, but another network."""
    return {name: value[:4] for name, value in weights.items() if not name.startswith("fc")}


@pytest.mark.parametrize("old", [True, False])
def test_another_network_is_refused_with_what_was_expected_and_found(
    weights: Weights, tmp_path: Path, old: bool
) -> None:
    path = write_caffemodel(tmp_path / "other.caffemodel", small(weights), old)
    with pytest.raises(UserError) as caught:
        read_caffenet(path)
    assert str(path) in str(caught.value)
    assert "expected: conv1.weight 96x3x11x11, conv1.bias 96" in str(caught.value)
    assert "found:    conv1.weight 4x3x11x11, conv1.bias 4" in str(caught.value)
    graph = caffenet_graph(small(weights))
    del graph.graph.node[-6:]  # the three connected layers with what is between them
    path = tmp_path / "other.onnx"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(UserError, match="8 convolutions and matrix products\n  found:    5"):
        read_caffenet(path)


@pytest.mark.parametrize("suffix", [".caffemodel", ".onnx"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty|no layer|without one"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"\x80\x04\x95\x00\x00", "pickle"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, suffix: str, content: bytes, found: str) -> None:
    path = tmp_path / f"network{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=found) as caught:
        read_caffenet(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("old", [True, False])
def test_a_file_cut_off_anywhere_is_refused(weights: Weights, tmp_path: Path, old: bool) -> None:
    whole = write_caffemodel(tmp_path / "whole.caffemodel", small(weights), old).read_bytes()
    cut = tmp_path / "cut.caffemodel"
    for share in range(20):
        cut.write_bytes(whole[: len(whole) * share // 20])
        with pytest.raises(UserError, match="expected"):
            read_caffenet(cut)


def test_initialisers_may_be_packed_floats_and_a_product_the_other_way_round(tmp_path: Path) -> None:
    weights = {f"fc8.{kind}": torch.rand(shape) for kind, shape in (("weight", (5, 5)), ("bias", (5,)))}
    graph = caffenet_graph(weights, raw=False)
    gemm = next(node for node in graph.graph.node if node.name == "fc8")
    del graph.graph.node[:]
    graph.graph.node.append(gemm)
    path = tmp_path / "product.onnx"
    path.write_bytes(graph.SerializeToString())
    read = read_onnx(path, ["fc8"])
    assert all(torch.equal(read[name], value) for name, value in weights.items())
    del graph.graph.node[0].attribute[:]
    path.write_bytes(graph.SerializeToString())
    torch.testing.assert_close(read_onnx(path, ["fc8"])["fc8.weight"], weights["fc8.weight"].T)


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    graph = caffenet_graph({"fc8.weight": torch.rand(2, 2).double(), "fc8.bias": torch.rand(2)})
    del graph.graph.node[:-2], graph.graph.node[-1]
    path = tmp_path / "double.onnx"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(UserError, match=r"fc8\.weight in float32"):
        read_onnx(path, ["fc8"])


def test_preprocessing_is_caffes() -> None:
    prepare = CaffePreprocessing()
    red = torch.zeros(1, 3, 300, 400)
    red[:, 0] = 1
    prepared = prepare(red)
    assert prepared.shape == (1, 3, CROP, CROP)
    # BGR in 0 to 255, less the mean pixel.
    torch.testing.assert_close(prepared[0, :, 100, 100], torch.tensor([-104.0, -117.0, 255.0 - 123.0]))
    # A ramp of 256 columns needs no stretching: the crop begins at column (256 - 227) // 2.
    ramp = (torch.arange(256) / 255).expand(1, 3, 256, 256)
    torch.testing.assert_close(prepare(ramp)[0, 0, 0] + 104, torch.arange(14, 14 + CROP).float())
    # Enlarged twice by repetition, every sample lies between two equal pixels.
    torch.testing.assert_close(prepare(ramp.repeat_interleave(2, 2).repeat_interleave(2, 3)), prepare(ramp))
    # Nothing is rounded: stretched three times over, a ramp of bytes has values between them.
    slow = prepare((torch.arange(96) / 255).expand(1, 3, 96, 96))[0, 0, 0] + 104
    torch.testing.assert_close(slow.diff(), torch.full((CROP - 1,), 96 / 256), rtol=1e-3, atol=1e-4)
    # A third of the columns is looked at in an image three times as large: no filter against aliasing.
    comb = torch.zeros(1, 3, 768, 768)
    comb[..., 1::3] = 1
    assert (prepare(comb)[0, 0] == 255 - 104).all()


def test_gradients_reach_images_of_any_size(network: CaffeNet) -> None:
    images = torch.rand(1, 3, 64, 96, requires_grad=True)
    network(CaffePreprocessing()(images))[0, 557].backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_units_are_those_of_caffes_layers() -> None:
    units = unit_modules(load_caffenet(weights=[], meta=True))
    assert [units[name] for name in ("conv1", "pool2", "conv5", "fc6", "fc8")] == [96, 256, 256, 4096, 1000]
