"""Files such as Caffe and ONNX write them, made without the code that reads them."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor


def write_caffemodel(path: Path, weights: Mapping[str, Tensor], old: bool = True) -> Path:
    """A network of Caffe's, in the layout of 2014 or in the one that came after it.

    Args:
        path: where to.
        weights: `<layer>.weight` and `<layer>.bias`.
        old: `layers` with four-sided blobs, or `layer` with a shape of its own.
    """
    layers: dict[str, list[bytes]] = {}
    for name, value in weights.items():
        layers.setdefault(name.rpartition(".")[0], []).append(_blob(value, old))
    content = _text(1, "CaffeNet")
    for name, blobs in layers.items():
        if old:
            body = _text(2, "below") + _text(3, name) + _text(4, name) + _number(5, 4)
            content += _bytes(2, body + b"".join(_bytes(6, blob) for blob in blobs))
        else:
            body = _text(1, name) + _text(2, "Convolution") + _text(3, "below")
            content += _bytes(100, body + b"".join(_bytes(7, blob) for blob in blobs))
    path.write_bytes(content)
    return path


def caffenet_graph(weights: Mapping[str, Tensor], side: int = 227, raw: bool = True) -> onnx.ModelProto:
    """The reference network as an ONNX graph that gives every layer's output under the layer's name, and a softmax.

    Args:
        weights: `<layer>.weight` and `<layer>.bias`.
        side: of the images; at 224 what Caffe rounds up is padding, as in the ONNX zoo's file.
        raw: how the initialisers are stored, as bytes or as packed floats.
    """
    nodes = []
    last = "data_0"

    def add(operator: str, name: str, *inputs: str, **attributes: object) -> None:
        nonlocal last
        nodes.append(helper.make_node(operator, [last, *inputs], [name], name=name, **attributes))
        last = name

    def convolution(number: int, **attributes: object) -> None:
        add("Conv", f"conv{number}", f"conv{number}_w_0", f"conv{number}_b_0", **attributes)
        add("Relu", f"relu{number}")

    def pool(number: int, map_side: int) -> None:
        padding = (map_side - 3) % 2
        add("MaxPool", f"pool{number}", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, padding, padding])

    def normalise(number: int) -> None:
        add("LRN", f"norm{number}", size=5, alpha=1e-4, beta=0.75, bias=1.0)

    def connected(number: int) -> None:
        add("Gemm", f"fc{number}", f"fc{number}_w_0", f"fc{number}_b_0", transB=1)

    convolution(1, strides=[4, 4], kernel_shape=[11, 11])
    pool(1, (side - 11) // 4 + 1)
    normalise(1)
    convolution(2, pads=[2] * 4, group=2, kernel_shape=[5, 5])
    pool(2, 27)
    normalise(2)
    convolution(3, pads=[1] * 4, kernel_shape=[3, 3])
    convolution(4, pads=[1] * 4, group=2, kernel_shape=[3, 3])
    convolution(5, pads=[1] * 4, group=2, kernel_shape=[3, 3])
    pool(5, 13)
    add("Flatten", "flatten", axis=1)
    for number in (6, 7):
        connected(number)
        add("Relu", f"relu{number}")
    connected(8)
    add("Softmax", "prob_1", axis=1)

    initialisers = [_initialiser(name, value, raw) for name, value in weights.items()]
    values = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes]
    images = helper.make_tensor_value_info("data_0", TensorProto.FLOAT, ["batch", 3, side, side])
    graph = helper.make_graph(nodes, "bvlc_caffenet", [images], values, initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _initialiser(name: str, value: Tensor, raw: bool) -> TensorProto:
    layer, _, kind = name.rpartition(".")
    exported = f"{layer}_{kind[0]}_0"
    if raw:
        return numpy_helper.from_array(value.numpy(), exported)
    return helper.make_tensor(exported, TensorProto.FLOAT, value.shape, value.flatten().numpy())


def _blob(value: Tensor, old: bool) -> bytes:
    data = _bytes(5, value.numpy().astype("<f4").tobytes())
    if old:
        sides = (1,) * (4 - value.ndim) + tuple(value.shape)
        return b"".join(_number(1 + index, side) for index, side in enumerate(sides)) + data
    return data + _bytes(7, _bytes(1, b"".join(map(_varint, value.shape))))


def _varint(value: int) -> bytes:
    groups = []
    while True:
        value, group = value >> 7, value & 127
        groups.append(group | (128 if value else 0))
        if not value:
            return bytes(groups)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())
