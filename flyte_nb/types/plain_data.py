"""Plain data, which structs are made of: JSON's types, bytes, and keys of any scalar type.

`plain_data` checks and copies a Python value, `struct_literal` makes a literal of plain data, and
`plain_struct` reads it again.
"""

import os
from typing import Any

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal, Plain
from flyte_nb.types import msgpack
from flyte_nb.types.codec import show, spell
from flyte_nb.types.scalars import item_of

_MSGPACK = "msgpack"
OLD_FORMAT = "FLYTE_USE_OLD_DC_FORMAT"
"""flytekit's switch for values that tasks without msgpack can read (flytekit `core/constants.py`)."""
_TRUE = frozenset({"true", "t", "1"})
_EXACT = 2**53
"""Ints up to this are exact as a double, which is the only kind of number in a Struct."""
_DEEPEST = 100  # the depth at which protobuf stops reading
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # what msgpack holds


def struct_literal(plain: object) -> Literal:
    """Return the literal of a struct.

    Data that JSON can carry over the pipe stays plain, and the host packs it. Data with bytes, or with keys
    that are not text, is packed as msgpack here. Where `FLYTE_USE_OLD_DC_FORMAT` is set, the literal is a
    `google.protobuf.Struct`, as flytekit wrote structs before msgpack.

    Raises:
        CodecError: when a `google.protobuf.Struct` is wanted and cannot hold the data unchanged.
    """
    if os.environ.get(OLD_FORMAT, "").lower() in _TRUE:
        return generic_literal(plain)
    if _is_json(plain):
        return Literal(literals.STRUCT, plain)
    return Literal(literals.BINARY, (msgpack.packb(plain), _MSGPACK))


def generic_literal(plain: Plain) -> Literal:
    """Return the struct as a `google.protobuf.Struct`, which clients without msgpack can read.

    Raises:
        CodecError: when it has bytes, which a Struct cannot hold, or ints beyond 2**53, which would change.
    """
    return Literal(literals.GENERIC, _json(plain))


def _json(plain: Plain) -> Plain:
    """Return a copy as JSON that a Struct holds unchanged; raise `CodecError` where it would change."""
    if isinstance(plain, dict):
        done = {}
        for key, item in plain.items():
            try:
                done[_json_key(key)] = _json(item)
            except CodecError as error:
                raise error.below(f"[{key!r}]") from None
        return done
    if isinstance(plain, list):
        items = []
        for index, item in enumerate(plain):
            try:
                items.append(_json(item))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return items
    if isinstance(plain, bytes):
        raise CodecError(
            "A Struct without msgpack cannot hold bytes.", hint="Pass text, e.g. base64."
        )
    if isinstance(plain, int) and abs(plain) > _EXACT:
        raise CodecError(
            f"{show(plain)} loses digits in a Struct without msgpack.", hint="Pass it as str."
        )
    return plain


def _json_key(key: object) -> str:
    """Return a key as the text that JSON has for it."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return "null" if key is None else "true" if key else "false"
    if isinstance(key, (int, float)):
        return repr(key)
    raise CodecError(
        f"The key {show(key)} cannot be a key in a Struct without msgpack.", hint="Use text."
    )


def plain_struct(literal: Literal) -> "tuple[Plain] | None":
    """Return the plain data of a struct's literal in a tuple of one, or `None` when the literal is no struct.

    A struct can be `None` itself, so the tuple tells the two apart.
    """
    if literal.kind in (literals.STRUCT, literals.GENERIC):
        return (literal.value,)
    if literal.kind == literals.BINARY and literal.value[1] == _MSGPACK:
        return (msgpack.unpackb(literal.value[0]),)
    return None


def plain_of(literal: Literal) -> Plain:
    """Return a literal's value as plain data; the value of a blob or dataset is returned as it is."""
    kind, value, _ = literal
    if kind == literals.COLLECTION:
        return [plain_of(item) for item in value]
    if kind == literals.COLUMN:
        return list(value[1])
    if kind == literals.MAP:
        return {key: plain_of(item) for key, item in value.items()}
    if kind == literals.UNION:
        return plain_of(value[0])
    struct = plain_struct(literal)
    return value if struct is None else struct[0]


def plain_data(value: Any, depth: int = 0) -> Plain:
    """Return a copy of the value as plain data: tuples become lists, numpy's scalars become Python's.

    Args:
        value: any object.
        depth: how many containers are around it.

    Raises:
        CodecError: when a part is not plain data; `path` is its place.
    """
    # Exact types are compared first: this runs for every value of every struct.
    kind = type(value)
    if depth > _DEEPEST:
        raise CodecError("The value is nested too deeply, or contains itself.")
    if value is None or kind in (str, bool, float, bytes):
        return value
    if kind is int:
        if _LOWEST <= value <= _HIGHEST:
            return value
        raise CodecError(f"{show(value)} does not fit 64 bits.", hint="Pass it as str.")
    if kind in (list, tuple):
        done = []
        for index, part in enumerate(value):
            try:
                done.append(plain_data(part, depth + 1))
            except CodecError as error:
                raise error.below(f"[{index}]") from None
        return done
    if isinstance(value, dict):
        return _plain_dict(value, depth)
    if isinstance(value, str):  # of a subclass, e.g. numpy.str_
        return str.__str__(value)
    # Last, because it is slow: a look at the module's name of every class.
    item = item_of(value)
    if item is not value:
        return plain_data(item)
    raise CodecError(
        f"{spell(kind)} {show(value)} is not plain data.",
        hint="A dict without a type holds None, bool, int, float, str, bytes, lists and dicts;"
        " for anything else write dict[str, Any], which pickles its values.",
    )


def _plain_dict(value: "dict[Any, Any]", depth: int) -> "dict[Any, Any]":
    done = {}
    for key, part in value.items():
        try:
            done[plain_key(key)] = plain_data(part, depth + 1)
        except CodecError as error:
            raise error.below(f"[{key!r}]") from None
    return done


def plain_key(key: object) -> Plain:
    """Return a dict's key as plain data.

    Raises:
        CodecError: when it is neither a scalar nor bytes.
    """
    if key is None or isinstance(key, (str, int, float, bool, bytes)):
        return key
    item = item_of(key)
    if item is not key:
        return plain_key(item)
    raise CodecError(f"The key {show(key)} is not plain data.", hint="Use text or numbers as keys.")


def _is_json(plain: object) -> bool:
    """Return whether JSON can carry the plain data: all keys are text, and nothing is bytes."""
    if isinstance(plain, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in plain.items())
    if isinstance(plain, list):
        return all(map(_is_json, plain))
    return not isinstance(plain, bytes)
