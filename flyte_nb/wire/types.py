"""Translate types and interfaces: `api` <-> flyteidl/core/types.proto and interface.proto."""

from flyteidl.core import interface_pb2, types_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api import literal_types as t
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType, StructuredDatasetType
from flyte_nb.api.specs import TypedInterface, Variable
from flyte_nb.wire.encoding import utf8
from flyte_nb.wire.structs import fill_struct, struct_from_idl

_SIMPLE = (
    t.NONE, t.INTEGER, t.FLOAT, t.STRING, t.BOOLEAN,
    t.DATETIME, t.DURATION, t.BINARY, t.ERROR, t.STRUCT,
)  # fmt: skip
"""Names by number of the enum `SimpleType`."""
_SIMPLE_NUMBERS = {name: number for number, name in enumerate(_SIMPLE)}

_COLUMN_TYPES = (t.INTEGER, t.FLOAT, t.STRING, t.BOOLEAN, t.DATETIME, t.DURATION)
"""Names by number of the enum `SchemaType.SchemaColumn.SchemaColumnType`."""

_DIMENSIONALITIES = (t.SINGLE, t.MULTIPART)
"""Names by number of the enum `BlobType.BlobDimensionality`."""


def type_to_idl(type: LiteralType) -> types_pb2.LiteralType:
    """Return the type as flyteidl's message.

    Raises:
        CodecError: when flyteidl has no such kind or value, or the type is nested too deeply.
    """
    message = types_pb2.LiteralType()
    fill_type(message, type)
    return message


def fill_type(message: types_pb2.LiteralType, type: LiteralType) -> None:
    """Set an empty `message` to the type.

    Raises:
        CodecError: as `type_to_idl` does.
    """
    try:
        _fill(message, type)
        # protobuf writes messages that are nested 100 deep and refuses to read them, so it is tried here.
        if type.kind not in (t.SIMPLE, t.BLOB, t.ENUM):
            types_pb2.LiteralType.FromString(message.SerializeToString())
    except (DecodeError, EncodeError, RecursionError):
        raise _too_deep() from None


def type_from_idl(message: types_pb2.LiteralType) -> LiteralType:
    """Return the type in flyteidl's message.

    Raises:
        CodecError: when the message has no type, or one that this release does not know.
    """
    try:
        return _read(message)
    except RecursionError:
        raise _too_deep() from None


def fill_blob_type(message: types_pb2.BlobType, type: BlobType) -> None:
    """Set an empty `message` to the type.

    Raises:
        CodecError: when its dimensionality is neither `single` nor `multipart`.
    """
    if type.dimensionality not in _DIMENSIONALITIES:
        raise CodecError(f"A blob is 'single' or 'multipart', not {type.dimensionality!r}.")
    message.SetInParent()
    message.format = type.format
    message.dimensionality = _DIMENSIONALITIES.index(type.dimensionality)  # type: ignore[assignment]  # the enum's number


def blob_type_from_idl(message: types_pb2.BlobType) -> BlobType:
    """Return the type in flyteidl's message.

    Raises:
        CodecError: when this release does not know its dimensionality.
    """
    if not 0 <= message.dimensionality < len(_DIMENSIONALITIES):
        raise _unknown(f"blob dimensionality {message.dimensionality}")
    return BlobType(message.format, _DIMENSIONALITIES[message.dimensionality])


def fill_dataset_type(
    message: types_pb2.StructuredDatasetType, type: StructuredDatasetType
) -> None:
    """Set an empty `message` to the type.

    Raises:
        CodecError: as `type_to_idl` does, for a column's type.
    """
    message.SetInParent()
    message.format = type.format
    for name, column_type in type.columns:
        utf8(name)
        column = message.columns.add(name=name)
        _fill(column.literal_type, column_type)
    if type.external_schema_type or type.external_schema:
        message.external_schema_type = type.external_schema_type
        message.external_schema_bytes = type.external_schema.encode("utf-8", "surrogateescape")


