"""Protobuf messages of other people's formats, of which only the fields that are read are described; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

Fields = Mapping[str, Mapping[str, tuple[int, str]]]
"""For each message its fields, with number and type: another message, or one of protobuf's own.

All are declared repeated, so a single value is a list of one. What is not described is skipped.
"""


def message_classes(name: str, fields: Fields) -> dict[str, type[Any]]:
    """The class of each message, to parse with.

    Args:
        name: of the format.
    """
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
