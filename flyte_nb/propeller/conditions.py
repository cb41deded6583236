"""Decide which arm a branch node takes, from its inputs. Pure.

The rules and the error texts are propeller's, also where Python would do otherwise, so that a workflow
takes the same way here and on a cluster.

Source: flytepropeller/pkg/controller/nodes/branch/{evaluator,comparator}.go at v1.16.8.
"""

import operator
from typing import Any

from flyteidl.core.condition_pb2 import (
    BooleanExpression,
    ComparisonExpression,
    ConjunctionExpression,
    Operand,
)
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive

from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.propeller.plan import BranchPlan
from flyte_nb.propeller.resolve import Unresolved

_MALFORMED = "MalformedBranchUserError"

_OPERATORS = {
    ComparisonExpression.EQ: ("EQ", operator.eq),
    ComparisonExpression.NEQ: ("NEQ", operator.ne),
    ComparisonExpression.GT: ("GT", operator.gt),
    ComparisonExpression.GTE: ("GTE", operator.ge),
    ComparisonExpression.LT: ("LT", operator.lt),
    ComparisonExpression.LTE: ("LTE", operator.le),
}


def choose(branch: BranchPlan, inputs: LiteralMap) -> "int | ErrorInfo":
    """Return the number of the first arm whose condition holds, or the error that none is taken with."""
    for number, (condition, _) in enumerate(branch.arms):
        try:
            if condition is None or holds(condition, inputs):
                return number
        except Unresolved as error:
            return error.info
    if branch.error:
        return ErrorInfo("UserProvidedError", f"[UserProvidedError] {branch.error}", USER)
    return ErrorInfo(_MALFORMED, f"[{_MALFORMED}] No branch satisfied", USER)


def holds(condition: BooleanExpression, inputs: LiteralMap) -> bool:
    """Return whether the condition is true for these inputs.

    Raises:
        Unresolved: when it is neither true nor false: a value is missing or not a primitive, or the
        kinds of two
            values differ.
    """
    if condition.WhichOneof("expr") == "comparison":
        return _compare(condition.comparison, inputs)
    both = condition.conjunction
    # The right side is not looked at when the left one decides: it may be malformed, and propeller does
    # not mind.
    left = holds(both.left_expression, inputs)
    if both.operator == ConjunctionExpression.AND:
        return left and holds(both.right_expression, inputs)
    return left or holds(both.right_expression, inputs)


def _compare(comparison: ComparisonExpression, inputs: LiteralMap) -> bool:
    left = _operand(comparison.left_value, inputs)
    right = _operand(comparison.right_value, inputs)
    name, compare = _OPERATORS[comparison.operator]
    if left is None or right is None:
        # None equals only None, and it has no order.
        if name in ("EQ", "NEQ"):
            return (left is right) == (name == "EQ")
        raise _malformed("Only primitives can be compared. A value is None.")
    kind = left.WhichOneof("value")
    if kind != right.WhichOneof("value"):
        raise _malformed(
            f"Comparison between different primitives types. lVal[{_text(left)}]:rVal[{_text(right)}]"
        )
    if kind == "boolean" and name not in ("EQ", "NEQ"):
        raise _malformed(f"[{name}] not defined for boolean operands.")
    return bool(compare(_value(left, kind), _value(right, kind)))


def _operand(operand: Operand, inputs: LiteralMap) -> "Primitive | None":
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        return operand.primitive
    if kind == "scalar":
        return _primitive(Literal(scalar=operand.scalar), "the constant")
    if operand.var not in inputs.literals:
        raise _malformed(f"Failed to find Value for Variable [{operand.var}]")
    return _primitive(inputs.literals[operand.var], operand.var)


def _primitive(literal: Literal, what: str) -> "Primitive | None":
    """Return the primitive in a literal; `None` when the value is None."""
    while literal.scalar.WhichOneof("value") == "union":
        literal = literal.scalar.union.value
    kind = literal.scalar.WhichOneof("value")
    if kind == "primitive":
        return literal.scalar.primitive
    if kind == "none_type":
        return None
    raise _malformed(f"Only primitives can be compared. {what} is none.")


def _value(primitive: Primitive, kind: "str | None") -> Any:  # Any: one of six types that compare
    value = getattr(primitive, kind or "")
    # Propeller compares times by whole seconds.
    return value.seconds if kind in ("datetime", "duration") else value


def _text(primitive: Primitive) -> str:
    return str(primitive).strip().replace("\n", " ")


def _malformed(text: str) -> Unresolved:
    return Unresolved(f"[{_MALFORMED}] {text}", code=_MALFORMED, origin=USER)
