"""The files that an ONNX graph consists of: its own, and those beside it that hold its large tensors; without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffexplain.errors import UserError
from diffexplain.weights.protobuf import Fields, message_classes, parsed_graph

FIELDS: Fields = {
    "ModelProto": {"graph": (7, "GraphProto"), "functions": (25, "FunctionProto")},
    "FunctionProto": {"node": (7, "NodeProto")},
    "GraphProto": {
        "node": (1, "NodeProto"),
        "initializer": (5, "TensorProto"),
        "sparse_initializer": (15, "SparseTensorProto"),
    },
    "NodeProto": {"attribute": (5, "AttributeProto")},
    "AttributeProto": {
        "t": (5, "TensorProto"),
        "g": (6, "GraphProto"),
        "tensors": (10, "TensorProto"),
        "graphs": (11, "GraphProto"),
        "sparse_tensor": (22, "SparseTensorProto"),
        "sparse_tensors": (23, "SparseTensorProto"),
    },
    "SparseTensorProto": {"values": (1, "TensorProto"), "indices": (2, "TensorProto")},
    "TensorProto": {"external_data": (13, "StringStringEntryProto")},
    "StringStringEntryProto": {"key": (1, "string"), "value": (2, "string")},
}
"""Where ONNX's `onnx.proto3` may name another file; a graph may hold graphs."""


def onnx_files(path: Path) -> list[Path]:
    """The graph's file and every file beside it that holds tensors of it, by name.

    Raises:
        UserError: it cannot be read or is no ONNX graph; or a file that it names is missing or not in its folder.
    """
    model = parsed_graph(path, message_classes("onnx_files", FIELDS)["ModelProto"])
    names = sorted({name for name in _locations(model) if name})
    for name in names:
        beside = path.parent / name
        if not beside.resolve().is_relative_to(path.parent.resolve()):
            raise UserError(f"{path} names a file outside its own folder for its tensors.", given=name)
        if not beside.is_file():
            message = f"{path} keeps tensors in a file that is not beside it: copy the whole folder."
            raise UserError(message, given=name)
    return [path, *(path.parent / name for name in names)]


def _locations(message: Any) -> Iterator[str]:
    """The `location` of every tensor inside a message."""
    entries = getattr(message, "external_data", ())
    yield from (entry.value[-1] for entry in entries if list(entry.key) == ["location"] and entry.value)
    for field, values in message.ListFields():
        if field.message_type is not None:
            for value in values:
                yield from _locations(value)
