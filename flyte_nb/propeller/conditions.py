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
from flyteidl.core.literals_pb2 import LiteralMap, Primitive

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
            kinds of two values differ.
    """
    kind = condition.WhichOneof("expr")
    if kind == "comparison":
        return _compare(condition.comparison, inputs)
    if kind is None:
        raise _malformed("No Comparison or Conjunction found in Branch node expression.")
    both = condition.conjunction
    # Propeller looks at both sides, also when the left one decides: a malformed right side is an error.
    left = holds(both.left_expression, inputs)
    right = holds(both.right_expression, inputs)
    return left or right if both.operator == ConjunctionExpression.OR else left and right


def _compare(comparison: ComparisonExpression, inputs: LiteralMap) -> bool:
    left_is_value = comparison.left_value.WhichOneof("val") != "primitive"
    left = _operand(comparison.left_value, inputs)
    right = _operand(comparison.right_value, inputs)
    if left is None:
        raise _malformed("Only primitives can be compared. LHS Variable is non primitive.")
    if right is None:
        # Propeller's text has a full stop in one of the two cases only.
        stop = "" if left_is_value else "."
        raise _malformed(f"Only primitives can be compared. RHS Variable is non primitive{stop}")
    kind = left.WhichOneof("value")
    if kind != right.WhichOneof("value"):
        types = f"lVal[{_go_type(left)}]:rVal[{_go_type(right)}]"
        raise _malformed(f"Comparison between different primitives types. {types}")
    name, compare = _OPERATORS[comparison.operator]
    if kind == "boolean" and name not in ("EQ", "NEQ"):
        raise _malformed(f"[{name}] not defined for boolean operands.")
    return bool(compare(_value(left, kind), _value(right, kind)))


def _operand(operand: Operand, inputs: LiteralMap) -> "Primitive | None":
    """Return the primitive to compare; `None` when the value is none, so also when it is None or optional."""
    if operand.WhichOneof("val") == "primitive":
        return operand.primitive
    # A constant that is no primitive has no variable, and propeller looks for one with the empty name.
    if operand.var not in inputs.literals:
        raise _malformed(f"Failed to find Value for Variable [{operand.var}]")
    scalar = inputs.literals[operand.var].scalar
    return scalar.primitive if scalar.WhichOneof("value") == "primitive" else None


def _value(primitive: Primitive, kind: "str | None") -> Any:  # Any: one of six types that compare
    value = getattr(primitive, kind or "")
    # Propeller compares times by whole seconds.
    return value.seconds if kind in ("datetime", "duration") else value


def _go_type(primitive: Primitive) -> str:
    """Return the name of the value's type in propeller, which its error text quotes."""
    kind = primitive.WhichOneof("value")
    if kind is None:
        return "<nil>"
    return "*core.Primitive_" + "".join(part.capitalize() for part in kind.split("_"))


def _malformed(text: str) -> Unresolved:
    return Unresolved(f"[{_MALFORMED}] {text}", code=_MALFORMED, origin=USER)