def dataset_type_from_idl(message: types_pb2.StructuredDatasetType) -> StructuredDatasetType:
    """Return the type in flyteidl's message.

    Raises:
        CodecError: as `type_from_idl` does, for a column's type.
    """
    columns = tuple((column.name, _read(column.literal_type)) for column in message.columns)
    # The field is bytes, and `surrogateescape` keeps bytes that are not UTF-8 for the way back.
    schema = message.external_schema_bytes.decode("utf-8", "surrogateescape")
    return StructuredDatasetType(columns, message.format, message.external_schema_type, schema)


def schema_type_from_idl(message: types_pb2.SchemaType) -> StructuredDatasetType:
    """Return the columns of a (legacy) `SchemaType` as those of a structured dataset.

    Raises:
        CodecError: when this release does not know a column's type.
    """
    columns = []
    for column in message.columns:
        if not 0 <= column.type < len(_COLUMN_TYPES):
            raise _unknown(f"schema column type number {column.type}")
        columns.append((column.name, t.simple(_COLUMN_TYPES[column.type])))
    return StructuredDatasetType(tuple(columns))


def interface_to_idl(interface: TypedInterface) -> interface_pb2.TypedInterface:
    """Return the interface as flyteidl's message, whose maps have no order.

    Raises:
        CodecError: as `type_to_idl` does; `path` begins with the variable.
    """
    message = interface_pb2.TypedInterface()
    # flytekit always sends both maps, empty or not.
    message.inputs.SetInParent()
    message.outputs.SetInParent()
    _fill_variables(message.inputs, interface.inputs)
    _fill_variables(message.outputs, interface.outputs)
    return message


def interface_from_idl(message: interface_pb2.TypedInterface) -> TypedInterface:
    """Return the interface in flyteidl's message, with variables sorted by name.

    Raises:
        CodecError: as `type_from_idl` does; `path` begins with the variable.
    """
    return TypedInterface(_variables(message.inputs), _variables(message.outputs))


def variable_to_idl(variable: Variable) -> interface_pb2.Variable:
    """Return the variable as flyteidl's message.

    Raises:
        CodecError: as `type_to_idl` does.
    """
    message = interface_pb2.Variable(description=variable.description)
    fill_type(message.type, variable.type)
    return message


def variable_from_idl(message: interface_pb2.Variable) -> Variable:
    """Return the variable in flyteidl's message.

    Raises:
        CodecError: as `type_from_idl` does.
    """
    return Variable(type_from_idl(message.type), message.description)


def spoken(message: types_pb2.LiteralType) -> str:
    """Return the message's type as a person writes it in Python, e.g. `list[int]`. It never raises.

    Schemas and structured datasets have no Python spelling of their own: `dataset`.
    """
    try:
        return t.describe(type_from_idl(message))
    except (CodecError, RecursionError):
        return "an unknown type"


def _fill(message: types_pb2.LiteralType, type: LiteralType) -> None:
    kind, value, metadata, annotation, tag, members = type
    # SetInParent marks an empty message as present, so that an empty enum or union stays one.
    if kind == t.SIMPLE and value in _SIMPLE_NUMBERS:
        message.simple = _SIMPLE_NUMBERS[value]  # type: ignore[assignment]  # the enum's number
    elif kind == t.COLLECTION:
        _fill(message.collection_type, value)
    elif kind == t.MAP:
        _fill(message.map_value_type, value)
    elif kind == t.BLOB:
        fill_blob_type(message.blob, value)
    elif kind == t.ENUM:
        message.enum_type.SetInParent()
        for item in value:
            utf8(item)
            message.enum_type.values.append(item)
    elif kind == t.STRUCTURED_DATASET:
        fill_dataset_type(message.structured_dataset_type, value)
    elif kind == t.UNION:
        message.union_type.SetInParent()
        for variant in value:
            _fill(message.union_type.variants.add(), variant)
    elif kind == t.SCHEMA:
        fill_schema_type(message.schema, value)
    else:
        raise CodecError(f"Flyte has no type of the kind {kind!r} with the value {value!r}.")
    if metadata is not None:
        fill_struct(message.metadata, metadata)
    if annotation is not None:
        fill_struct(message.annotation.annotations, annotation)
    if tag or members is not None:
        message.structure.SetInParent()
        message.structure.tag = tag
        for name, member in (members or {}).items():
            utf8(name)
            _fill(message.structure.dataclass_type[name], member)


