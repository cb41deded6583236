"""What conditionals and gates ask of the frame of a body that is traced; `TracingFrame` has it."""

from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from flyte_nb.api.literal_types import LiteralType
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.api.specs import Location, NodeMetadata, Target
    from flyte_nb.sdk.conditions import Condition
    from flyte_nb.sdk.node_drafts import NodeDraft
    from flyte_nb.sdk.promise import Outputs, Promise
    from flyte_nb.types.registry import Registry


class Arm(NamedTuple):
    """One arm of a conditional, as it was written."""

    condition: "Condition | None"
    """`None` for `else_`."""
    draft: "NodeDraft | None"
    """The call that runs when the arm is taken; `None` when the conditional fails there."""
    outputs: "tuple[Promise, ...]" = ()
    error: str = ""


class Section(Protocol):
    """A conditional that is being written."""

    name: str
    caller: FrameType
    instruction: int
    """Where it is written. The caller's frame goes on, so the instruction is noted."""
    calls: "list[NodeDraft]"
    """The calls that were made since it began, also those of no arm."""
    arms: "list[Arm]"


class Frame(Protocol):
    """The frame of a body that is traced."""

    registry: "Registry"
    data: "DataAccess | None"
    drafts: "list[NodeDraft]"
    sections: "list[Section]"
    """The conditionals that are being written, the innermost last."""

    def add(self, draft: "NodeDraft") -> None:
        """Append a node, to the conditional too in which it is written."""
        ...

    def hoist(self, draft: "NodeDraft") -> None:
        """Take a call out of the conditional in which it is written."""
        ...

    def branch(self, section: Section) -> "Promise | Outputs":
        """Make the node of a conditional that is complete, and return promises of its outputs."""
        ...

    def gate(
        self,
        target: "Target",
        metadata: "NodeMetadata",
        caller: FrameType,
        *,
        label: str,
        output: "tuple[str, LiteralType | None] | None" = None,
        approved: "Promise | None" = None,
    ) -> "Promise | Outputs":
        """Make a node that waits, and return a promise of its output."""
        ...

    def problem(
        self,
        code: str,
        message: str,
        *,
        draft: "NodeDraft | None" = None,
        variable: str = "",
        hint: str = "",
        location: "Location | None" = None,
    ) -> None:
        """Note a problem; with `draft`, at the line of its call."""
        ...
