"""`api` types <-> flyteidl/core/types.proto `LiteralType`, as bytes.

An external schema of a structured dataset (Arrow bytes) is the one thing that is not carried.
"""

from collections.abc import Iterator

from flyte_nb.api import literal_types as t
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType, StructuredDatasetType
from flyte_nb.wire.encoding import BYTES, field, fields, map_entry, text, to_text, utf8, varint
from flyte_nb.wire.structs import struct_from_bytes, struct_to_bytes

_SIMPLE = (
    t.NONE, t.INTEGER, t.FLOAT, t.STRING, t.BOOLEAN,
    t.DATETIME, t.DURATION, t.BINARY, t.ERROR, t.STRUCT,
)  # fmt: skip
"""By number of the enum `SimpleType`."""
_SIMPLE_BYTES = {name: b"\x08" + varint(number) for number, name in enumerate(_SIMPLE)}
_COLUMN_TYPES = (t.INTEGER, t.FLOAT, t.STRING, t.BOOLEAN, t.DATETIME, t.DURATION)
"""By number of the enum `SchemaType.SchemaColumn.SchemaColumnType`."""

_KINDS = {1, 2, 3, 4, 5, 7, 8, 10}
"""Numbers of the oneof's members."""


def type_to_bytes(type: LiteralType) -> bytes:
    """The `LiteralType` message.

    Raises:
        CodecError: for a kind or a value that flyteidl does not know.
    """
    kind, value, metadata, annotation, tag, members = type
    if kind == t.SIMPLE:
        out = _SIMPLE_BYTES.get(value, b"")
    elif kind == t.COLLECTION:
        out = field(b"\x1a", type_to_bytes(value))
    elif kind == t.MAP:
        out = field(b"\x22", type_to_bytes(value))
    elif kind == t.BLOB:
        out = field(b"\x2a", blob_type_to_bytes(value))
    elif kind == t.ENUM:
        out = field(b"\x3a", b"".join(field(b"\x0a", utf8(item)) for item in value))
    elif kind == t.STRUCTURED_DATASET:
        out = field(b"\x42", dataset_type_to_bytes(value))
    elif kind == t.UNION:
        out = field(b"\x52", b"".join(field(b"\x0a", type_to_bytes(item)) for item in value))
    elif kind == t.SCHEMA:
        out = field(b"\x12", _schema_to_bytes(value))
    else:
        out = b""
    if not out:
        raise CodecError(f"Flyte has no type {kind!r} {value!r}.")
    if metadata is not None:
        out += field(b"\x32", struct_to_bytes(metadata))
    if annotation is not None:
        out += field(b"\x4a", field(b"\x0a", struct_to_bytes(annotation)))
    if tag or members is not None:
        out += field(b"\x5a", _structure_to_bytes(tag, members))
    return out


def type_from_bytes(data: bytes) -> LiteralType:
    """The type in a `LiteralType` message.

    Raises:
        CodecError: when it is damaged, says no type, or one that this release does not know.
    """
    kind = 0
    payload: int | bytes = b""
    extras: dict[int, bytes] = {}
    for number, _, part in fields(data):
        if number in _KINDS:
            same = number == kind and isinstance(payload, bytes) and isinstance(part, bytes)
            payload = payload + part if same else part  # type: ignore[operator]  # both bytes when same
            kind = number
        elif isinstance(part, bytes):
            extras[number] = extras.get(number, b"") + part
    tag, members = _structure_from_bytes(extras[11]) if 11 in extras else ("", None)
    return LiteralType(
        *_kind_from_bytes(kind, payload),
        metadata=struct_from_bytes(extras[6]) if 6 in extras else None,
        annotation=_annotation_from_bytes(extras[9]) if 9 in extras else None,
        tag=tag,
        dataclass_type=members,
    )


def _kind_from_bytes(kind: int, payload: "int | bytes") -> "tuple[str, object]":
    if isinstance(payload, int):
        if kind == 1 and payload < len(_SIMPLE):
            return t.SIMPLE, _SIMPLE[payload]
        raise _unknown(f"simple type number {payload}")
    if kind == 3:
        return t.COLLECTION, type_from_bytes(payload)
    if kind == 4:
        return t.MAP, type_from_bytes(payload)
    if kind == 5:
        return t.BLOB, blob_type_from_bytes(payload)
    if kind == 7:
        return t.ENUM, tuple(to_text(item) for item in _items(payload, 1))
    if kind == 8:
        return t.STRUCTURED_DATASET, dataset_type_from_bytes(payload)
    if kind == 10:
        return t.UNION, tuple(type_from_bytes(item) for item in _items(payload, 1))
    if kind == 2:
        return t.SCHEMA, schema_type_from_bytes(payload)
    raise _unknown("a type that is not set")


