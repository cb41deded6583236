"""Find the part of a literal that a promise's path leads to: `promise.rows[2]["name"]`."""

from collections.abc import Sequence
from typing import Any

from flyte_nb.api import literals
from flyte_nb.api.errors import UsageError
from flyte_nb.api.literals import Literal
from flyte_nb.types.plain_data import plain_struct


def at_path(literal: Literal, path: "Sequence[str | int]") -> Literal:
    """Return the part at `path`, e.g. `("rows", 2, "name")`, of a list, dict or struct.

    Raises:
        UsageError: when the value has no such part.
    """
    for done in range(len(path)):
        # A promise's path does not name the variant of a union, which is only known now.
        while literal.kind == literals.UNION:
            literal = literal.value[0]
        struct = plain_struct(literal)
        if struct is not None:  # from here on the path leads through plain data
            plain = struct[0]
            for below in range(done, len(path)):
                plain = _part(plain, path, below)
            return Literal(literals.STRUCT, plain)
        if literal.kind == literals.COLUMN:
            kind, values = literal.value
            literal = Literal(kind, _part(list(values), path, done))
        elif literal.kind in (literals.COLLECTION, literals.MAP):
            literal = _part(literal.value, path, done)
        else:
            raise _no_place(path, done, "the value is not a list, dict or struct")
    return literal


def fresh(literal: Literal) -> Literal:
    """Return the literal with a copy of its plain data, which its reader may change."""
    kind, value = literal.kind, literal.value
    if kind in (literals.STRUCT, literals.GENERIC):
        return literals.marked(literal._replace(value=_copy(value)), literal.metadata)
    if kind == literals.COLLECTION:
        return literal._replace(value=[fresh(item) for item in value])
    if kind == literals.MAP:
        return literal._replace(value={key: fresh(item) for key, item in value.items()})
    if kind == literals.UNION:
        return literal._replace(value=(fresh(value[0]), value[1]))
    return literal


def _copy(plain: object) -> object:
    if isinstance(plain, dict):
        return {key: _copy(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [_copy(item) for item in plain]
    return plain


def _part(value: Any, path: "Sequence[str | int]", done: int) -> Any:
    step = path[done]
    if isinstance(value, list) and not isinstance(step, int):
        raise _no_place(path, done, f"a list of {len(value)} items has no {step!r}")
    try:
        return value[step]
    except (LookupError, TypeError):
        has = f"a struct with {sorted(map(str, value))}" if isinstance(value, dict) else ""
        has = has or (f"a list of {len(value)} items" if isinstance(value, list) else repr(value))
        raise _no_place(path, done, f"there is {has}") from None


def _no_place(path: "Sequence[str | int]", done: int, why: str) -> UsageError:
    place = "".join(f"[{step!r}]" for step in path[: done + 1])
    return UsageError(f"The promise has no part {place}: {why}.")
