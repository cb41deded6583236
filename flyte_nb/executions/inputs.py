"""Python values made ready for a launch: every missing, unknown and ill-fitting one told at once."""

import ast
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from flyte_nb.api import literal_types as types
from flyte_nb.api.errors import CodecError, CompileFailed
from flyte_nb.api.literal_types import LiteralType, describe
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
    problems: list[Problem] = []
    literals: dict[str, Literal] = {}
    for name in given:
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
        if name not in given:
            if name not in optional and name not in fixed:
                hint = f"Give {name}=…, {_article(describe(variable.type))}."
                problems.append(
                    _problem(entity, name, f"The input {name} is missing.", hint, "MissingInput")
                )
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


def from_text(text: str, type: LiteralType) -> Any:
    """A value as a person types it in a terminal, e.g. `3`, `2024-05-01`, `[1, 2]`.

    What cannot be read as the type is given back as text; encoding it then says what is wrong.
    """
    if type.kind == types.SIMPLE:
        return _simple_from_text(text, str(type.value))
    if type.kind == types.UNION:
        return _variant_from_text(text, type)
    if type.kind in (types.BLOB, types.ENUM, types.STRUCTURED_DATASET):
        return text
    return _data_from_text(text)


def _simple_from_text(text: str, name: str) -> Any:
    if name == types.STRING:
        return text
    if name == types.BOOLEAN:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        if name == types.INTEGER:
            return int(text)
        if name == types.FLOAT:
            return float(text)
        if name == types.DATETIME:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        if name == types.DURATION:
            return timedelta(seconds=float(text.removesuffix("s")))
    except ValueError:
        return text
    if name == types.NONE:
        return None if text in ("", "None", "null") else text
    return _data_from_text(text)


def _variant_from_text(text: str, type: LiteralType) -> Any:
    variants = list(type.value)
    if any(variant.value == types.NONE for variant in variants) and text in ("None", "null"):
        return None
    # Text fits a string always, so it is asked last.
    variants.sort(key=lambda variant: variant.value == types.STRING)
    for variant in variants:
        value = from_text(text, variant)
        if not isinstance(value, str) or variant.value == types.STRING:
            return value
    return text


def _data_from_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _problem(
    entity: str, name: str, message: str, hint: str, code: str = "UnexpectedInput"
) -> Problem:
    return Problem(code, message, variable=name, hint=hint, entity=entity)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
