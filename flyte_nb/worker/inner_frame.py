"""A body whose calls run at once: of a dynamic task that runs here, or of a workflow in a task.

A call makes its node exactly as while a workflow is traced, with the same checks, and then the node
runs: its outputs are kept as literals, and the promises that the body holds stand for them.
"""

from types import FrameType
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import USER, CompileFailed, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import TASK, Scope
from flyte_nb.api.literals import COLLECTION, MAP, Literal
from flyte_nb.api.specs import BindingCollection, BindingData, BindingMap, OutputReference
from flyte_nb.sdk import context
from flyte_nb.sdk.finishing import bind_outputs, check_ids
from flyte_nb.sdk.frame import Frame
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.promise import Promise
from flyte_nb.worker.inner import InnerRunner, Literals
from flyte_nb.worker.kept_files import KeptFiles
from flyte_nb.worker.paths import at_path, fresh
from flyte_nb.worker.steps import FunctionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.signature import TaskSignature


class InnerFrame(Frame):
    """One body that runs here."""

    def __init__(self, entity: "Callee", runner: InnerRunner, inputs: Literals) -> None:
        """Args: inputs: of a workflow, what its input promises stand for."""
        super().__init__(entity.short_name, runner.registry, Scope(), lambda below: "", runner.data)
        self._runner = runner
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
                self._known[draft.node_id] = self._outputs(entity, inputs)
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

    def _outputs(self, entity: Any, inputs: Literals) -> Literals:
        __tracebackhide__ = True
        runner = self._runner
        if entity.resource_type == TASK:
            runner = _NodeRunner(runner, entity.options.retries)
        return runner.outputs(entity, inputs)

    def _literal(self, data: BindingData) -> Literal:
        if isinstance(data, OutputReference):
            found = self._known[data.node_id][data.var]
            return fresh(at_path(found, data.attr_path) if data.attr_path else found)
        if isinstance(data, BindingCollection):
            return Literal(COLLECTION, [self._literal(item) for item in data.items])
        if isinstance(data, BindingMap):
            return Literal(MAP, {key: self._literal(item) for key, item in data.items.items()})
        return fresh(data)


class _NodeRunner(InnerRunner):
    """Carries out one node: its task, or each element of its map, is tried again as its options say."""

    def __init__(self, outer: InnerRunner, retries: int) -> None:
        super().__init__(outer.registry, outer.data)
        self._outer = outer
        self._retries = retries

    def outputs(self, entity: Any, inputs: Literals) -> Literals:
        """Run the task, or the map whose elements come here one by one; see `InnerRunner.outputs`."""
        __tracebackhide__ = True
        if entity.original is not entity:
            return self._map_outputs(entity, inputs)
        if not self._retries:
            return self._outer.outputs(entity, inputs)
        files = KeptFiles()
        try:
            for attempt in range(self._retries):
                try:
                    return self._attempt(files, attempt).outputs(entity, inputs)
                except TaskFailed as failure:
                    if not failure.info.recoverable:
                        raise
            return self._attempt(files, self._retries).outputs(entity, inputs)
        finally:
            files.close()

    def _attempt(self, files: KeptFiles, number: int) -> InnerRunner:
        """Who carries out the attempt with this number."""
        outer = self._outer

        def make_context() -> Any:
            return files.begin(number, outer.context)

        return InnerRunner(outer.registry, outer.data, make_context)
