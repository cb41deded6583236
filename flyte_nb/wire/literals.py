"""`api` literals <-> flyteidl/core/literals.proto, as bytes (for files) and as messages.

`flyte-nb execute` imports this module alone: protobuf and msgpack load only when they are needed.

What `api` cannot hold is handled so: a literal that lies elsewhere (`offloaded_metadata`) is read
through the caller's `fetch`, or refused; a legacy schema becomes a structured dataset; nanoseconds
are cut to microseconds; msgpack that is not plain data stays `BINARY`; `Literal.metadata` is dropped.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.wire.columns import (
    column_from_bytes,
    column_to_bytes,
    micros_from_bytes,
    primitive_to_bytes,
)
from flyte_nb.wire.encoding import (
    BYTES,
    Unsendable,
    field,
    fields,
    map_entry,
    message_fields,
    text,
    to_double,
    to_signed,
    to_text,
    utf8,
)
from flyte_nb.wire.structs import struct_from_bytes, struct_to_bytes
from flyte_nb.wire.type_bytes import (
    blob_type_from_bytes,
    blob_type_to_bytes,
    dataset_type_from_bytes,
    dataset_type_to_bytes,
    schema_type_from_bytes,
    type_from_bytes,
    type_to_bytes,
)

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2

MSGPACK = "msgpack"
"""`Binary.tag` of msgpack data, as flytekit writes it."""

Fetch = Callable[[str], bytes]
"""Reads the object at a URI: how a literal that lies elsewhere is brought in."""


def literal_to_bytes(literal: Literal) -> bytes:
    """The `Literal` message.

    Raises:
        CodecError: with the place in the value, when something in it cannot be sent.
    """
    kind, value, digest = literal
    if kind == v.COLLECTION:
        out = field(b"\x12", _collection_to_bytes(value))
    elif kind == v.COLUMN:
        out = field(b"\x12", column_to_bytes(value[0], value[1]))
    elif kind == v.MAP:
        out = field(b"\x1a", literal_map_to_bytes(value))
    else:
        out = field(b"\x0a", scalar_to_bytes(literal))
    return out + text(b"\x22", digest) if digest else out


def literal_from_bytes(data: bytes, fetch: "Fetch | None" = None) -> Literal:
    """The literal in a `Literal` message.

    Args:
        data: the message.
        fetch: reads a literal that lies elsewhere; without it such a literal is refused.

    Raises:
        CodecError: when it is damaged, has no value, or one that `api` cannot hold.
    """
    try:
        return _literal(data, fetch)
    except RecursionError:
        raise _too_deep() from None


def literal_map_to_bytes(literals: "Mapping[str, Literal]") -> bytes:
    """The `LiteralMap` message, entries in the mapping's order (`inputs.pb`, `outputs.pb`)."""
    out = []
    for name, literal in literals.items():
        try:
            entry = field(b"\x0a", utf8(name)) + field(b"\x12", literal_to_bytes(literal))
        except CodecError as error:
            raise error.below(f".{name}") from None
        out.append(field(b"\x0a", entry))
    return b"".join(out)


def literal_map_from_bytes(data: bytes, fetch: "Fetch | None" = None) -> "dict[str, Literal]":
    """The literals of a `LiteralMap` by name; see `literal_from_bytes`."""
    try:
        return _map(data, fetch)
    except RecursionError:
        raise _too_deep() from None


def literal_to_idl(literal: Literal) -> "literals_pb2.Literal":
    """The literal as flyteidl's message; see `literal_to_bytes`."""
    from flyteidl.core import literals_pb2
    from google.protobuf.message import DecodeError

    try:
        return literals_pb2.Literal.FromString(literal_to_bytes(literal))
    except (DecodeError, RecursionError):
        raise _too_deep() from None


def literal_from_idl(message: "literals_pb2.Literal", fetch: "Fetch | None" = None) -> Literal:
    """The literal in flyteidl's message; see `literal_from_bytes`."""
    return literal_from_bytes(message.SerializeToString(), fetch)


def literal_map_to_idl(literals: "Mapping[str, Literal]") -> "literals_pb2.LiteralMap":
    """The literals as flyteidl's message; see `literal_map_to_bytes`."""
    from flyteidl.core import literals_pb2
    from google.protobuf.message import DecodeError

    try:
        return literals_pb2.LiteralMap.FromString(literal_map_to_bytes(literals))
    except (DecodeError, RecursionError):
        raise _too_deep() from None