def fill_schema_type(message: types_pb2.SchemaType, type: StructuredDatasetType) -> None:
    """Set an empty `message` to the columns of a (legacy) schema.

    Raises:
        CodecError: when a column's type is not simple.
    """
    message.SetInParent()
    for name, column in type.columns:
        if column.kind != t.SIMPLE or column.value not in _COLUMN_TYPES:
            raise CodecError(f"The schema column {name!r} cannot be {t.describe(column)}.")
        utf8(name)
        number = _COLUMN_TYPES.index(column.value)
        message.columns.add(name=name, type=number)


def _read(message: types_pb2.LiteralType) -> LiteralType:
    structure = message.structure if message.HasField("structure") else None
    members = None
    # protobuf's maps have no order, and equal types need equal values.
    if structure is not None and structure.dataclass_type:
        members = {
            name: _read(structure.dataclass_type[name]) for name in sorted(structure.dataclass_type)
        }
    return LiteralType(
        *_kind_and_value(message),
        metadata=struct_from_idl(message.metadata) if message.HasField("metadata") else None,
        annotation=(
            struct_from_idl(message.annotation.annotations)
            if message.HasField("annotation")
            else None
        ),
        tag=structure.tag if structure is not None else "",
        dataclass_type=members,
    )


def _kind_and_value(message: types_pb2.LiteralType) -> "tuple[str, object]":
    kind = message.WhichOneof("type")
    if kind == "simple":
        # proto3 keeps numbers of an enum that it does not know, and a newer Flyte may send one.
        if not 0 <= message.simple < len(_SIMPLE):
            raise _unknown(f"simple type number {message.simple}")
        return t.SIMPLE, _SIMPLE[message.simple]
    if kind == "collection_type":
        return t.COLLECTION, _read(message.collection_type)
    if kind == "map_value_type":
        return t.MAP, _read(message.map_value_type)
    if kind == "blob":
        return t.BLOB, blob_type_from_idl(message.blob)
    if kind == "enum_type":
        return t.ENUM, tuple(message.enum_type.values)
    if kind == "structured_dataset_type":
        return t.STRUCTURED_DATASET, dataset_type_from_idl(message.structured_dataset_type)
    if kind == "union_type":
        return t.UNION, tuple(_read(variant) for variant in message.union_type.variants)
    if kind == "schema":
        return t.SCHEMA, schema_type_from_idl(message.schema)
    # A kind that a newer flyteidl added reads as not set, too.
    raise _unknown("a type that is not set")


def _fill_variables(message: interface_pb2.VariableMap, variables: "dict[str, Variable]") -> None:
    for name, variable in variables.items():
        entry = message.variables[name]
        entry.description = variable.description
        try:
            fill_type(entry.type, variable.type)
        except CodecError as error:
            raise error.below(f".{name}") from None


def _variables(message: interface_pb2.VariableMap) -> "dict[str, Variable]":
    found = {}
    # Sorted, so that equal interfaces have their variables in the same order.
    for name in sorted(message.variables):
        try:
            found[name] = variable_from_idl(message.variables[name])
        except CodecError as error:
            raise error.below(f".{name}") from None
    return found


def _unknown(what: str) -> CodecError:
    return CodecError(
        f"The message has {what}, which this release does not know.",
        hint="Upgrade flyte-nb if a newer Flyte made it.",
    )


def _too_deep() -> CodecError:
    return CodecError(
        "The type is nested too deeply to be sent.",
        hint="protobuf reads about 50 levels of lists or dicts; use a pickled class instead.",
    )
