"""Convert Python values to the literals of a launch, and report every wrong input together."""

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
from flyte_nb.types.codec import Codec


def to_literals(
    given: "Mapping[str, Any]",
    *,
    entity: str,
    inputs: "Mapping[str, Variable]",
    codecs: "Mapping[str, Codec]",
    optional: "frozenset[str]" = frozenset(),
    fixed: "frozenset[str]" = frozenset(),
    data: "DataAccess | None" = None,
    launched: bool = False,
) -> "dict[str, Literal]":
    """Return the given values as literals. Files and frames are uploaded.

    Args:
        given: Values by name.
        entity: The name of what is launched, for messages.
        inputs: The inputs of the interface.
        codecs: The codec of each input.
        optional: Names of inputs that have a default.
        fixed: Names of inputs that the launch plan fixes, and that nobody can give.
        data: Uploads values that do not travel inside a literal; `None` where none can be uploaded.
        launched: Whether the literals are sent to FlyteAdmin. It infers the type of each literal, and it
            cannot do that for some values, such as an empty list in a list; these are refused here.

    Raises:
        CompileFailed: inputs are missing, unknown, fixed, or of another type. The error has a problem
            for each.
        StorageError: a file or a frame cannot be uploaded.
    """
    problems = wrong_names(given, entity=entity, inputs=inputs, optional=optional, fixed=fixed)
    literals: dict[str, Literal] = {}
    for name in inputs:
        if name not in given:
            continue
        try:
            # The types are those that are registered, which may ask for another form of structs.
            literals[name] = fitted(codecs[name].encode(given[name], data), inputs[name].type)
            if launched:
                check_inferred(literals[name], inputs[name].type)
        except CodecError as error:
            # The path of a codec's error begins with `$`, which stands for the whole input. A suggestion
            # for the whole input does not help when one item of it is wrong.
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
    """Return a problem for every name that cannot be given, and for every input that is missing.

    Args:
        given: The names that are given.
        entity: The name of what is launched, for messages.
        inputs: The inputs of the interface.
        optional: Names of inputs that have a default.
        fixed: Names of inputs that the launch plan fixes.
    """
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
