"""Make the problems of values and types: what was given, what is expected, and what would work.

Each function returns one kind of problem; see `shape_problems.py` for its parts.

Source of codes and texts: flytepropeller/pkg/compiler/errors/compiler_errors.go at v1.16.8.
"""

from collections.abc import Sequence

from google.protobuf.message import Message

from flyte_nb.api.nodes import END_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.collector import named
from flyte_nb.compiler.flyte_text import go_text, type_text
from flyte_nb.compiler.hints import mismatch_hint
from flyte_nb.compiler.wording import closest


def value_mismatch(node_id: str, name: str, actual: "Type | None", expected: Type) -> Problem:
    """Return the problem of a constant whose type does not fit the input."""
    return _mismatch(
        node_id,
        name,
        actual,
        expected,
        f"Variable [{name}] (type [{_text(actual)}]) doesn't match expected type [{_text(expected)}].",
    )


def promise_mismatch(
    node_id: str,
    name: str,
    source: "tuple[str, Type]",
    sink: "tuple[str, Type]",
    others: "Sequence[str]",
) -> Problem:
    """Return the problem of an output whose type does not fit the input that it is bound to.

    Args:
        node_id: the node with the input.
        name: the input.
        source: the output as Flyte names it, and its type.
        sink: the input as Flyte names it, and its type.
        others: outputs of the same node that would fit.
    """
    problem = _mismatch(
        node_id,
        name,
        source[1],
        sink[1],
        f"The output variable '{source[0]}' has type [{_text(source[1])}], but it's assigned to the"
        f" input variable '{sink[0]}' which has type type [{_text(sink[1])}].",
        maker=source[0],
    )
    if not others:
        return problem
    return problem._replace(hint=f"{named(others, 3)} of the same node would fit. {problem.hint}")


def mismatching_bindings(
    node_id: str, name: str, expected: Type, received: "str | Message"
) -> Problem:
    """Return the problem of a list or dict where something else is expected."""
    given = received if isinstance(received, str) else go_text(received)
    what = "nothing" if not given else "a list or dict"
    return Problem(
        "MismatchingBindings",
        f"{name!r} is {expected.readable}, but {what} is given.",
        node_id,
        name,
        f"Pass one {expected.readable}.",
        flyte_text=f"Input [{name}] on node [{node_id}] expects bindings of type"
        f" [{expected.whole_text}].  Received [{given}]",
    )


def field_not_found(
    node_id: str, var: str, type: Type, name: str, known: "Sequence[str] | None"
) -> Problem:
    """Return the problem of `promise.name` where the dataclass has no such field."""
    has = f"; it has {named(known)}" if known else ""
    return Problem(
        "FieldNotFound",
        f"{var} has no field {name!r}{has}.",
        node_id,
        var,
        closest(name, known),
        flyte_text=f"Variable [{var}] (type [{type.whole_text}]) doesn't have field [{name}].",
    )


def illegal_enum_value(
    node_id: str, name: str, value: str, expected: Type, known: "Sequence[str] | None"
) -> Problem:
    """Return the problem of a text that is not one of the enum's values."""
    allowed = expected.message.enum_type.values
    of = f"; it is one of {named([repr(item) for item in allowed[:9]])}" if known else ""
    return Problem(
        "IllegalEnumValue",
        f"{name!r} cannot be {value!r}{of}.",
        node_id,
        name,
        closest(value, known),
        flyte_text=f"Input [{name}] on node [{node_id}] is an Enum and expects value to be one of"
        f" [[{expected.values_text}]].  Received [{value}]",
    )


def ambiguous_union(
    node_id: str, name: str, expected: Type, binding: Message, matches: "tuple[Type, Type]"
) -> Problem:
    """Return the problem of a list or dict that fits two variants of a union."""
    first, second = (match.readable for match in matches)
    return Problem(
        "AmbiguousBindingUnionValue",
        f"{name!r} is {expected.readable}; both {first} and {second} accept this value.",
        node_id,
        name,
        "Make the value in a task whose return type is the variant you mean.",
        flyte_text=f"Input [{name}] on node [{node_id}] expects bindings of union type"
        f" [{expected.whole_text}].  Received [{go_text(binding)}] which is ambiguous as both"
        f" variants [{matches[0].whole_text}] and [{matches[1].whole_text}] match.",
    )


def incompatible_union(node_id: str, name: str, expected: Type, binding: Message) -> Problem:
    """Return the problem of a list or dict that fits no variant of a union."""
    return Problem(
        "IncompatibleBindingUnionValue",
        f"{name!r} is {expected.readable}; the given value fits none of these.",
        node_id,
        name,
        f"Pass exactly one of these: {expected.readable}.",
        flyte_text=f"Input [{name}] on node [{node_id}] expects bindings of union type"
        f" [{expected.whole_text}].  Received [{go_text(binding)}] which does not match any"
        " of the variants.",
    )


def condition_mismatch(node_id: str, right: Type, left: Type) -> Problem:
    """Return the problem of a comparison between two types."""
    return Problem(
        "MismatchingTypes",
        f"The condition compares {left.readable} with {right.readable}.",
        node_id,
        "RightValue",
        f"Compare with {left.readable}; Flyte converts nothing.",
        flyte_text=f"Variable [RightValue] (type [{_text(right)}]) doesn't match expected type"
        f" [{_text(left)}].",
    )


def _mismatch(
    node_id: str, name: str, actual: "Type | None", expected: Type, text: str, maker: str = ""
) -> Problem:
    """Return the problem of a value of one type where another is expected, with a hint."""
    given = actual.readable if actual is not None else "nothing"
    wanted = expected.readable
    # Two types may read alike and differ in how they are stored: then their tags tell them apart.
    if given == wanted and actual is not None:
        given, wanted = (
            f"{given} ({actual.tag or actual.kind})",
            f"{wanted} ({expected.tag or expected.kind})",
        )
    source = f"{maker} is {given}" if maker else f"the value is {given}"
    subject = f"The workflow's output {name!r}" if node_id == END_NODE else repr(name)
    return Problem(
        "MismatchingTypes",
        f"{subject} is {wanted}, but {source}.",
        node_id,
        name,
        mismatch_hint(actual, expected),
        flyte_text=text,
    )


def _text(type: "Type | None") -> str:
    """Return the type as Flyte quotes it."""
    return type.text if type is not None else type_text(None)


def unknown_literal(node_id: str, name: str) -> Problem:
    """Return the problem of an input whose literal has no type that this release knows."""
    return Problem(
        "InvalidLiteralType",
        f"The type of the value of {name!r} is not known to this release.",
        node_id,
        name,
        "If a newer Flyte made the value, upgrade flyte_nb.",
        flyte_text=f"Failed to validate literal type for [{name}] with err: got unknown literal"
        " type: [<nil>].\nSuggested solution: Please update all your Flyte deployment images to the"
        " latest version and try again",
    )
