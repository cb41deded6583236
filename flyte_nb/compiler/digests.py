"""Compute digests of messages exactly as FlyteAdmin and FlytePropeller do.

A digest is Ben Laurie's objecthash over the message's JSON form (protojson): camelCase field names,
no default values, 64-bit integers and bytes as text, enums by name. This module walks the message
and hashes each value as its JSON form would be hashed, without writing JSON. `tests/compiler`
checks the walk against the JSON itself.

Source: flytestdlib/pbhash/pbhash.go at v1.16.8; github.com/benlaurie/objecthash.
"""

import functools
import math
import struct
from base64 import standard_b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, TypeAlias

from flyteidl.core.literals_pb2 import Literal
from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from flyte_nb.api.errors import CodecError

# protobuf's reflection gives a field's value as it is; its stubs have no better type.
FieldValue: TypeAlias = Any

# objecthash puts one letter for the kind in front of what it hashes: n null, b boolean, u text, f float,
# l list, d dict.
_NULL = sha256(b"n").digest()
_TRUE = sha256(b"b1").digest()
_FALSE = sha256(b"b0").digest()

_AS_TEXT = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_AS_NUMBER = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_DOUBLE,
    }
)
_LITERAL = Literal.DESCRIPTOR
_SCALAR = sha256(b"uscalar").digest()
_PRIMITIVE = sha256(b"uprimitive").digest()
# Messages that protojson does not write as an object of their fields.
_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Bool", "String", "Bytes", "Double", "Float", "Int32", "Int64", "UInt32", "UInt64")
)


def digest(message: Message) -> bytes:
    """Return the message's digest, 32 bytes.

    Messages with equal contents have equal digests, also when their maps were filled in another
    order.

    Raises:
        CodecError: when protojson cannot write the message: a time out of range, an unknown `Any`,
            or too many levels of messages.
    """
    try:
        return _message(message)
    except (ValueError, TypeError, OverflowError, json_format.Error) as error:
        raise CodecError(f"The message has no JSON form: {error}.") from error
    except RecursionError:
        raise CodecError("The message is nested too deeply for a digest.") from None


