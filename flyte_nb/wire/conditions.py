"""Translate the conditions of branches: `api.specs` -> flyteidl/core/condition.proto."""

from flyteidl.core import condition_pb2

from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import Comparison, Conjunction
from flyte_nb.wire.enums import COMPARISONS, JOINS
from flyte_nb.wire.literals import literal_to_idl


def condition_to_idl(condition: "Comparison | Conjunction") -> condition_pb2.BooleanExpression:
    """Return the condition as flyteidl's message.

    Raises:
        CodecError: when a constant cannot be expressed in flyteidl.
    """
    message = condition_pb2.BooleanExpression()
    if isinstance(condition, Conjunction):
        both = message.conjunction
        both.operator = JOINS.Value(condition.operator)
        both.left_expression.CopyFrom(condition_to_idl(condition.left))
        both.right_expression.CopyFrom(condition_to_idl(condition.right))
        return message
    comparison = message.comparison
    comparison.operator = COMPARISONS.Value(condition.operator)
    _operand(comparison.left_value, condition.left)
    _operand(comparison.right_value, condition.right)
    return message


def _operand(message: condition_pb2.Operand, operand: "str | Literal") -> None:
    if isinstance(operand, str):
        message.var = operand
        return
    scalar = literal_to_idl(operand).scalar
    if scalar.WhichOneof("value") == "primitive":
        message.primitive.CopyFrom(scalar.primitive)
    else:
        message.scalar.CopyFrom(scalar)
