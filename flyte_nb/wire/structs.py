"""Translate plain JSON data <-> google/protobuf/struct.proto `Struct`.

protobuf's own `Struct.update` and `MessageToDict` do not report where in the data a fault is, and turn every
whole number into a float. So this module walks the data itself.
"""

from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value

from flyte_nb.api.errors import CodecError
from flyte_nb.wire.encoding import double, utf8


def fill_struct(message: Struct, data: "dict[str, Any]") -> None:
    """Set the fields of `message` from `data`; an empty `message` becomes present in its parent.

    Raises:
        CodecError: when a key is not text, or JSON cannot hold a value; `path` is its place.
    """
    message.SetInParent()
    for key, value in data.items():
        try:
            utf8(key)
            _fill_value(message.fields[key], value)
        except CodecError as error:
            raise error.below(f".{key}") from None


def struct_from_idl(message: Struct) -> "dict[str, Any]":
    """Return the fields of a `Struct`, sorted by name. Whole numbers come back as int, as protojson does."""
    return {key: _value_from_idl(message.fields[key]) for key in sorted(message.fields)}


def _fill_value(message: Value, value: object) -> None:
    if isinstance(value, str):
        utf8(value)
        message.string_value = value
    elif value is None:
        message.null_value = NULL_VALUE
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, (int, float)):
        double(value)  # raises for an int that a double cannot hold
        message.number_value = value
    elif isinstance(value, dict):
        fill_struct(message.struct_value, value)
    elif isinstance(value, (list, tuple)):
        message.list_value.SetInParent()
        for index, item in enumerate(value):
            try:
                _fill_value(message.list_value.values.add(), item)
            except CodecError as error:
                raise error.below(f"[{index}]") from None
    else:
        raise CodecError(
            f"{type(value).__name__} is not JSON data.",
            hint="A Struct holds None, bool, numbers, text, lists and dicts.",
        )


def _value_from_idl(message: Value) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() else number
    if kind == "struct_value":
        return struct_from_idl(message.struct_value)
    if kind == "list_value":
        return [_value_from_idl(item) for item in message.list_value.values]
    return None if kind in (None, "null_value") else getattr(message, kind)
