"""Match the arguments of a call with the inputs of an entity, and report everything that does not fit."""

from collections.abc import Collection, Sequence

from flyte_nb.api.problems import Problem


def bind_arguments(
    entity: str,
    inputs: "Sequence[str]",
    positional: "Sequence[str]",
    optional: "Collection[str]",
    args: "tuple[object, ...]",
    kwargs: "dict[str, object]",
) -> "tuple[dict[str, object], list[Problem]]":
    """Return the arguments by input, and a problem for each that is unknown, given twice or missing.

    Args:
        entity: The name that messages use.
        inputs: All inputs, in the order of the signature.
        positional: Inputs that may be given by position, in order.
        optional: Inputs that may be left out.
        args: What was given by position.
        kwargs: What was given by name.
    """
    problems: list[Problem] = []
    if len(args) > len(positional):
        problems.append(
            Problem(
                "TooManyArguments",
                f"{entity} takes {len(positional)} arguments by position, {len(args)} were given.",
                hint=_how_to_call(entity, inputs),
                entity=entity,
            )
        )
    given = dict(zip(positional, args, strict=False))
    for name, value in kwargs.items():
        if name in given:
            problems.append(
                Problem(
                    "ParameterBoundMoreThanOnce",
                    f"The input {name} of {entity} is given by position and by name.",
                    variable=name,
                    hint="Give it once.",
                    entity=entity,
                )
            )
        elif name in inputs:
            given[name] = value
        else:
            problems.append(_unknown(entity, name, inputs))
    problems.extend(
        Problem(
            "ParameterNotBound",
            f"The input {name} of {entity} is missing.",
            variable=name,
            hint=f"Write {entity}(…, {name}=…).",
            entity=entity,
        )
        for name in inputs
        if name not in given and name not in optional
    )
    return given, problems


def _unknown(entity: str, name: str, inputs: "Sequence[str]") -> Problem:
    import difflib  # only for a mistake

    close = difflib.get_close_matches(name, inputs, n=1)
    if close:
        hint = f"Did you mean {close[0]}? Write {close[0]}=…."
    else:
        hint = _how_to_call(entity, inputs)
    return Problem(
        "VariableNameNotFound",
        f"{entity} has no input {name}.",
        variable=name,
        hint=hint,
        entity=entity,
    )


def _how_to_call(entity: str, inputs: "Sequence[str]") -> str:
    return f"Write {entity}({', '.join(f'{name}=…' for name in inputs)})."
