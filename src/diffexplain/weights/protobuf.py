"""Protobuf messages of other people's formats, of which only the fields that are read are described; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

from diffexplain.errors import UserError
from diffexplain.weights.files import describe_start, refusal

Fields = Mapping[str, Mapping[str, tuple[int, str]]]
"""For each message its fields, with number and type: another message, or one of protobuf's own.

All are declared repeated, so a single value is a list of one. What is not described is skipped.
"""


def message_classes(name: str, fields: Fields) -> dict[str, type[Any]]:
    """The class of each message of a format called ``name``, to parse with."""
    description = FileDescriptorProto(name=f"diffexplain_{name}.proto", package=f"diffexplain.{name}")
    for message_name, described in fields.items():
        message = description.message_type.add(name=message_name)
        for field_name, (number, kind) in described.items():
            field = message.field.add(name=field_name, number=number, label=FieldDescriptorProto.LABEL_REPEATED)
            if kind in fields:
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{description.package}.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(description)
    found = (pool.FindMessageTypeByName(f"{description.package}.{message_name}") for message_name in fields)
    return {descriptor.name: message_factory.GetMessageClass(descriptor) for descriptor in found}


def parsed(path: Path, message: type[Any], what: str) -> Any:
    """The file at ``path`` as a message; ``what``: it should be, in words.

    Raises:
        UserError: it cannot be read, or is cut off or no such message.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    found = message()
    try:
        found.ParseFromString(content)
    except DecodeError as error:
        told = f"{len(content)} bytes that are none, or only the beginning of one: {describe_start(content[:64])}"
        raise refusal(path, what, told) from error
    return found


def parsed_graph(path: Path, message: type[Any]) -> Any:
    """The ONNX model in a file, which holds a graph.

    Raises:
        UserError: as `parsed`, or there is no graph in it.
    """
    model = parsed(path, message, "an ONNX graph")
    if not model.graph:
        raise refusal(path, "an ONNX graph", "a file without one")
    return model
