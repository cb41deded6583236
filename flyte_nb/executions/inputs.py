"""Python values made ready for a launch: every missing, unknown and ill-fitting one told at once."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from flyte_nb.api.errors import CodecError, CompileFailed
from flyte_nb.api.literal_types import describe
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Variable
from flyte_nb.drafting.inferred import check_inferred
from flyte_nb.executions.fitting import fitted


def to_literals(
    given: "Mapping[str, Any]",
    *,
    entity: str,
    inputs: "Mapping[str, Variable]",
    codecs: "Mapping[str, Any]",
    optional: "frozenset[str]" = frozenset(),
    fixed: "frozenset[str]" = frozenset(),
    data: "DataAccess | None" = None,
    launched: bool = False,
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
        launched: Whether FlyteAdmin has to tell the values' types, which it cannot of some.

    Raises:
        CompileFailed: inputs are missing, unknown or of another type; `problems` has every one.
    """
    problems = wrong_names(given, entity=entity, inputs=inputs, optional=optional, fixed=fixed)
    literals: dict[str, Literal] = {}
    for name in inputs:
        if name not in given:
            continue
        try:
            literals[name] = fitted(codecs[name].encode(given[name], data), inputs[name].type)
            if launched:
                check_inferred(literals[name], inputs[name].type)
        except CodecError as error:
            within = error.path[1:]
            near = None if within else codecs[name].nearest(given[name])
            hint = f"Write {name}={near!r}." if near is not None else error.hint
            message = f"{error.bare_message} (at {name}{within})" if within else error.bare_message
            problems.append(_problem(entity, name, message, hint, "ValueDoesNotFit"))
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
    if noun.startswith("one of "):
        return noun
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