def literal_map_from_idl(
    message: "literals_pb2.LiteralMap", fetch: "Fetch | None" = None
) -> "dict[str, Literal]":
    """The literals of flyteidl's message by name, sorted; see `literal_from_bytes`."""
    return literal_map_from_bytes(message.SerializeToString(deterministic=True), fetch)


def scalar_to_bytes(literal: Literal) -> bytes:
    """The `Scalar` message of a literal that is neither a list nor a map."""
    kind, value, _ = literal
    if kind in v.SCALAR_KINDS:
        return field(b"\x0a", primitive_to_bytes(kind, value))
    if kind == v.NONE:
        return b"\x2a\x00"
    if kind == v.STRUCT:
        return field(b"\x1a", field(b"\x0a", _pack(value)) + field(b"\x12", b"msgpack"))
    if kind == v.UNION:
        inner, type = value
        payload = field(b"\x0a", literal_to_bytes(inner)) + field(b"\x12", type_to_bytes(type))
        return field(b"\x4a", payload)
    if kind == v.BLOB:
        uri, blob = value
        metadata = field(b"\x0a", field(b"\x0a", blob_type_to_bytes(blob)))
        return field(b"\x12", metadata + text(b"\x1a", uri))
    if kind == v.STRUCTURED_DATASET:
        uri, dataset = value
        metadata = field(b"\x12", field(b"\x0a", dataset_type_to_bytes(dataset)))
        return field(b"\x42", text(b"\x0a", uri) + metadata)
    if kind == v.GENERIC:
        return field(b"\x3a", struct_to_bytes(value))
    if kind == v.BINARY:
        raw, tag = value
        return field(b"\x1a", (field(b"\x0a", raw) if raw else b"") + text(b"\x12", tag))
    if kind == v.ERROR:
        message, node_id = value
        return field(b"\x32", text(b"\x0a", node_id) + text(b"\x12", message))
    raise CodecError(f"There is no kind of literal called {kind!r}.")


def _collection_to_bytes(items: "list[Literal]") -> bytes:
    out = []
    for index, item in enumerate(items):
        try:
            out.append(field(b"\x0a", literal_to_bytes(item)))
        except CodecError as error:
            raise error.below(f"[{index}]") from None
    return b"".join(out)


def _literal(data: bytes, fetch: "Fetch | None") -> Literal:
    kind, payload, digest = 0, b"", ""
    for number, _, part in fields(data):
        if not isinstance(part, bytes):
            continue
        if number in (1, 2, 3, 8):
            payload = payload + part if number == kind else part
            kind = number
        elif number == 4:
            digest = to_text(part)
    if kind == 1:
        kind_name, value = _scalar(payload, fetch)
    elif kind == 2:
        kind_name, value = _collection(payload, fetch)
    elif kind == 3:
        kind_name, value = v.MAP, _map(payload, fetch)
    elif kind == 8:
        inner = _offloaded(payload, fetch)
        return inner if inner.hash or not digest else inner._replace(hash=digest)
    else:
        raise CodecError("The literal has no value.")
    return Literal(kind_name, value, digest)


def _map(data: bytes, fetch: "Fetch | None") -> "dict[str, Literal]":
    found = {}
    for number, wire_type, part in fields(data):
        if number == 1 and wire_type == BYTES and isinstance(part, bytes):
            name, payload = map_entry(part)
            try:
                found[name] = _literal(payload, fetch)
            except CodecError as error:
                raise error.below(f".{name}") from None
    return found


def _collection(data: bytes, fetch: "Fetch | None") -> "tuple[str, Any]":
    column = column_from_bytes(data)
    if column is not None:
        return v.COLUMN, column
    items: list[Literal] = []
    for number, wire_type, part in fields(data):
        if number == 1 and wire_type == BYTES and isinstance(part, bytes):
            try:
                items.append(_literal(part, fetch))
            except CodecError as error:
                raise error.below(f"[{len(items)}]") from None
    kinds = {item.kind for item in items}
    if len(kinds) == 1 and kinds <= v.SCALAR_KINDS and not any(item.hash for item in items):
        return v.COLUMN, (items[0].kind, [item.value for item in items])
    return v.COLLECTION, items


