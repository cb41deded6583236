"""A branch's conditions as a person would write them: `x > 0.1 and x < 1`."""

from flyteidl.core import condition_pb2, literals_pb2

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
        return f"{primitive.datetime.ToJsonString()}"
    if kind == "duration":
        return f"{primitive.duration.seconds} s"
    return ""
