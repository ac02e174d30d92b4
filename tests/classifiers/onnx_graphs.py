"""Small ONNX graphs whose answer is known by hand: linear in the mean of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

WEIGHT = np.array([[3.0, -1.0, 0.5], [0.25, 2.0, -2.0], [-1.0, 0.5, 4.0]], dtype=np.float32)
"""(channels, classes)"""
BIAS = np.array([0.1, -0.2, 0.3], dtype=np.float32)
NUMPY = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64}


def by_hand(pictures: Tensor) -> Tensor:
    """Logits of what the graph is given, channels first."""
    means = pictures.double().mean(dim=(2, 3))
    return means @ Tensor(WEIGHT[: means.shape[1]]).double() + Tensor(BIAS).double()


def write(
    path: Path,
    shape: Sequence[int | str | None] = ("batch", 3, 8, 8),
    type: int = TensorProto.FLOAT,
    *,
    last: bool = False,
    beside: str | None = None,
    outputs: Sequence[str] = ("logits",),
) -> Path:
    """A graph that takes pictures of this shape and type.

    Args:
        path: where to.
        shape: of the input; names and None are open.
        type: of the input.
        last: the channels are the last dimension.
        beside: the file that keeps the weight; None: the graph itself.
        outputs: `logits` and `twice`, which is twice as large.
    """
    channels = shape[3 if last else 1]
    weight = WEIGHT[: channels if isinstance(channels, int) else 3]
    inner = TensorProto.FLOAT if type == TensorProto.UINT8 else type
    nodes = [
        helper.make_node("Cast", ["pictures"], ["values"], to=inner),
        helper.make_node("ReduceMean", ["values"], ["means"], axes=[1, 2] if last else [2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weight"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("Add", ["logits", "logits"], ["twice"]),
    ]
    constants = {"weight": weight, "bias": BIAS}
    initialisers = [numpy_helper.from_array(value.astype(NUMPY[inner]), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pictures", type, list(shape))],
        [helper.make_tensor_value_info(name, inner, [shape[0], 3]) for name in outputs],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    if beside is None:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=beside, size_threshold=0)
    return path
