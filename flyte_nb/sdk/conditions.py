"""Comparisons of promises, which decide in the run which arm of a `conditional` is taken."""

from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError

if TYPE_CHECKING:
    from flyte_nb.sdk.node_drafts import NodeDraft

_SIGNS = {"EQ": "==", "NEQ": "!=", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}


class Condition:
    """Something that is true or false in the run. Conditions are joined with `&` and `|`."""

    __slots__ = ()

    def __and__(self, other: object) -> "Conjunction":
        """Return the condition that both hold.

        Raises:
            UsageError: the other side is no condition.
        """
        return Conjunction("AND", self, _condition(other, "&"))

    def __or__(self, other: object) -> "Conjunction":
        """Return the condition that at least one holds.

        Raises:
            UsageError: the other side is no condition.
        """
        return Conjunction("OR", self, _condition(other, "|"))

    def drafts(self) -> "list[NodeDraft]":
        """Return the calls whose outputs are compared."""
        raise NotImplementedError

    def __bool__(self) -> bool:
        raise UsageError(
            f"{self!r} is decided when the workflow runs. Give it to conditional(…).if_(…). Join"
            " conditions with & and |, each in parentheses, in place of and, or, not, if and 1 < x < 2."
        )

    def __invert__(self) -> "Condition":
        raise UsageError(f"~({self!r}): Flyte has no not. Write the opposite comparison.")


class Comparison(Condition):
    """Two values, of which at least one is made in the run, and how they are compared."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: object, right: object) -> None:
        self.operator = operator
        """flyteidl's name of the operator: `EQ`, `NEQ`, `GT`, `GTE`, `LT` or `LTE`."""
        self.left = left
        """A `Promise`, which makes comparisons and so cannot be named here."""
        self.right = right
        """Another one, or a constant."""

    def drafts(self) -> "list[NodeDraft]":
        """Return the calls whose outputs are compared."""
        found = [getattr(side, "_draft", None) for side in (self.left, self.right)]
        return [draft for draft in found if draft is not None]

    def __repr__(self) -> str:
        sides = [getattr(side, "_label", None) or repr(side) for side in (self.left, self.right)]
        return f"{sides[0]} {_SIGNS[self.operator]} {sides[1]}"


class Conjunction(Condition):
    """Two conditions that are joined."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Condition, right: Condition) -> None:
        self.operator = operator
        """`AND` or `OR`."""
        self.left = left
        self.right = right

    def drafts(self) -> "list[NodeDraft]":
        """Return the calls whose outputs are compared."""
        return [*self.left.drafts(), *self.right.drafts()]

    def __repr__(self) -> str:
        sign = "&" if self.operator == "AND" else "|"
        return f"({self.left!r}) {sign} ({self.right!r})"


def _condition(value: object, sign: str) -> Condition:
    if isinstance(value, Condition):
        return value
    raise UsageError(
        f"The right side of {sign} is {value!r}, which is no comparison. Put each comparison in"
        f" parentheses: (x > 1) {sign} (y < 5)."
    )
