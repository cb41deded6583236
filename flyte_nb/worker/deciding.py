"""Decide which arm of a conditional is taken in a body that runs inside one attempt.

Propeller's rules and texts, on plain values. The engine has them for messages
(`propeller/conditions.py`), which do not travel.
"""

import operator
from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import USER, ErrorInfo, TaskFailed
from flyte_nb.api.literals import BOOLEAN, DATETIME, DURATION, SCALAR_KINDS, Literal
from flyte_nb.api.specs import Comparison, Conjunction
from flyte_nb.sdk.node_drafts import BranchDraft, NodeDraft

_OPERATORS = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "GT": operator.gt,
    "GTE": operator.ge,
    "LT": operator.lt,
    "LTE": operator.le,
}
_MICROSECONDS = 1_000_000


def taken_arm(branch: BranchDraft, inputs: "Mapping[str, Literal]") -> NodeDraft:
    """Return the node of the first arm whose condition holds.

    Raises:
        TaskFailed: no arm is taken, or values cannot be compared.
    """
    for arm in branch.arms:
        if arm.condition is None or _holds(arm.condition, inputs):
            if arm.draft is None:
                raise _failed("UserProvidedError", arm.error)
            return arm.draft
    raise _failed("MalformedBranchUserError", "No branch satisfied")


def _holds(condition: "Comparison | Conjunction", inputs: "Mapping[str, Literal]") -> bool:
    if isinstance(condition, Conjunction):
        one, other = _holds(condition.left, inputs), _holds(condition.right, inputs)
        return (one and other) if condition.operator == "AND" else (one or other)
    left, right = (
        inputs[side] if isinstance(side, str) else side
        for side in (condition.left, condition.right)
    )
    if left.kind not in SCALAR_KINDS or right.kind not in SCALAR_KINDS:
        raise _malformed("Only primitives can be compared.")
    if left.kind != right.kind:
        raise _malformed(
            f"Comparison between different primitives types. lVal[{left.kind}]:rVal[{right.kind}]"
        )
    if left.kind == BOOLEAN and condition.operator not in ("EQ", "NEQ"):
        raise _malformed(f"[{condition.operator}] not defined for boolean operands.")
    return bool(_OPERATORS[condition.operator](_value(left), _value(right)))


def _value(literal: Literal) -> Any:
    # Propeller compares times by whole seconds.
    if literal.kind in (DATETIME, DURATION):
        return literal.value // _MICROSECONDS
    return literal.value


def _malformed(text: str) -> TaskFailed:
    return _failed("MalformedBranchUserError", text)


def _failed(code: str, text: str) -> TaskFailed:
    return TaskFailed(ErrorInfo(code, f"[{code}] {text}", USER))
