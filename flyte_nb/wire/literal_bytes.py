"""Translate literals: `api` <-> the bytes of flyteidl/core/literals.proto (`inputs.pb`, `outputs.pb`).

`flyte-nb execute` imports this module and not `literals`, because loading flyteidl and msgpack takes about
half as long as the rest of the host's start. Scalars and lists of scalars, which most tasks have, are
written and read by `columns`; a scalar is a column of one. Everything else goes to `literals`, which is
imported then. `tests/benchmarks/test_execute.py` holds the limit.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.wire.columns import (
    column_from_bytes,
    column_to_bytes,
    map_entries,
    primitive_to_bytes,
)
from flyte_nb.wire.encoding import field, read_varint, text, utf8

if TYPE_CHECKING:
    from types import ModuleType

    from flyte_nb.wire.literals import Fetch

_COLLECTION = b"\x12"
"""The tag of `Literal.collection`."""


def literal_to_bytes(literal: Literal) -> bytes:
    """Return the bytes of the `Literal` message.

    Raises:
        CodecError: when a part of the value cannot be sent; `path` is its place.
    """
    kind, value, digest = literal
    if kind == v.COLUMN:
        out = field(_COLLECTION, column_to_bytes(value[0], value[1]))
    elif kind in v.SCALAR_KINDS:
        out = field(b"\x0a", field(b"\x0a", primitive_to_bytes(kind, value)))
    else:
        message = _messages().literal_to_idl(literal)
        written: bytes = message.SerializeToString(deterministic=True)
        return written
    return out + text(b"\x22", digest) if digest else out


def literal_from_bytes(data: bytes, fetch: "Fetch | None" = None) -> Literal:
    """Return the literal in a `Literal` message.

    Args:
        data: The message.
        fetch: Reads a literal that is stored elsewhere; without it such a literal is refused.

    Raises:
        CodecError: when it is damaged, or has no value or one that `api` cannot hold.
    """
    # A `Literal` that begins with 0a is a scalar. Inside one more header it is a collection of one.
    scalar = column_from_bytes(field(b"\x0a", data)) if data[:1] == b"\x0a" else None
    if scalar is not None and len(scalar[1]) == 1:
        return Literal(scalar[0], scalar[1][0])
    column = _column(data) if data[:1] == _COLLECTION else None
    if column is not None:
        return Literal(v.COLUMN, column)
    messages = _messages()
    message = messages.decoded(messages.literals_pb2.Literal, data)
    read: Literal = messages.literal_from_idl(message, fetch)
    return read


def literal_map_to_bytes(literals: "Mapping[str, Literal]") -> bytes:
    """Return the bytes of the `LiteralMap` message, with entries in the mapping's order.

    Raises:
        CodecError: when a part of a value cannot be sent; `path` is its place.
    """
    out = []
    for name, literal in literals.items():
        try:
            entry = field(b"\x0a", utf8(name)) + field(b"\x12", literal_to_bytes(literal))
        except CodecError as error:
            raise error.below(f".{name}") from None
        out.append(field(b"\x0a", entry))
    return b"".join(out)


def literal_map_from_bytes(data: bytes, fetch: "Fetch | None" = None) -> "dict[str, Literal]":
    """Return the literals of a `LiteralMap` by name.

    Raises:
        CodecError: as `literal_from_bytes` does; `path` begins with the name.
    """
    entries = map_entries(data)
    if entries is None:
        messages = _messages()
        message = messages.decoded(messages.literals_pb2.LiteralMap, data)
        read: dict[str, Literal] = messages.literal_map_from_idl(message, fetch)
        return read
    found = {}
    for name, payload in entries:
        try:
            found[name] = literal_from_bytes(payload, fetch)
        except CodecError as error:
            raise error.below(f".{name}") from None
    return found


def _column(data: bytes) -> "tuple[str, list[Any]] | None":
    """Return the column in a `Literal`, or `None` when it also has a hash, or is no column."""
    try:
        size, start = read_varint(data, 1)
    except CodecError:
        return None
    return column_from_bytes(data[start:]) if start + size == len(data) else None


def _messages() -> "ModuleType":
    """Import `literals` with flyteidl; the module's docstring explains why it is not imported at the top."""
    from flyte_nb.wire import literals

    return literals
