"""Convert flyteidl's literals to Python values, by the types of the interface.

Where the interface is not known, the type is inferred from the literal itself.
"""

from collections.abc import Mapping
from typing import Any

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import literal_types as types
from flyte_nb.api import literals as kinds
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec
from flyte_nb.types.registry import Registry
from flyte_nb.wire.literals import literal_map_from_idl

# The simple type of each kind of literal.
_SIMPLE = {
    kinds.INTEGER: types.INTEGER,
    kinds.FLOAT: types.FLOAT,
    kinds.STRING: types.STRING,
    kinds.BOOLEAN: types.BOOLEAN,
    kinds.DATETIME: types.DATETIME,
    kinds.DURATION: types.DURATION,
    kinds.NONE: types.NONE,
    kinds.STRUCT: types.STRUCT,
    kinds.GENERIC: types.STRUCT,
    kinds.BINARY: types.STRUCT,
    kinds.ERROR: types.ERROR,
}


def python_values(
    message: LiteralMap,
    registry: Registry,
    data: DataAccess,
    *,
    codecs: "Mapping[str, Codec] | None" = None,
    interface: "Mapping[str, LiteralType] | None" = None,
) -> "dict[str, Any]":
    """Return the values in `message` by name.

    Args:
        message: The literals, as FlyteAdmin or a store gave them.
        registry: Its codecs are used where `codecs` has none.
        data: Downloads files and frames.
        codecs: Codecs by name, where this kernel defines the entity: they give the author's own classes.
        interface: Types by name, where the registered interface is known.

    Raises:
        CodecError: a value does not fit its type.
        StorageError: a file or a frame cannot be downloaded.
    """
    values = {}
    # A large value may be in an object of its own, and the message names it.
    read = getattr(data, "read", None)
    for name, literal in literal_map_from_idl(message, read).items():
        codec = (codecs or {}).get(name)
        if codec is None:
            literal_type = (interface or {}).get(name) or type_of(literal)
            codec = registry.codec(registry.guess(literal_type))
        values[name] = codec.decode(literal, data)
    return values


def type_of(literal: Literal) -> LiteralType:
    """Return the type that `literal` has by itself. An empty list or map has elements of the type `None`."""
    kind, value, _ = literal
    if kind in _SIMPLE:
        return types.simple(_SIMPLE[kind])
    if kind == kinds.COLUMN:
        return LiteralType(types.COLLECTION, types.simple(_SIMPLE[value[0]]))
    if kind == kinds.COLLECTION:
        return LiteralType(types.COLLECTION, _type_of_items(value))
    if kind == kinds.MAP:
        element = type_of(next(iter(value.values()))) if value else types.simple(types.NONE)
        return LiteralType(types.MAP, element)
    if kind == kinds.BLOB:
        return LiteralType(types.BLOB, value[1])
    if kind == kinds.STRUCTURED_DATASET:
        return LiteralType(types.STRUCTURED_DATASET, value[1])
    if kind == kinds.UNION:
        return type_of(value[0])
    return types.simple(types.STRUCT)


def _type_of_items(items: "list[Literal]") -> LiteralType:
    """Return the type of a list's items. A map has None where an element failed that was allowed to fail."""
    nothing = types.simple(types.NONE)
    some = next((item for item in items if item.kind != kinds.NONE), None)
    if some is None:
        return nothing
    element = type_of(some)
    if all(item.kind != kinds.NONE for item in items):
        return element
    return LiteralType(types.UNION, (element, nothing))
