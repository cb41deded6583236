"""Infer the type of a value from its literal alone, as Flyte does.

A literal carries no type of its own; the compiler needs one for every constant in a binding, and
for every input of a launch.

Source: flytepropeller/pkg/compiler/validators/utils.go at v1.16.8.
"""

from collections.abc import Iterable

from flyteidl.core import literals_pb2, types_pb2

from flyte_nb.compiler.casting import Type, TypeTable
from flyte_nb.compiler.flyte_text import go_text

_PRIMITIVES = {
    "integer": types_pb2.INTEGER,
    "float_value": types_pb2.FLOAT,
    "string_value": types_pb2.STRING,
    "boolean": types_pb2.BOOLEAN,
    "datetime": types_pb2.DATETIME,
    "duration": types_pb2.DURATION,
    None: types_pb2.NONE,
}


def type_of_primitive(table: TypeTable, primitive: literals_pb2.Primitive) -> Type:
    """Return the primitive's type; NONE when it holds nothing."""
    return table.simple(_PRIMITIVES[primitive.WhichOneof("value")])


def type_of_scalar(table: TypeTable, scalar: literals_pb2.Scalar) -> "Type | None":
    """Return the scalar's type; `None` when it holds nothing, or a blob without metadata."""
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return type_of_primitive(table, scalar.primitive)
    if kind == "none_type":
        return table.none
    if kind == "binary":
        # SDKs write dataclasses, models and dicts as msgpack bytes with this tag; their type is
        # STRUCT.
        packed = scalar.binary.tag == "msgpack"
        return table.simple(types_pb2.STRUCT if packed else types_pb2.BINARY)
    if kind == "generic":
        return table.simple(types_pb2.STRUCT)
    if kind == "error":
        return table.simple(types_pb2.ERROR)
    message = types_pb2.LiteralType()
    if kind == "union":
        # A union literal names the variant it was written as: its type is a union of that one
        # variant, which `TypeTable.castable` looks into.
        message.union_type.variants.add().CopyFrom(scalar.union.type)
    elif kind == "structured_dataset":
        metadata = scalar.structured_dataset.metadata
        if not metadata.HasField("structured_dataset_type"):
            # The value says that it is a dataset (a schema, a blob) but not which. Flyte has no
            # type for it either, and lets it fit nothing.
            return table.untyped("structured_dataset_type")
        message.structured_dataset_type.CopyFrom(metadata.structured_dataset_type)
    elif kind == "schema":
        if not scalar.schema.HasField("type"):
            return table.untyped("schema")
        message.schema.CopyFrom(scalar.schema.type)
    elif kind == "blob" and scalar.blob.HasField("metadata"):
        if not scalar.blob.metadata.HasField("type"):
            return table.untyped("blob")
        message.blob.CopyFrom(scalar.blob.metadata.type)
    else:
        return None
    return table.of(message)


def type_of_literal(table: TypeTable, literal: literals_pb2.Literal) -> "Type | None":
    """Return the type of an execution's or launch plan's input; `None` when the literal holds nothing."""
    kind = literal.WhichOneof("value")
    if kind == "scalar":
        return type_of_scalar(table, literal.scalar)
    if kind == "collection":
        return table.collection(_type_of_items(table, literal.collection.literals))
    if kind == "map":
        return table.map(_type_of_items(table, literal.map.literals.values()))
    # A large literal that was written to storage; its type was noted when it was written.
    if kind == "offloaded_metadata" and literal.offloaded_metadata.HasField("inferred_type"):
        return table.of(literal.offloaded_metadata.inferred_type)
    return None


def _type_of_items(table: TypeTable, items: "Iterable[literals_pb2.Literal]") -> "Type | None":
    """Return the type of the items of a list or dict: their one type, or a union of their types."""
    found: dict[Type | None, None] = {}
    empty = False
    for item in items:
        type = type_of_literal(table, item)
        if item.WhichOneof("value") == "collection" and not item.collection.literals:
            # `[[], [1]]` is a list of lists of int: an empty list has no say while another item has.
            empty = True
            type_when_empty = type
            continue
        found[type] = None
    if not found:
        return type_when_empty if empty else table.none
    types = [type for type in found if type is not None]
    if len(found) == 1:
        return types[0] if types else None
    # Sorted by Flyte's text of the types, so that equal sets of types give equal unions, in Flyte's
    # order.
    types.sort(key=lambda found_type: go_text(found_type.message))
    return _union(table, types)


def _union(table: TypeTable, types: "list[Type]") -> Type:
    """Return the union of these types. Lists of unions are merged into one list of one union."""
    nested = False
    message = types_pb2.LiteralType()
    for type in types:
        inner = type.inner if type.kind == "collection_type" else None
        if inner is not None and inner.kind == "union_type":
            nested = True
            # As Flyte does: without the merge, `[[1, "a"], [2.0, "b"]]` would be a union of lists
            # of unions.
            message.union_type.variants.extend(variant.message for variant in inner.variants)
        else:
            message.union_type.variants.append(type.message)
    union = table.of(message)
    return table.collection(union) if nested else union
