"""`conditional`: a branch of a workflow. In the run exactly one of its arms becomes nodes that run.

The calls inside the arms are made one after the other while the body is traced. `TracingFrame.sections` says
which conditional they are written in, so that they become nodes of its arms and not of the workflow.
"""

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.sdk import context
from flyte_nb.sdk.conditions import Condition
from flyte_nb.sdk.frames import Arm
from flyte_nb.sdk.promise import Outputs, Promise

if TYPE_CHECKING:
    from flyte_nb.sdk.frames import Frame
    from flyte_nb.sdk.node_drafts import NodeDraft


class ConditionalSection:
    """A conditional that is being written: `conditional(…).if_(…).then(…).else_().then(…)`."""

    def __init__(self, frame: "Frame", name: str, caller: FrameType) -> None:
        self.name = name
        self.caller = caller
        self.instruction = caller.f_lasti
        """Where it is written. The caller's frame goes on, so the instruction is noted."""
        self.calls: list[NodeDraft] = []
        """The calls that were made since it began, also those of no arm."""
        self.arms: list[Arm] = []
        self._frame = frame
        frame.sections.append(self)

    def if_(self, condition: Condition) -> "Case":
        """Begin the first arm, which is taken when the condition holds.

        Raises:
            UsageError: it is no comparison.
        """
        return self._case(condition, "if_")

    def elif_(self, condition: Condition) -> "Case":
        """Begin an arm that is taken when the condition holds, and those of no arm before it.

        Raises:
            UsageError: it is no comparison.
        """
        return self._case(condition, "elif_")

    def else_(self) -> "Case":
        """Begin the last arm, which is taken when no other is.

        Raises:
            UsageError: there is no arm before it.
        """
        if not self.arms:
            raise UsageError(f"{self!r}.else_(): write if_(…).then(…) before it.")
        return Case(self, None)

    def ended(self, arm: Arm) -> "ConditionalSection | Promise | Outputs":
        """Take an arm that is complete; after `else_` return promises of what all arms return."""
        self.arms.append(arm)
        if arm.condition is not None:
            return self
        # Before the node is made: it belongs to the conditional around this one, if there is one.
        self._frame.sections.remove(self)
        return self._frame.branch(self)

    def _case(self, condition: object, method: str) -> "Case":
        if not isinstance(condition, Condition):
            shown = getattr(condition, "_label", None) or repr(condition)
            raise UsageError(
                f"{self!r}.{method}({shown}): write a comparison of an input or output, e.g. x > 1 or"
                " flag.is_true()."
            )
        for draft in condition.drafts():
            if any(draft is each for each in self.calls):
                # A call whose output is compared always runs, so it is a node beside the branch.
                self.calls = [each for each in self.calls if each is not draft]
                self._frame.hoist(draft)
        if (method == "if_") == bool(self.arms):
            raise UsageError(
                f"{self!r}: if_ begins it, and then come elif_ and else_. Use elif_ for further arms."
            )
        return Case(self, condition)

    def __repr__(self) -> str:
        return f"conditional({self.name!r})"


class Case:
    """An arm whose condition is written and whose outcome is not."""

    def __init__(self, section: ConditionalSection, condition: "Condition | None") -> None:
        self._section = section
        self._condition = condition

    def then(self, result: object) -> Any:
        """Run this call when the arm is taken: a task, workflow, launch plan or conditional.

        Raises:
            UsageError: it is no call that is written here.
        """
        if isinstance(result, ConditionalSection):
            raise UsageError(f"{result!r} has no end. Write else_().then(…) or else_().fail(…).")
        draft: NodeDraft | None = None
        outputs: tuple[Promise, ...] = ()
        if isinstance(result, Outputs):
            draft, outputs = result._draft, tuple(result)
        # With a path the promise is a part of an output, and an arm runs a whole node.
        elif isinstance(result, Promise) and not result._reference.attr_path:
            draft, outputs = result._draft, (result,)
        if draft is None or not any(draft is each for each in self._section.calls):
            shown = getattr(result, "_label", None) or repr(result)
            raise UsageError(
                f"{self._section!r}.then({shown}): write a call of a task or workflow here, as in"
                " then(fit(x=x)). What was called before runs whichever arm is taken."
            )
        return self._section.ended(Arm(self._condition, draft, outputs))

    def fail(self, message: str) -> Any:
        """Let the workflow fail with this message when no arm is taken.

        Raises:
            UsageError: the arm has a condition: only the last one may fail.
        """
        if self._condition is not None:
            raise UsageError(
                f"{self._section!r}: only else_() can fail. For another arm, then(…) a task that raises."
            )
        return self._section.ended(Arm(None, None, error=str(message)))


def conditional(name: str) -> ConditionalSection:
    """Begin a branch of a workflow. It is written as one expression, whose value are the outputs.

    ```python
    best = (
        conditional("quality")
        .if_((score > 0.9) & (size < 10)).then(publish(model=model))
        .elif_(score > 0.5).then(retrain(model=model))
        .else_().fail("The model is not good enough.")
    )
    ```

    Values are compared with `==`, `!=`, `<`, `<=`, `>`, `>=`, `.is_true()` and `.is_false()`. They are
    numbers, text, booleans, dates or durations, and both sides have one type. An output that every arm has
    is an output of the conditional.

    Args:
        name: the node's name.

    Raises:
        UsageError: it is called outside of a workflow or a dynamic task.
    """
    frame = context.frame.get()
    if frame is None:
        raise UsageError(
            "conditional() branches a workflow: write it in a function with @workflow or @dynamic."
            " A task has values, so it uses if."
        )
    return ConditionalSection(frame, name, sys._getframe(1))
