"""Flyte's values as plain data (flyteidl/core/literals.proto).

A `Literal` is a flat pair `(kind, value)`. A list of scalars of one kind is a single pair too, a *column*,
so that no element costs an object. On the pipe a literal is the same pair as JSON (see `to_plain`). Only
the host's room `wire` translates it to flyteidl's messages and back.
"""

import base64
from typing import Any, NamedTuple, TypeAlias

from flyte_nb.api import literal_types
from flyte_nb.api.literal_types import BlobType, LiteralType, StructuredDatasetType

INTEGER = "integer"  # int, 64 bit
FLOAT = "float_value"  # float
STRING = "string_value"  # str
BOOLEAN = "boolean"  # bool
DATETIME = "datetime"  # int: microseconds since 1970-01-01T00:00:00Z
DURATION = "duration"  # int: microseconds
NONE = "none_type"  # None
STRUCT = "struct"  # JSON data with text keys; on the wire Binary{tag "msgpack"}, packed by the host
GENERIC = "generic"  # JSON dict; on the wire google.protobuf.Struct
BINARY = "binary"  # (bytes, tag)
BLOB = "blob"  # (uri, BlobType)
STRUCTURED_DATASET = "structured_dataset"  # (uri, StructuredDatasetType)
SCHEMA = "schema"  # (uri, StructuredDatasetType): written only, and read as a structured dataset
UNION = "union"  # (Literal, LiteralType with its tag)
COLLECTION = "collection"  # list[Literal]
COLUMN = "column"  # (kind, list of plain values): a collection of scalars of one kind
MAP = "map"  # dict[str, Literal]
ERROR = "error"  # (message, failed_node_id)

SCALAR_KINDS = frozenset({INTEGER, FLOAT, STRING, BOOLEAN, DATETIME, DURATION})
"""Kinds whose values can be in a `COLUMN`."""


Plain: TypeAlias = Any
"""Plain data: what a literal holds, by its kind, or a part of a struct."""


class Literal(NamedTuple):
    """One value. The comments beside the module's constants define what `value` holds for each `kind`."""

    kind: str
    value: Plain
    hash: str = ""
    """Replaces the value in cache keys, unless empty (`Literal.hash` of flyteidl)."""

    @property
    def metadata(self) -> "dict[str, str] | None":
        """Free text by name (`Literal.metadata` of flyteidl); `None` where there is none. See `marked`."""
        return None


class MarkedLiteral(Literal):
    """A literal with metadata, e.g. of a `FlyteFile`.

    A class of its own and no field: almost no literal has any, and versions of entities contain the fields.
    """

    texts: "dict[str, str] | None" = None

    @property
    def metadata(self) -> "dict[str, str] | None":
        """The free text by name."""
        return self.texts


def marked(literal: Literal, metadata: "dict[str, str] | None") -> Literal:
    """Return the literal with metadata; the same literal when there is none."""
    if not metadata:
        return literal
    made = MarkedLiteral(*literal)
    made.texts = metadata
    return made


NOTHING = Literal(NONE, None)


def to_plain(literal: Literal) -> "list[Any]":
    """Return the literal as JSON data: `[kind, value]`, `[kind, value, hash]`, or these and the metadata.

    It is the inverse of `from_plain`. Scalars, columns and structs are JSON already and are not copied.
    """
    kind, value, digest = literal
    if kind == COLLECTION:
        value = [to_plain(item) for item in value]
    elif kind == MAP:
        value = {key: to_plain(item) for key, item in value.items()}
    elif kind == BINARY:
        value = [base64.b64encode(value[0]).decode("ascii"), value[1]]
    elif kind == UNION:
        value = [to_plain(value[0]), type_to_plain(value[1])]
    elif kind in (STRUCTURED_DATASET, SCHEMA):
        value = [value[0], _dataset_to_plain(value[1])]
    if literal.metadata:
        return [kind, value, digest, literal.metadata]
    return [kind, value, digest] if digest else [kind, value]


def from_plain(plain: "list[Any]") -> Literal:
    """Return the literal that `to_plain` converted."""
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
    elif kind in (STRUCTURED_DATASET, SCHEMA):
        value = (value[0], _dataset_from_plain(value[1]))
    elif kind in (COLUMN, ERROR):
        value = tuple(value)
    made = Literal(kind, value, plain[2] if len(plain) > 2 else "")
    return marked(made, plain[3]) if len(plain) > 3 else made


def type_to_plain(type: LiteralType) -> "list[Any]":
    """Return the type as JSON data. It is the inverse of `type_from_plain`."""
    kind, value, metadata, annotation, tag, fields = type
    if isinstance(value, LiteralType):
        value = type_to_plain(value)
    elif isinstance(value, StructuredDatasetType):
        value = _dataset_to_plain(value)
    elif kind == literal_types.UNION:
        value = [type_to_plain(variant) for variant in value]
    plain_fields = None
    if fields is not None:
        plain_fields = {name: type_to_plain(field) for name, field in fields.items()}
    return [kind, value, metadata, annotation, tag, plain_fields]


def type_from_plain(plain: "list[Any]") -> LiteralType:
    """Return the type that `type_to_plain` converted."""
    kind, value, metadata, annotation, tag, fields = plain
    if kind in (literal_types.COLLECTION, literal_types.MAP):
        value = type_from_plain(value)
    elif kind == literal_types.BLOB:
        value = BlobType(*value)
    elif kind in (literal_types.STRUCTURED_DATASET, literal_types.SCHEMA):
        value = _dataset_from_plain(value)
    elif kind == literal_types.UNION:
        value = tuple(type_from_plain(variant) for variant in value)
    elif kind == literal_types.ENUM:
        value = tuple(value)
    if fields is not None:
        fields = {name: type_from_plain(field) for name, field in fields.items()}
    return LiteralType(
        kind=kind,
        value=value,
        metadata=metadata,
        annotation=annotation,
        tag=tag,
        dataclass_type=fields,
    )


def _dataset_to_plain(dataset: StructuredDatasetType) -> "list[Any]":
    plain = [[[name, type_to_plain(type)] for name, type in dataset.columns], dataset.format]
    outside = [dataset.external_schema_type, dataset.external_schema]
    # Older releases read two items only, so the schema is sent where there is one.
    return [*plain, *outside] if any(outside) else plain


def _dataset_from_plain(plain: "list[Any]") -> StructuredDatasetType:
    columns = tuple((name, type_from_plain(type)) for name, type in plain[0])
    return StructuredDatasetType(columns, *plain[1:])
