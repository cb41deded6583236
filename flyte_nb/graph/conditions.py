"""Write conditions, constants and durations as a person would: `x > 0.1 and x < 1`, `1 h 30 min`."""

from flyteidl.core import condition_pb2, literals_pb2
from google.protobuf import duration_pb2

# `ComparisonExpression.Operator` of flyteidl/core/condition.proto, by number.
_OPERATORS = {0: "==", 1: "!=", 2: ">", 3: ">=", 4: "<", 5: "<="}
_MAX_DEPTH = 8


def condition_text(expression: condition_pb2.BooleanExpression, depth: int = 0) -> str:
    """Return the expression as Python writes it; deeper than `_MAX_DEPTH` it is cut with an ellipsis.

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
            # Parentheses only where `and` meets `or`: a chain of one operator reads better without.
            differs = nested and side.conjunction.operator != conjunction.operator
            sides.append(f"({text})" if differs else text)
        return f"{sides[0]} {word} {sides[1]}"
    return "?"


def _operand(operand: condition_pb2.Operand) -> str:
    """Return one side of a comparison."""
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        return primitive_text(operand.primitive)
    if kind == "scalar":
        return scalar_text(operand.scalar) or "?"
    name: str = operand.var.lstrip(".")
    return name or "?"


def scalar_text(scalar: literals_pb2.Scalar, depth: int = 0) -> str:
    """Return a primitive scalar as Python writes it; an empty text for anything larger."""
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
    """Return a primitive as Python writes it; times as ISO 8601."""
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
        except ValueError:
            # Outside of the years 1 to 9999, which is all that ISO 8601 and protobuf's JSON can write.
            return f"{primitive.datetime.seconds} s after 1970"
    if kind == "duration":
        return duration_text(primitive.duration)
    return ""


def duration_text(duration: duration_pb2.Duration) -> str:
    """Return a duration of any size as a person writes it: `500 ms`, `1.5 s`, `1 h 30 min`, `2 d`."""
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
    # Two units are precise enough to read.
    return sign + " ".join(parts[:2])
