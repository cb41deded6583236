"""Find values whose type FlyteAdmin cannot infer, before it refuses them in words of its own.

FlyteAdmin reads the type of an input off its value and compares it with the interface. An empty dict
gives it no type for its items, so `[{}, {"a": 1}]` looks to it like a list of two different things.
"""

from collections.abc import Iterator, Mapping

from flyteidl.core import literals_pb2

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import LaunchPlanSpec, Variable
from flyte_nb.compiler.casting import TooComplex, Type, TypeTable
from flyte_nb.compiler.inference import type_of_literal
from flyte_nb.wire.literals import literal_to_idl
from flyte_nb.wire.types import type_to_idl

_HOLDING = (literals.COLLECTION, literals.MAP)


def check_inferred(literal: Literal, type: LiteralType) -> None:
    """Compare the type that FlyteAdmin infers from a value with the one that is wanted.

    Only values with containers in containers are checked: anything else that a codec wrote fits.

    Raises:
        CodecError: they differ; its path leads to the part that causes it.
    """
    # FlyteAdmin infers flat values without fault, and inferring takes long for large ones.
    if not _nests(literal):
        return
    table = TypeTable()
    message = literal_to_idl(literal)
    wanted = table.of(type_to_idl(type))
    if not _fits(table, message, wanted):
        raise _blame(table, message, wanted)


def untyped_values(spec: LaunchPlanSpec, inputs: "Mapping[str, Variable]") -> "tuple[Problem, ...]":
    """Return a problem for each default and fixed input of a launch plan that FlyteAdmin cannot type.

    Args:
        spec: The launch plan.
        inputs: The inputs of its workflow.
    """
    defaults = {name: each.default for name, each in spec.default_inputs.items()}
    problems = []
    for name, literal in {**defaults, **spec.fixed_inputs}.items():
        if literal is None:
            continue
        try:
            check_inferred(literal, inputs[name].type)
        except CodecError as error:
            place = f"{name}{error.path[1:]}"
            message = f"The value of {name}: {error.bare_message} (at {place})"
            problems.append(Problem("ValueDoesNotFit", message, variable=name, hint=error.hint))
    return tuple(problems)


def _nests(literal: Literal) -> bool:
    if literal.kind not in _HOLDING:
        return False
    parts = literal.value.values() if literal.kind == literals.MAP else literal.value
    return any(part.kind in (*_HOLDING, literals.COLUMN) for part in parts)


def _fits(table: TypeTable, literal: literals_pb2.Literal, wanted: "Type | None") -> bool:
    found = type_of_literal(table, literal)
    if found is None or wanted is None:
        return False
    try:
        return table.castable(found, wanted)
    except TooComplex:
        return False


def _blame(table: TypeTable, literal: literals_pb2.Literal, wanted: "Type | None") -> CodecError:
    """Return the error at the smallest part that does not fit, or at the empty one among parts that do."""
    parts = list(_parts(literal))
    inner = wanted.inner if wanted is not None else None
    for step, part in parts:
        if inner is not None and not _fits(table, part, inner):
            return _blame(table, part, inner).below(step)
    error = CodecError(
        "FlyteAdmin cannot infer the type of this value: one of its parts is empty, and another is"
        " not.",
        hint="Leave the empty part out, or take the whole value as a dataclass or as a plain dict.",
    )
    for step, part in parts:
        if _is_hollow(part):
            return error.below(step)
    return error


def _parts(literal: literals_pb2.Literal) -> "Iterator[tuple[str, literals_pb2.Literal]]":
    if literal.WhichOneof("value") == "collection":
        yield from ((f"[{at}]", item) for at, item in enumerate(literal.collection.literals))
    elif literal.WhichOneof("value") == "map":
        yield from ((f"[{key!r}]", item) for key, item in literal.map.literals.items())


def _is_hollow(literal: literals_pb2.Literal) -> bool:
    """Return whether it is an empty container, or contains only such."""
    if literal.WhichOneof("value") not in ("collection", "map"):
        return False
    return all(_is_hollow(part) for _, part in _parts(literal))