def _scalar(data: bytes, fetch: "Fetch | None") -> "tuple[str, Any]":
    kind, payload = 0, b""
    for number, _, part in fields(data):
        if number < 10 and isinstance(part, bytes):
            payload = payload + part if number == kind else part
            kind = number
    if kind == 1:
        return _primitive(payload)
    if kind == 5:
        return v.NONE, None
    if kind == 3:
        return _binary(payload)
    if kind == 9:
        union = message_fields(payload)
        inner = _literal(union.get(1, b""), fetch)
        return v.UNION, (inner, type_from_bytes(union.get(2, b"")))
    if kind == 2:
        blob = message_fields(payload)
        type = blob_type_from_bytes(message_fields(blob.get(1, b"")).get(1, b""))
        return v.BLOB, (to_text(blob.get(3, b"")), type)
    if kind == 8:
        dataset = message_fields(payload)
        columns = dataset_type_from_bytes(message_fields(dataset.get(2, b"")).get(1, b""))
        return v.STRUCTURED_DATASET, (to_text(dataset.get(1, b"")), columns)
    if kind == 7:
        return v.GENERIC, struct_from_bytes(payload)
    if kind == 6:
        error = message_fields(payload)
        return v.ERROR, (to_text(error.get(2, b"")), to_text(error.get(1, b"")))
    if kind == 4:
        schema = message_fields(payload)
        legacy = schema_type_from_bytes(schema.get(3, b""))._replace(format="parquet")
        return v.STRUCTURED_DATASET, (to_text(schema.get(1, b"")), legacy)
    raise CodecError("The scalar has no value.")


def _primitive(data: bytes) -> "tuple[str, Any]":
    kind = 0
    payload: int | bytes = 0
    for number, _, part in fields(data):
        if 0 < number < 7:
            same = number == kind and isinstance(payload, bytes) and isinstance(part, bytes)
            # Only messages are merged; of a text or number the last one counts.
            payload = payload + part if same and number > 4 else part  # type: ignore[operator]
            kind = number
    if isinstance(payload, int):
        if kind == 1:
            return v.INTEGER, to_signed(payload)
        if kind == 4:
            return v.BOOLEAN, payload != 0
    elif kind == 2 and len(payload) == 8:
        return v.FLOAT, to_double(payload)
    elif kind == 3:
        return v.STRING, to_text(payload)
    elif kind == 5:
        return v.DATETIME, micros_from_bytes(payload)
    elif kind == 6:
        return v.DURATION, micros_from_bytes(payload)
    raise CodecError("The primitive has no value.")


def _binary(data: bytes) -> "tuple[str, Any]":
    binary = message_fields(data)
    raw, tag = binary.get(1, b""), to_text(binary.get(2, b""))
    if tag == MSGPACK:
        import msgpack

        try:
            value = msgpack.unpackb(raw, strict_map_key=False)  # type: ignore[attr-defined,no-untyped-call]  # msgpack has no types
        except (ValueError, TypeError, msgpack.UnpackException):
            return v.BINARY, (raw, tag)
        if _is_plain(value):
            return v.STRUCT, value
    return v.BINARY, (raw, tag)


def _pack(value: Any) -> bytes:
    import msgpack

    try:
        packed: bytes = msgpack.packb(value)  # type: ignore[no-untyped-call]  # msgpack has no types
    except (TypeError, ValueError, OverflowError) as error:
        raise Unsendable(
            f"The value cannot be packed as msgpack: {error}.",
            hint="It may hold None, bool, numbers up to 64 bits, text, lists and dicts.",
        ) from None
    return packed


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold it (bytes, timestamps and extension types it cannot)."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
            stack.extend(key for key in item if not isinstance(key, str))
        elif isinstance(item, list):
            stack.extend(item)
        elif not (item is None or isinstance(item, (str, int, float))):
            return False
    return True


def _offloaded(data: bytes, fetch: "Fetch | None") -> Literal:
    uri = to_text(message_fields(data).get(1, b""))
    if fetch is None:
        raise CodecError(
            f"The value is too large for the message; it lies at {uri}.",
            hint="Read that object: it is a flyteidl Literal.",
        )
    return _literal(fetch(uri), fetch)


def _too_deep() -> CodecError:
    return CodecError(
        "The value is nested too deeply to be sent.",
        hint="protobuf reads about 30 levels of lists or dicts; flatten it, or pickle it.",
    )
