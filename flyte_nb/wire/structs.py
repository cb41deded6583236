"""Plain JSON data <-> `google.protobuf.Struct` as bytes (google/protobuf/struct.proto)."""

from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.wire.encoding import BYTES, double, field, fields, map_entry, to_double, to_text, utf8


def struct_to_bytes(data: "dict[str, Any]") -> bytes:
    """The `Struct` with these fields, keys sorted (equal data gives equal bytes).

    Raises:
        CodecError: for a key that is not text or a value that JSON cannot hold.
    """
    out = []
    try:
        keys = sorted(data)
    except TypeError as error:
        raise CodecError(f"A Struct's keys must be text: {error}.") from None
    for key in keys:
        try:
            entry = field(b"\x0a", utf8(key)) + field(b"\x12", _value_to_bytes(data[key]))
        except CodecError as error:
            raise error.below(f".{key}") from None
        out.append(field(b"\x0a", entry))
    return b"".join(out)


def struct_from_bytes(data: bytes) -> "dict[str, Any]":
    """The fields of a `Struct`. Numbers without a fraction come back as int, as protojson does."""
    found: dict[str, Any] = {}
    for number, wire_type, part in fields(data):
        if number == 1 and wire_type == BYTES and isinstance(part, bytes):
            key, value = map_entry(part)
            found[key] = _value_from_bytes(value)
    return found


def _value_to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return field(b"\x1a", utf8(value))
    if value is None:
        return b"\x08\x00"
    if value is True or value is False:
        return b"\x20\x01" if value else b"\x20\x00"
    if isinstance(value, (int, float)):
        return b"\x11" + double(value)
    if isinstance(value, dict):
        return field(b"\x2a", struct_to_bytes(value))
    if isinstance(value, (list, tuple)):
        items = []
        for index, item in enumerate(value):
            try:
                items.append(field(b"\x0a", _value_to_bytes(item)))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return field(b"\x32", b"".join(items))
    raise CodecError(
        f"{type(value).__name__} is not JSON data.",
        hint="A Struct holds None, bool, numbers, text, lists and dicts.",
    )


def _value_from_bytes(data: bytes) -> Any:
    found: Any = None
    for number, wire_type, part in fields(data):
        if isinstance(part, int):
            if number == 4:
                found = part != 0
            elif number == 1:
                found = None
        elif number == 2:
            amount = to_double(part) if len(part) == 8 else 0.0
            found = int(amount) if amount.is_integer() else amount
        elif wire_type != BYTES:
            continue
        elif number == 3:
            found = to_text(part)
        elif number == 5:
            found = struct_from_bytes(part)
        elif number == 6:
            found = [
                _value_from_bytes(item)
                for index, _, item in fields(part)
                if index == 1 and isinstance(item, bytes)
            ]
    return found