def digest_of_json(value: object) -> bytes:
    """Return the objecthash of JSON data; every number counts as a float.

    Raises:
        CodecError: when a value is not JSON data.
    """
    if value is None:
        return _NULL
    # Before the numbers: a Python bool is an int.
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float)):
        return _number(float(value))
    if isinstance(value, dict):
        return _dict((_text(str(name)), digest_of_json(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return _list(digest_of_json(item) for item in value)
    raise CodecError(f"{type(value).__name__} is not JSON data.")


def _message(message: Message) -> bytes:
    """Return the hash of a message as a JSON object of its fields."""
    descriptor = message.DESCRIPTOR
    if descriptor is _LITERAL:
        plain = _plain_literal(message)
        if plain is not None:
            return plain
    name = _own_form(descriptor)
    if name:
        return _well_known(name, message)
    return _dict(
        (_text(field.json_name), _field(field, value)) for field, value in message.ListFields()
    )


def _plain_literal(message: FieldValue) -> "bytes | None":
    """Return the hash of a literal that is a plain scalar; `None` for others.

    Each cached task that is looked up hashes its inputs, and most are such: the general way takes five
    times as long.
    """
    fields = message.ListFields()
    if len(fields) != 1 or fields[0][0].name != "scalar":
        return None
    inside = fields[0][1].ListFields()
    if len(inside) != 1 or inside[0][0].name != "primitive":
        return None
    values = inside[0][1].ListFields()
    if len(values) != 1 or values[0][0].message_type is not None:
        return None
    field, value = values[0]
    primitive = sha256(b"d" + _text(field.json_name) + _scalar(field, value)).digest()
    scalar = sha256(b"d" + _PRIMITIVE + primitive).digest()
    return sha256(b"d" + _SCALAR + scalar).digest()


def _well_known(name: str, message: FieldValue) -> bytes:
    """Return the hash of one of protobuf's own types, which have JSON forms of their own."""
    if name in _TIMES:
        return sha256(b"u" + message.ToJsonString().encode("utf-8")).digest()
    if name in _WRAPPERS:
        return _scalar(message.DESCRIPTOR.fields_by_name["value"], message.value)
    if name == "google.protobuf.Struct":
        return _struct(message)
    if name == "google.protobuf.ListValue":
        return _list(map(_value, message.values))
    if name == "google.protobuf.Value":
        return _value(message)
    # `Any`, `FieldMask` and the like are rare enough to go through JSON.
    return digest_of_json(json_format.MessageToDict(message))


def _struct(message: struct_pb2.Struct) -> bytes:
    """Return the hash of a protobuf Struct as a JSON object."""
    return _dict([(_text(key), _value(value)) for key, value in message.fields.items()])


def _value(value: struct_pb2.Value) -> bytes:
    """Return the hash of one value of a protobuf Struct."""
    # A struct may have a million values, so the kinds are told apart here, the frequent ones first.
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return sha256(b"u" + value.string_value.encode("utf-8")).digest()
    if kind == "number_value":
        return _number(value.number_value)
    if kind == "bool_value":
        return _TRUE if value.bool_value else _FALSE
    if kind == "struct_value":
        return _struct(value.struct_value)
    if kind == "list_value":
        return _list(map(_value, value.list_value.values))
    return _NULL


def _field(field: FieldDescriptor, value: FieldValue) -> bytes:
    """Return the hash of a field: one value, a list, or a map."""
    if not field.is_repeated:
        return _one(field, value)
    # A map is a repeated message with a `map_entry` option; Python shows it as a dict.
    item = _map_item(field)
    if item is not None:
        return _dict((_text(_key(name)), _one(item, value[name])) for name in value)
    return _list(_one(field, item) for item in value)


# The next two are asked for every message and field, and reading a descriptor takes longer than hashing.


@functools.lru_cache(maxsize=2048)
def _own_form(descriptor: Descriptor) -> str:
    """Return the name of one of protobuf's own types; empty for others."""
    name: str = descriptor.full_name
    return name if name.startswith("google.protobuf.") else ""


@functools.lru_cache(maxsize=2048)
def _map_item(field: FieldDescriptor) -> "FieldDescriptor | None":
    """Return the field that has the values of a map; `None` when the field is a list."""
    kind = field.message_type
    if kind is None or not kind.GetOptions().map_entry:
        return None
    return kind.fields_by_name["value"]


def _one(field: FieldDescriptor, value: FieldValue) -> bytes:
    """Return the hash of a single value of the field."""
    return _message(value) if field.message_type is not None else _scalar(field, value)


def _scalar(field: FieldDescriptor, value: FieldValue) -> bytes:
    """Return the hash of a value that is not a message, by its JSON form."""
    if isinstance(value, str):
        return sha256(b"u" + value.encode("utf-8")).digest()
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, bytes):
        return sha256(b"u" + standard_b64encode(value)).digest()
    kind = field.cpp_type
    if kind in _AS_TEXT:
        return sha256(b"u%d" % value).digest()
    if field.enum_type is not None:
        # A number that this release has no name for is written as a number.
        member = field.enum_type.values_by_number.get(value)
        return _text(member.name) if member is not None else _number(float(value))
    if kind in _AS_NUMBER:
        return _number(float(value))
    # What is left are 32-bit floats.
    return _number(_shortest(value))


def _key(name: "str | int | bool") -> str:
    """Return a map's key as JSON writes it: text, booleans in lower case."""
    return str(name).lower() if isinstance(name, bool) else str(name)


def _dict(entries: "Iterable[tuple[bytes, bytes]]") -> bytes:
    """Return the hash of a JSON object from pairs of the hashes of names and values."""
    # Sorted by the hash of the name, as objecthash defines it, so the order of the fields does not
    # count.
    return sha256(b"d" + b"".join([name + value for name, value in sorted(entries)])).digest()


def _list(items: "Iterable[bytes]") -> bytes:
    """Return the hash of a JSON list from the hashes of its items."""
    return sha256(b"l" + b"".join(items)).digest()


@functools.lru_cache(maxsize=2048)
def _text(text: str) -> bytes:
    """Return the hash of a JSON string. Kept for the field names, which recur in every message."""
    return sha256(b"u" + text.encode("utf-8")).digest()


@functools.lru_cache(maxsize=512)
def _number(number: float) -> bytes:
    """Return the hash of a JSON number."""
    if math.isnan(number):
        return _text("NaN")  # JSON has no such number; protojson writes text
    if math.isinf(number):
        return _text("Infinity" if number > 0 else "-Infinity")
    return sha256(b"f" + _normalized(number).encode("ascii")).digest()


def _normalized(number: float) -> str:
    """Return a float as objecthash writes it: sign, exponent, and the bits of a fraction in (½, 1].

    For example, 3.0 is `+2:011`.
    """
    if number == 0:
        return "+0:"
    # `frexp` gives a fraction in [½, 1). objecthash wants (½, 1], so exactly ½ becomes 1 with the
    # next lower exponent.
    fraction, exponent = math.frexp(abs(number))
    if fraction == 0.5:
        fraction, exponent = 1.0, exponent - 1
    bits = f"{int(fraction * (1 << 53)):054b}".rstrip("0")
    return f"{'+' if number > 0 else '-'}{exponent}:{bits}"


def _shortest(number: float) -> float:
    """Return the shortest decimal that reads as this 32-bit float, which is what JSON writes for it."""
    if math.isnan(number) or math.isinf(number):
        return number
    wanted = struct.pack("<f", number)
    # `g` drops trailing zeros, so six digits stand for every shorter decimal too. Nine significant
    # digits are always enough for 32 bits.
    for digits in range(6, 9):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == wanted:
            return short
    return float(f"{number:.9g}")
