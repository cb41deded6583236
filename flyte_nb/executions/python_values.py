"""flyteidl's literals as Python values, by the types that the interface names.

Where nobody knows the interface, a type is read off the literal itself.
"""

from collections.abc import Mapping
from typing import Any

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import literal_types as types
from flyte_nb.api import literals as kinds
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.registry import Registry
from flyte_nb.wire.literals import literal_map_from_idl

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
    codecs: "Mapping[str, Any] | None" = None,
    interface: "Mapping[str, LiteralType] | None" = None,
) -> "dict[str, Any]":
    """The values in `message` by name.

    Args:
        message: As FlyteAdmin or a store gave it.
        registry: Whose codecs read them.
        data: Downloads files and frames.
        codecs: The codec of a variable, where the author's own types are known.
        interface: The type of a variable, where the registered interface is known.

    Raises:
        CodecError: a value does not fit its type.
    """
    values = {}
    for name, literal in literal_map_from_idl(message).items():
        codec = (codecs or {}).get(name)
        if codec is None:
            literal_type = (interface or {}).get(name) or type_of(literal)
            codec = registry.codec(registry.guess(literal_type))
        values[name] = codec.decode(literal, data)
    return values


def type_of(literal: Literal) -> LiteralType:
    """The type that `literal` shows."""
    kind, value, _ = literal
    if kind in _SIMPLE:
        return types.simple(_SIMPLE[kind])
    if kind == kinds.COLUMN:
        return LiteralType(types.COLLECTION, types.simple(_SIMPLE[value[0]]))
    if kind == kinds.COLLECTION:
        element = type_of(value[0]) if value else types.simple(types.NONE)
        return LiteralType(types.COLLECTION, element)
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
