"""A body whose calls run at once: of a dynamic task that runs here, or of a workflow in a task.

A call makes its node exactly as while a workflow is traced, with the same checks, and then the node
runs: its outputs are kept as literals, and the promises that the body holds stand for them.
"""

from types import FrameType
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import USER, CompileFailed, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literals import COLLECTION, MAP, Literal
from flyte_nb.api.specs import BindingCollection, BindingData, BindingMap, OutputReference
from flyte_nb.sdk import context
from flyte_nb.sdk.finishing import bind_outputs, check_ids
from flyte_nb.sdk.frame import Frame
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.promise import Promise
from flyte_nb.worker.paths import at_path, fresh
from flyte_nb.worker.steps import FunctionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.types.registry import Registry


Literals = dict[str, Literal]


class InnerFrame(Frame):
    """One body that runs here."""

    def __init__(
        self,
        entity: "Callee",
        registry: "Registry",
        data: "DataAccess | None",
        carry_out: "Callable[[Any, Literals], Literals]",
        inputs: Literals,
    ) -> None:
        """Args: carry_out: runs a node. inputs: of a workflow, what its input promises stand for."""
        super().__init__(entity.short_name, registry, Scope(), lambda below: "", data)
        self._carry_out = carry_out
        self._known: dict[str, Literals] = {"": inputs}
        """Outputs by node; the workflow's inputs under an empty name."""

    def promises(self, signature: "TaskSignature") -> "dict[str, Promise]":
        """Return the inputs of a workflow as its body takes them."""
        return {
            name: Promise(None, OutputReference("", name), variable.type, name)
            for name, variable in signature.interface.inputs.items()
        }

    def run_body(self, function: "Callable[..., Any]", arguments: "Mapping[str, Any]") -> Any:
        """Return what `function` returns, with calls in it made nodes of this frame."""
        __tracebackhide__ = True
        token = context.frame.set(self)
        try:
            return run_to_end(function(**arguments))
        finally:
            context.frame.reset(token)

    def call(
        self, entity: Any, args: "tuple[Any, ...]", kwargs: "dict[str, Any]", caller: FrameType
    ) -> Any:
        """Make a node of a call of `entity` and run it; the value stands for its outputs.

        When something is wrong with the body, nothing more runs: the rest is only checked.

        Raises:
            TaskFailed: when an output does not fit, or something of the platform's failed.
            Exception: whatever the entity's own function raises.
        """
        __tracebackhide__ = True
        value = super().call(entity, args, kwargs, caller)
        if not self.problems:
            draft = self.drafts[-1]
            inputs = {binding.var: self._literal(binding.data) for binding in draft.bindings}
            try:
                self._known[draft.node_id] = self._carry_out(entity, inputs)
            except FunctionFailed as failure:
                raise failure.__cause__ or failure from None
        return value

    def bound_outputs(self, entity: "Callee", signature: "TaskSignature", value: Any) -> Literals:
        """Return what the body returned, as literals by variable.

        Raises:
            TaskFailed: with every problem of the body.
        """
        bindings = bind_outputs(self, entity, signature, value)
        check_ids(self)
        if self.problems:
            failed = CompileFailed(
                f"What {entity.short_name} puts together does not compile.", self.problems
            )
            raise TaskFailed(ErrorInfo("USER:DynamicCompileFailed", str(failed), USER)) from failed
        # Bindings name nodes by their final ids.
        self._known.update(
            {draft.id: self._known[draft.node_id] for draft in self.drafts if draft.fixed_id}
        )
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
