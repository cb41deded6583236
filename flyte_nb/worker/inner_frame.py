"""Run a body whose calls run at once: that of a dynamic task that a task calls, or of a workflow in a task.

A call creates a node exactly as while a workflow is traced, with the same checks. Then the node runs. Its
outputs are kept as literals, and the body gets promises of them.
"""

from types import FrameType
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import USER, CompileFailed, ErrorInfo, TaskFailed, UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literals import COLLECTION, MAP, Literal
from flyte_nb.api.specs import BindingCollection, BindingData, BindingMap, OutputReference
from flyte_nb.sdk import context
from flyte_nb.sdk.finishing import bind_outputs, check_ids, check_sections
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.node_drafts import (
    BranchDraft,
    CodePosition,
    NodeDraft,
    final_ids,
    nodes_in_arms,
)
from flyte_nb.sdk.promise import Outputs, Promise
from flyte_nb.sdk.tracing import TracingFrame
from flyte_nb.worker.deciding import taken_arm
from flyte_nb.worker.paths import at_path, fresh
from flyte_nb.worker.steps import FunctionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.frames import Section
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.types.registry import Registry


Literals = dict[str, Literal]


class InnerFrame(TracingFrame):
    """The frame of one body that runs in this process."""

    def __init__(
        self,
        entity: "Callee",
        registry: "Registry",
        data: "DataAccess | None",
        carry_out: "Callable[[Any, Literals], Literals]",
        inputs: Literals,
    ) -> None:
        """Make the frame.

        Args:
            entity: the dynamic task or workflow.
            registry: finds the codecs.
            data: moves files; `None` where there is no store.
            carry_out: runs a node's entity on literals, and returns its outputs.
            inputs: the literals of a workflow's inputs; empty for a dynamic task, whose body gets values.
        """
        # Nothing of this body is registered, so the usual project and domain do.
        super().__init__(entity.short_name, registry, Scope(), lambda below: "", data)
        self._carry_out = carry_out
        self._known: dict[str, Literals] = {"": inputs}
        """Outputs by node id and variable. The empty id has the workflow's inputs, as promises of them do."""

    def promises(self, signature: "TaskSignature") -> "dict[str, Promise]":
        """Return the inputs of a workflow as promises, by name."""
        return {
            name: Promise(None, OutputReference("", name), variable.type, name)
            for name, variable in signature.interface.inputs.items()
        }

    def run_body(self, function: "Callable[..., Any]", arguments: "Mapping[str, Any]") -> Any:
        """Return what `function` returns, while its calls become nodes of this frame."""
        __tracebackhide__ = True
        # Bodies can be nested. After this one the calls belong to the frame around it again.
        token = context.frame.set(self)
        try:
            return run_to_end(function(**arguments))
        finally:
            context.frame.reset(token)

    def call(
        self,
        entity: Any,
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
        caller: "FrameType | CodePosition",
    ) -> Any:
        """Create a node for a call of `entity`, run it, and return promises of its outputs.

        A call inside a conditional runs when the conditional is complete, if its arm is taken.

        After the first problem of the body nothing runs any more: the rest is only checked, so that all
        problems are reported at once.

        Raises:
            TaskFailed: when an output does not fit, or a file cannot be moved.
            Exception: whatever the entity's own function raises.
        """
        __tracebackhide__ = True
        value = super().call(entity, args, kwargs, caller)
        if not self.problems and not self.sections:
            self._run(self.drafts[-1])
        return value

    def branch(self, section: "Section") -> "Promise | Outputs":
        """Create the node of a conditional, run the arm that is taken, and return promises of its outputs.

        Raises:
            TaskFailed: when no arm is taken, or values cannot be compared.
            Exception: whatever the function of the arm's entity raises.
        """
        __tracebackhide__ = True
        value = super().branch(section)
        if not self.problems and not self.sections:
            self._run(self.drafts[-1])
        return value

    def hoist(self, draft: NodeDraft) -> None:
        """Run a call whose output the conditional compares in which it is written.

        Raises:
            TaskFailed: when an output does not fit, or a file cannot be moved.
            Exception: whatever the entity's own function raises.
        """
        super().hoist(draft)
        # In a nested conditional the call has to wait: nobody knows yet whether the outer arm is taken.
        if not self.problems and len(self.sections) == 1:
            self._run(draft)

    def gate(self, *args: object, **kwargs: object) -> "Promise | Outputs":
        """Refuse: a body that runs inside one attempt cannot wait for a person.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.name} waits at a gate, and here it runs inside a task, which nobody can answer. Call it"
            " from a workflow, or launch it."
        )

    def _run(self, draft: NodeDraft) -> None:
        """Run a node, and keep its outputs."""
        __tracebackhide__ = True
        inputs = {binding.var: self._literal(binding.data) for binding in draft.bindings}
        if isinstance(draft, BranchDraft):
            # The other arms never run, as in a launched workflow.
            taken = taken_arm(draft, inputs)
            self._run(taken)
            # Promises of a conditional name the branch's node, whose outputs are those of the arm.
            self._known[draft.node_id] = self._known[taken.node_id]
            return
        try:
            self._known[draft.node_id] = self._carry_out(draft.plan.entity, inputs)
        except FunctionFailed as failure:
            # The body sees the exception of its callee, so that its `except` clauses work as in plain Python.
            raise failure.__cause__ or failure from None

    def bound_outputs(self, entity: "Callee", signature: "TaskSignature", value: Any) -> Literals:
        """Return the literals, by variable, of what the body returned.

        Raises:
            TaskFailed: when the body has problems; it names all of them.
        """
        bindings = bind_outputs(self, entity, signature, value)
        # The checks only collect problems, so that one error names all of them.
        check_sections(self)
        check_ids(self)
        if self.problems:
            failed = CompileFailed(
                f"What {entity.short_name} puts together does not compile.", self.problems
            )
            raise TaskFailed(ErrorInfo("USER:DynamicCompileFailed", str(failed), USER)) from failed
        # `bind_outputs` refers to nodes by their final ids, which an author may have set after the call, and
        # which the nodes of arms have for themselves.
        known = {"": self._known[""]}
        in_arms = nodes_in_arms(self.drafts)
        for final, draft in zip(final_ids(self.drafts), self.drafts, strict=True):
            if draft.node_id not in in_arms:
                known[final] = self._known[draft.node_id]
        self._known = known
        return {binding.var: self._literal(binding.data) for binding in bindings}

    def _literal(self, data: BindingData) -> Literal:
        if isinstance(data, OutputReference):
            found = self._known[data.node_id][data.var]
            return fresh(at_path(found, data.attr_path) if data.attr_path else found)
        if isinstance(data, BindingCollection):
            return Literal(COLLECTION, [self._literal(item) for item in data.items])
        if isinstance(data, BindingMap):
            return Literal(MAP, {key: self._literal(item) for key, item in data.items.items()})
        return fresh(data)