def blob_type_to_bytes(type: BlobType) -> bytes:
    """The `BlobType` message."""
    if type.dimensionality not in (t.SINGLE, t.MULTIPART):
        raise CodecError(f"A blob is 'single' or 'multipart', not {type.dimensionality!r}.")
    return text(b"\x0a", type.format) + (b"\x10\x01" if type.dimensionality == t.MULTIPART else b"")


def blob_type_from_bytes(data: bytes) -> BlobType:
    """Inverse of `blob_type_to_bytes`."""
    format, dimensionality = "", t.SINGLE
    for number, _, part in fields(data):
        if number == 1 and isinstance(part, bytes):
            format = to_text(part)
        elif number == 2 and isinstance(part, int):
            if part > 1:
                raise _unknown(f"blob dimensionality {part}")
            dimensionality = t.MULTIPART if part else t.SINGLE
    return BlobType(format, dimensionality)


def dataset_type_to_bytes(type: StructuredDatasetType) -> bytes:
    """The `StructuredDatasetType` message."""
    columns = b"".join(
        field(b"\x0a", text(b"\x0a", name) + field(b"\x12", type_to_bytes(column)))
        for name, column in type.columns
    )
    return columns + text(b"\x12", type.format)


def dataset_type_from_bytes(data: bytes) -> StructuredDatasetType:
    """Inverse of `dataset_type_to_bytes`."""
    columns, format = [], ""
    for number, _, part in fields(data):
        if number == 1 and isinstance(part, bytes):
            name, column = map_entry(part)
            columns.append((name, type_from_bytes(column)))
        elif number == 2 and isinstance(part, bytes):
            format = to_text(part)
    return StructuredDatasetType(tuple(columns), format)


def schema_type_from_bytes(data: bytes) -> StructuredDatasetType:
    """The columns of a (legacy) `SchemaType`, as a structured dataset's."""
    columns = []
    for column in _items(data, 3):
        name, kind = "", 0
        for number, _, part in fields(column):
            if number == 1 and isinstance(part, bytes):
                name = to_text(part)
            elif number == 2 and isinstance(part, int):
                kind = part
        if kind >= len(_COLUMN_TYPES):
            raise _unknown(f"schema column type number {kind}")
        columns.append((name, t.simple(_COLUMN_TYPES[kind])))
    return StructuredDatasetType(tuple(columns))


def _schema_to_bytes(type: StructuredDatasetType) -> bytes:
    out = []
    for name, column in type.columns:
        if column.kind != t.SIMPLE or column.value not in _COLUMN_TYPES:
            raise CodecError(f"The schema column {name!r} cannot be {t.describe(column)}.")
        number = _COLUMN_TYPES.index(column.value)
        out.append(
            field(b"\x1a", text(b"\x0a", name) + (b"\x10" + varint(number) if number else b""))
        )
    return b"".join(out)


def _structure_to_bytes(tag: str, members: "dict[str, LiteralType] | None") -> bytes:
    out = text(b"\x0a", tag)
    for name in sorted(members or ()):
        entry = field(b"\x0a", utf8(name)) + field(b"\x12", type_to_bytes((members or {})[name]))
        out += field(b"\x12", entry)
    return out


def _structure_from_bytes(data: bytes) -> "tuple[str, dict[str, LiteralType] | None]":
    tag = ""
    members: dict[str, LiteralType] = {}
    for number, _, part in fields(data):
        if number == 1 and isinstance(part, bytes):
            tag = to_text(part)
        elif number == 2 and isinstance(part, bytes):
            name, member = map_entry(part)
            members[name] = type_from_bytes(member)
    return tag, members or None


def _annotation_from_bytes(data: bytes) -> "dict[str, object]":
    return struct_from_bytes(b"".join(_items(data, 1)))


def _items(data: bytes, wanted: int) -> "Iterator[bytes]":
    for number, wire_type, part in fields(data):
        if number == wanted and wire_type == BYTES and isinstance(part, bytes):
            yield part


def _unknown(what: str) -> CodecError:
    return CodecError(
        f"The message has {what}, which this release does not know.",
        hint="Upgrade flyte-nb if a newer Flyte made it.",
    )
