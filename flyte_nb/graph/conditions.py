"""A branch's conditions as a person would write them: `x > 0.1 and x < 1`."""

from flyteidl.core import condition_pb2, literals_pb2
from google.protobuf import duration_pb2

_OPERATORS = {0: "==", 1: "!=", 2: ">", 3: ">=", 4: "<", 5: "<="}
_MAX_DEPTH = 8


def condition_text(expression: condition_pb2.BooleanExpression, depth: int = 0) -> str:
    """The expression in Python's words; deeper than `_MAX_DEPTH` it is cut with an ellipsis.

    Source: flyteidl/core/condition.proto.
    """
    if depth > _MAX_DEPTH:
        return "…"
    kind = expression.WhichOneof("expr")
    if kind == "comparison":
        comparison = expression.comparison
        operator = _OPERATORS.get(comparison.operator, "?")
        left, right = _operand(comparison.left_value), _operand(comparison.right_value)
        return f"{left} {operator} {right}"
    if kind == "conjunction":
        conjunction = expression.conjunction
        word = "and" if conjunction.operator == 0 else "or"
        sides = []
        for side in (conjunction.left_expression, conjunction.right_expression):
            text = condition_text(side, depth + 1)
            nested = side.WhichOneof("expr") == "conjunction"
            differs = nested and side.conjunction.operator != conjunction.operator
            sides.append(f"({text})" if differs else text)
        return f"{sides[0]} {word} {sides[1]}"
    return "?"


def _operand(operand: condition_pb2.Operand) -> str:
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        return primitive_text(operand.primitive)
    if kind == "scalar":
        return scalar_text(operand.scalar) or "?"
    name: str = operand.var.lstrip(".")
    return name or "?"


def scalar_text(scalar: literals_pb2.Scalar, depth: int = 0) -> str:
    """A primitive scalar as Python writes it; empty for anything larger."""
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return primitive_text(scalar.primitive)
    if kind == "none_type":
        return "None"
    if kind == "union" and depth < _MAX_DEPTH:
        inner = scalar.union.value
        return scalar_text(inner.scalar, depth + 1) if inner.WhichOneof("value") == "scalar" else ""
    return ""


def primitive_text(primitive: literals_pb2.Primitive) -> str:
    """A primitive as Python writes it; times as ISO 8601."""
    kind = primitive.WhichOneof("value")
    if kind == "string_value":
        return repr(primitive.string_value)
    if kind == "boolean":
        return str(primitive.boolean)
    if kind == "integer":
        return str(primitive.integer)
    if kind == "float_value":
        return f"{primitive.float_value:g}"
    if kind == "datetime":
        try:
            return f"{primitive.datetime.ToJsonString()}"
        except ValueError:  # no year has it
            return f"{primitive.datetime.seconds} s after 1970"
    if kind == "duration":
        return duration_text(primitive.duration)
    return ""


def duration_text(duration: duration_pb2.Duration) -> str:
    """A time as a person says it, of any size: `500 ms`, `1.5 s`, `1 h 30 min`, `2 d`."""
    seconds = abs(duration.seconds + duration.nanos / 1e9)
    sign = "-" if duration.seconds < 0 or duration.nanos < 0 else ""
    if seconds < 1:
        return f"{sign}{seconds * 1000:g} ms" if seconds else "0 s"
    if seconds < 60:
        return f"{sign}{seconds:g} s"
    parts = []
    rest = round(seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:,} {unit}")
    return sign + " ".join(parts[:2])
