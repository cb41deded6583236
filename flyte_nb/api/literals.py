"""Flyte's values as plain data: one flat pair a scalar, one column a homogeneous list.

A `Literal` is `(kind, value)`. On the pipe it is the same pair as JSON (see `to_plain`). The host's
`wire` room is the only place that turns it into flyteidl/core/literals.proto and back.
"""

import base64
from typing import Any, NamedTuple

from flyte_nb.api.literal_types import BlobType, LiteralType, StructuredDatasetType

INTEGER = "integer"  # int, 64 bit
FLOAT = "float_value"  # float
STRING = "string_value"  # str
BOOLEAN = "boolean"  # bool
DATETIME = "datetime"  # int: microseconds since 1970-01-01T00:00:00Z
DURATION = "duration"  # int: microseconds
NONE = "none_type"  # None
STRUCT = "struct"  # JSON-like data with string keys; the host packs it as Binary{tag "msgpack"}
GENERIC = "generic"  # JSON-like dict; google.protobuf.Struct
BINARY = "binary"  # (bytes, tag)
BLOB = "blob"  # (uri, BlobType)
STRUCTURED_DATASET = "structured_dataset"  # (uri, StructuredDatasetType)
UNION = "union"  # (Literal, LiteralType with its tag)
COLLECTION = "collection"  # list[Literal]
COLUMN = "column"  # (kind, list of plain values): a collection of scalars of one kind
MAP = "map"  # dict[str, Literal]
ERROR = "error"  # (message, failed_node_id)

SCALAR_KINDS = frozenset({INTEGER, FLOAT, STRING, BOOLEAN, DATETIME, DURATION})
"""Kinds that may stand in a `COLUMN`."""


class Literal(NamedTuple):
    """One value; the module's constants say what `value` holds for each `kind`."""

    kind: str
    value: Any
    hash: str = ""
    """Replaces the value in the cache key when set (`Literal.hash`)."""


NOTHING = Literal(NONE, None)


def to_plain(literal: Literal) -> "list[Any]":
    """The literal as JSON data, `[kind, value]` or `[kind, value, hash]`. Inverse of `from_plain`."""
    kind, value, digest = literal
    if kind == COLLECTION:
        value = [to_plain(item) for item in value]
    elif kind == MAP:
        value = {key: to_plain(item) for key, item in value.items()}
    elif kind == BINARY:
        value = [base64.b64encode(value[0]).decode("ascii"), value[1]]
    elif kind == UNION:
        value = [to_plain(value[0]), type_to_plain(value[1])]
    elif kind == STRUCTURED_DATASET:
        value = [value[0], _dataset_to_plain(value[1])]
    return [kind, value, digest] if digest else [kind, value]


def from_plain(plain: "list[Any]") -> Literal:
    """The literal that `to_plain` wrote."""
    kind, value = plain[0], plain[1]
    if kind == COLLECTION:
        value = [from_plain(item) for item in value]
    elif kind == MAP:
        value = {key: from_plain(item) for key, item in value.items()}
    elif kind == BINARY:
        value = (base64.b64decode(value[0]), value[1])
    elif kind == UNION:
        value = (from_plain(value[0]), type_from_plain(value[1]))
    elif kind == BLOB:
        value = (value[0], BlobType(*value[1]))
    elif kind == STRUCTURED_DATASET:
        value = (value[0], _dataset_from_plain(value[1]))
    elif kind in (COLUMN, ERROR):
        value = tuple(value)
    return Literal(kind, value, plain[2] if len(plain) > 2 else "")


def type_to_plain(type: LiteralType) -> "list[Any]":
    """The type as JSON data. Inverse of `type_from_plain`."""
    kind, value, metadata, annotation, tag, fields = type
    if isinstance(value, LiteralType):
        value = type_to_plain(value)
    elif isinstance(value, StructuredDatasetType):
        value = _dataset_to_plain(value)
    elif kind == "union_type":
        value = [type_to_plain(variant) for variant in value]
    plain_fields = None
    if fields is not None:
        plain_fields = {name: type_to_plain(field) for name, field in fields.items()}
    return [kind, value, metadata, annotation, tag, plain_fields]


def type_from_plain(plain: "list[Any]") -> LiteralType:
    """The type that `type_to_plain` wrote."""
    kind, value, metadata, annotation, tag, fields = plain
    if kind in ("collection_type", "map_value_type"):
        value = type_from_plain(value)
    elif kind == "blob":
        value = BlobType(*value)
    elif kind in ("structured_dataset_type", "schema"):
        value = _dataset_from_plain(value)
    elif kind == "union_type":
        value = tuple(type_from_plain(variant) for variant in value)
    elif kind == "enum_type":
        value = tuple(value)
    if fields is not None:
        fields = {name: type_from_plain(field) for name, field in fields.items()}
    return LiteralType(kind, value, metadata, annotation, tag, fields)


def _dataset_to_plain(dataset: StructuredDatasetType) -> "list[Any]":
    plain = [[[name, type_to_plain(type)] for name, type in dataset.columns], dataset.format]
    outside = [dataset.external_schema_type, dataset.external_schema]
    return [*plain, *outside] if any(outside) else plain  # older releases read two items only


def _dataset_from_plain(plain: "list[Any]") -> StructuredDatasetType:
    columns = tuple((name, type_from_plain(type)) for name, type in plain[0])
    return StructuredDatasetType(columns, *plain[1:])
