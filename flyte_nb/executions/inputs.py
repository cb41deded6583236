"""Python values made ready for a launch: every missing, unknown and ill-fitting one told at once."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from flyte_nb.api.errors import CodecError, CompileFailed
from flyte_nb.api.literal_types import describe
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Variable


def to_literals(
    given: "Mapping[str, Any]",
    *,
    entity: str,
    inputs: "Mapping[str, Variable]",
    codecs: "Mapping[str, Any]",
    optional: "frozenset[str]" = frozenset(),
    fixed: "frozenset[str]" = frozenset(),
    data: "DataAccess | None" = None,
) -> "dict[str, Literal]":
    """The given values as literals; files and frames are uploaded through `data`.

    Args:
        given: Values by name.
        entity: What is launched, for messages.
        inputs: The interface's inputs.
        codecs: How each is encoded.
        optional: Names that have a default.
        fixed: Names that the launch plan fixes.
        data: Uploads what does not travel inside of a literal.

    Raises:
        CompileFailed: inputs are missing, unknown or of another type; `problems` has every one.
    """
    problems = wrong_names(given, entity=entity, inputs=inputs, optional=optional, fixed=fixed)
    literals: dict[str, Literal] = {}
    for name in inputs:
        if name not in given:
            continue
        try:
            literals[name] = codecs[name].encode(given[name], data)
        except CodecError as error:
            near = codecs[name].nearest(given[name])
            hint = f"Write {name}={near!r}." if near is not None else error.hint
            problems.append(_problem(entity, name, error.bare_message, hint, "ValueDoesNotFit"))
    if problems:
        raise CompileFailed(f"{entity} cannot be launched with these inputs.", problems)
    return literals


def wrong_names(
    given: "Iterable[str]",
    *,
    entity: str,
    inputs: "Mapping[str, Variable]",
    optional: "Collection[str]" = (),
    fixed: "Collection[str]" = (),
) -> "list[Problem]":
    """Return a problem for every name that cannot be given, and for every input that is missing."""
    problems: list[Problem] = []
    names = list(given)
    for name in names:
        if name in fixed:
            problems.append(
                _problem(entity, name, f"{name} is fixed by the launch plan.", "Leave it out.")
            )
        elif name not in inputs:
            known = ", ".join(inputs) or "none"
            hint = f"Its inputs are: {known}."
            problems.append(
                _problem(entity, name, f"There is no input {name}.", hint, "UnknownInput")
            )
    for name, variable in inputs.items():
        if name not in names and name not in optional and name not in fixed:
            hint = f"Give {name}=…, {_article(describe(variable.type))}."
            problems.append(
                _problem(entity, name, f"The input {name} is missing.", hint, "MissingInput")
            )
    return problems


def _problem(
    entity: str, name: str, message: str, hint: str, code: str = "UnexpectedInput"
) -> Problem:
    return Problem(code, message, variable=name, hint=hint, entity=entity)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
