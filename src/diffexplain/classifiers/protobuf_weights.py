"""Weights out of Caffe's and ONNX's files: protobuf messages, of which only the fields that hold weights are described.

The numbers of the fields are those of Caffe's `caffe.proto` and ONNX's `onnx.proto3`. What is not described is skipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffexplain.weights.files import refusal
from diffexplain.weights.protobuf import Fields, message_classes, parsed, parsed_graph

FIELDS: Fields = {
    # Caffe: `layers` are those of 2014 (the published files), `layer` those since.
    "NetParameter": {"layers": (2, "V1LayerParameter"), "layer": (100, "LayerParameter")},
    "V1LayerParameter": {"name": (4, "string"), "blobs": (6, "BlobProto")},
    "LayerParameter": {"name": (1, "string"), "blobs": (7, "BlobProto")},
    "BlobProto": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "data": (5, "bytes"),
        "shape": (7, "BlobShape"),
    },
    "BlobShape": {"dim": (1, "int64")},
    # ONNX.
    "ModelProto": {"graph": (7, "GraphProto")},
    "GraphProto": {"node": (1, "NodeProto"), "initializer": (5, "TensorProto")},
    "NodeProto": {"input": (1, "string"), "op_type": (4, "string"), "attribute": (5, "AttributeProto")},
    "AttributeProto": {"name": (1, "string"), "i": (3, "int64")},
    "TensorProto": {
        "dims": (1, "int64"),
        "data_type": (2, "int32"),
        "float_data": (4, "bytes"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
    },
}
"""What is read of each message. Packed floats are declared as bytes, which they are in
the file: that reads sixty million of them at once instead of one by one.
"""

ONNX_FLOAT = 1


def read_caffemodel(path: Path) -> dict[str, Tensor]:
    """`<layer>.weight` and `<layer>.bias`, in float32, of every layer that has weights.

    Raises:
        UserError: the file is cut off, is no Caffe network, or a blob has fewer values than its shape.
    """
    network = parsed(path, _messages()["NetParameter"], "a Caffe network")
    weights = {}
    for layer in (*network.layers, *network.layer):
        for kind, blob in zip(("weight", "bias"), layer.blobs, strict=False):
            name = f"{layer.name[-1] if layer.name else '(unnamed)'}.{kind}"
            # Older blobs have four sides whatever they hold: 1x1x1x96 for a bias.
            old = [(side or [1])[-1] for side in (blob.num, blob.channels, blob.height, blob.width)]
            sides = blob.shape[-1].dim if blob.shape else old
            weights[name] = _tensor(path, name, _without_leading_ones(sides), b"".join(blob.data))
    if not weights:
        raise refusal(path, "a Caffe network with weights", "no layer that has any")
    return weights


def read_onnx(path: Path, layers: Sequence[str]) -> dict[str, Tensor]:
    """`<layer>.weight` and `<layer>.bias`, in float32, of a graph's convolutions and matrix products: ``layers``.

    They are told by their place in the graph: the names in it are the exporter's.

    Raises:
        UserError: the file is cut off, is no ONNX graph, has other layers, or an initialiser is not float32 or has
            fewer values than its shape.
    """
    graph = parsed_graph(path, _messages()["ModelProto"]).graph[-1]
    initialisers = {value.name[-1]: value for value in graph.initializer if value.name}
    nodes = [node for node in graph.node if node.op_type and node.op_type[-1] in ("Conv", "Gemm")]
    if len(nodes) != len(layers):
        raise refusal(path, f"{len(layers)} convolutions and matrix products", f"{len(nodes)}")
    weights = {}
    for layer, node in zip(layers, nodes, strict=True):
        for kind, value in zip(("weight", "bias"), node.input[1:3], strict=False):
            name = f"{layer}.{kind}"
            if value not in initialisers:
                raise refusal(path, f"an initialiser for {name}", f"none of the name {value!r}")
            weights[name] = _initialiser(path, name, initialisers[value])
        if node.op_type[-1] == "Gemm" and not any(a.name == ["transB"] and a.i == [1] for a in node.attribute):
            weights[f"{layer}.weight"] = weights[f"{layer}.weight"].T.contiguous()
    return weights


@lru_cache(maxsize=1)
def _messages() -> dict[str, type[Any]]:
    return message_classes("weights", FIELDS)


def _without_leading_ones(sides: Sequence[int]) -> tuple[int, ...]:
    first = next((index for index, side in enumerate(sides) if side != 1), len(sides))
    return tuple(sides[first:])


def _initialiser(path: Path, name: str, value: Any) -> Tensor:
    if list(value.data_type) != [ONNX_FLOAT]:
        raise refusal(path, f"{name} in float32 (ONNX's data type {ONNX_FLOAT})", f"data type {list(value.data_type)}")
    return _tensor(path, name, tuple(value.dims), b"".join(value.raw_data) or b"".join(value.float_data))


def _tensor(path: Path, name: str, shape: tuple[int, ...], data: bytes) -> Tensor:
    values = np.frombuffer(data[: len(data) // 4 * 4], dtype="<f4")
    if len(data) != 4 * math.prod(shape):
        raise refusal(path, f"{math.prod(shape)} values for {name}", f"{len(data) / 4:g}")
    return torch.from_numpy(values.astype(np.float32).reshape(shape))  # a copy: the message goes
