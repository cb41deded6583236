"""Values that are plain scalars, as most values of small tasks are: quick ways to and from messages."""

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import literals
from flyte_nb.api.literals import Literal
from flyte_nb.wire.literals import literal_map_from_idl, literal_map_to_idl

_PLAIN = frozenset({literals.INTEGER, literals.FLOAT, literals.STRING, literals.BOOLEAN})


def from_idl(inputs: LiteralMap) -> dict[str, Literal]:
    """Do what `literal_map_from_idl` does, ten times faster when there are only plain scalars."""
    found = {}
    for name, literal in inputs.literals.items():
        primitive = literal.scalar.primitive
        kind = primitive.WhichOneof("value")
        if kind not in _PLAIN or literal.hash or literal.metadata:
            return literal_map_from_idl(inputs)
        found[name] = Literal(kind, getattr(primitive, kind))
    return found


def to_idl(outputs: dict[str, Literal]) -> LiteralMap:
    """Do what `literal_map_to_idl` does, ten times faster when there are only plain scalars."""
    if not is_plain(outputs):
        return literal_map_to_idl(outputs)
    made = LiteralMap()
    try:
        for name, literal in outputs.items():
            setattr(made.literals[name].scalar.primitive, literal.kind, literal.value)
    except (TypeError, ValueError):
        return literal_map_to_idl(outputs)  # its error says what is wrong, and where
    return made


def is_plain(values: dict[str, Literal]) -> bool:
    """Return whether all values are plain scalars."""
    return all(map(is_scalar, values.values()))


def is_scalar(literal: Literal) -> bool:
    """Return whether the literal is a plain scalar: nothing of it can be shared, and nothing is marked."""
    return literal.kind in _PLAIN and type(literal) is Literal and not literal.hash


def is_plain_message(values: LiteralMap) -> bool:
    """Return whether all values of a message are plain scalars."""
    return all(literal.scalar.HasField("primitive") for literal in values.literals.values())
