"""Convert literals to the form that the type of a registered interface asks for."""

from flyte_nb.api import literal_types as types
from flyte_nb.api import literals as kinds
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.types.plain_data import generic_literal, plain_struct


def fitted(literal: Literal, wanted: LiteralType) -> Literal:
    """Return the literal with its structs in the form that `wanted` asks for.

    A struct travels as msgpack only when an annotation of the type says so. Types of other SDKs, and of
    flytekit before 1.14, have no such annotation, and their tasks read a `google.protobuf.Struct`.

    Args:
        literal: A value as this SDK encodes it, with structs as msgpack.
        wanted: The type in the registered interface.

    Raises:
        CodecError: a struct has a value that a `google.protobuf.Struct` cannot hold.
    """
    if not _asks(wanted):  # most types have no such struct, and then no value is visited
        return literal
    kind, value, digest = literal
    if wanted.kind == types.SIMPLE and wanted.value == types.STRUCT:
        # A dict that is marked as pickled is no struct, and is in the form that all tasks read already.
        is_plain = not _has_msgpack(wanted) and not literal.metadata
        plain = plain_struct(literal) if is_plain else None
        return literal if plain is None else generic_literal(plain[0])._replace(hash=digest)
    if wanted.kind == types.COLLECTION and kind == kinds.COLLECTION:
        return literal._replace(value=[fitted(item, wanted.value) for item in value])
    if wanted.kind == types.MAP and kind == kinds.MAP:
        return literal._replace(
            value={name: fitted(item, wanted.value) for name, item in value.items()}
        )
    if wanted.kind == types.UNION and kind == kinds.UNION:
        inner, chosen = value
        variant = _variant(chosen, wanted)
        return literal._replace(value=(fitted(inner, variant), variant))
    return literal


def _asks(wanted: LiteralType) -> bool:
    """Return whether the type has a struct without msgpack, at any depth."""
    if wanted.kind in (types.COLLECTION, types.MAP):
        return _asks(wanted.value)
    if wanted.kind == types.UNION:
        return any(map(_asks, wanted.value))
    is_struct = wanted.kind == types.SIMPLE and wanted.value == types.STRUCT
    return is_struct and not _has_msgpack(wanted)


def _has_msgpack(wanted: LiteralType) -> bool:
    annotation = (wanted.annotation or {}).get("cache-key-metadata")
    return isinstance(annotation, dict) and annotation.get("serialization-format") == "msgpack"


def _variant(chosen: LiteralType, wanted: LiteralType) -> LiteralType:
    """Return the variant of `wanted` that is the chosen one; or one that differs only in its annotation."""
    variants: tuple[LiteralType, ...] = wanted.value
    if chosen in variants:
        return chosen
    like = [each for each in variants if (each.kind, each.value) == (chosen.kind, chosen.value)]
    return like[0] if like else chosen
