"""Flyte's types as plain values (flyteidl/core/types.proto). `wire/types.py` translates them."""

from typing import Any, NamedTuple

# SimpleType, spelled as in types.proto, lower case.
NONE = "none"
INTEGER = "integer"
FLOAT = "float"
STRING = "string"
BOOLEAN = "boolean"
DATETIME = "datetime"
DURATION = "duration"
BINARY = "binary"
ERROR = "error"
STRUCT = "struct"

# Kinds of `LiteralType`, spelled as the oneof's fields.
SIMPLE = "simple"
COLLECTION = "collection_type"
MAP = "map_value_type"
BLOB = "blob"
ENUM = "enum_type"
UNION = "union_type"
STRUCTURED_DATASET = "structured_dataset_type"
SCHEMA = "schema"

SINGLE = "single"
MULTIPART = "multipart"


OBJECT_FORMATS = frozenset(
    {
        "PIL.Image",
        "PyTorchCheckpoint",
        "PyTorchModule",
        "PyTorchTensor",
        "SklearnEstimator",
        "TensorFlowModel",
        "TensorFlowRecord",
    }
)
"""Formats of blobs that Python has as objects of a library. A person cannot write such a value as text."""


class BlobType(NamedTuple):
    """A file (`single`) or a folder (`multipart`) of one format; an empty format fits any."""

    format: str = ""
    dimensionality: str = SINGLE


class StructuredDatasetType(NamedTuple):
    """The columns in order as names and types, and the storage format (`parquet`; empty fits any)."""

    columns: "tuple[tuple[str, LiteralType], ...]" = ()
    format: str = ""
    external_schema_type: str = ""
    """`arrow` where `external_schema` is set."""
    external_schema: str = ""
    """The text of another library's schema."""


class LiteralType(NamedTuple):
    """One type. What `value` holds depends on `kind`.

    - `SIMPLE`: the simple type's name, e.g. `INTEGER`
    - `COLLECTION`, `MAP`: the element's `LiteralType`
    - `BLOB`: a `BlobType`; `STRUCTURED_DATASET` and `SCHEMA`: a `StructuredDatasetType`
    - `ENUM`: the values, `tuple[str, ...]`; `UNION`: the variants, `tuple[LiteralType, ...]`
    """

    kind: str
    value: Any
    metadata: "dict[str, Any] | None" = None
    """Free JSON; a JSON schema for dataclasses."""
    annotation: "dict[str, Any] | None" = None
    tag: str = ""
    """`structure.tag`: the transformer that made the type. In a union it identifies the variant."""
    dataclass_type: "dict[str, LiteralType] | None" = None
    """`structure.dataclass_type`: the fields of a dataclass."""


def simple(name: str) -> LiteralType:
    """Return the simple type of that name, e.g. `simple(INTEGER)`."""
    return LiteralType(SIMPLE, name)


def describe(type: LiteralType) -> str:
    """Return the type as a person writes it in Python, e.g. `list[int]`, for messages and graphs."""
    if type.kind == SIMPLE:
        return _SPOKEN.get(type.value, str(type.value))
    if type.kind == COLLECTION:
        return f"list[{describe(type.value)}]"
    if type.kind == MAP:
        return f"dict[str, {describe(type.value)}]"
    if type.kind == UNION:
        return " | ".join(describe(variant) for variant in type.value)
    if type.kind == ENUM:
        return "one of " + ", ".join(repr(value) for value in type.value)
    if type.kind == BLOB:
        noun = "file" if type.value.dimensionality == SINGLE else "directory"
        return f"{noun}[{type.value.format}]" if type.value.format else noun
    return "dataset" if type.kind == STRUCTURED_DATASET else type.kind


_SPOKEN = {
    NONE: "None",
    INTEGER: "int",
    FLOAT: "float",
    STRING: "str",
    BOOLEAN: "bool",
    DATETIME: "datetime",
    DURATION: "timedelta",
    STRUCT: "dict",
    BINARY: "bytes",
    ERROR: "error",
}
