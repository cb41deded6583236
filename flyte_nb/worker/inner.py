"""Run the calls of tasks and workflows that a task's body makes, with every value as a literal between.

So an inner call behaves like a node of a launched workflow: files of one name stay apart, no task changes
another's list, and a value of the wrong type is refused.

The body of a plain task gets values. The bodies of dynamic tasks and of workflows get promises, whose
literals are known already. A promise refuses here what it refuses in a launched workflow, e.g. `if promise:`.
"""

from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError, CompileFailed, TaskFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.api.literals import Literal
from flyte_nb.sdk.execution_context import DirectRunner
from flyte_nb.sdk.outputs import unpack
from flyte_nb.worker import failures
from flyte_nb.worker.steps import (
    FunctionFailed,
    Stepwise,
    carried_out,
    decode,
    encode,
    signature_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyte_nb.api.ports import DataAccess
    from flyte_nb.api.problems import Problem
    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.execution_context import ExecutionContext
    from flyte_nb.sdk.kinds.map_task import MapTask
    from flyte_nb.sdk.launch_plan import LaunchPlan
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.sdk.task import AnyTask
    from flyte_nb.sdk.workflow import Workflow
    from flyte_nb.types.codec import Codec
    from flyte_nb.types.registry import Registry
    from flyte_nb.worker.inner_frame import InnerFrame
    from flyte_nb.worker.kept_files import KeptFiles

Literals = dict[str, Literal]


class InnerRunner(DirectRunner):
    """Runs the calls in one attempt's body, in its own thread and process.

    Args:
        registry: finds the codecs.
        data: moves files; `None` where there is no store.
        make_context: makes what `current_context()` returns, at its first call.
    """

    def __init__(
        self,
        registry: "Registry",
        data: "DataAccess | None" = None,
        make_context: "Callable[[], ExecutionContext] | None" = None,
    ) -> None:
        super().__init__()
        self.registry = registry
        self.data = data
        self._make_context = make_context

    def _made(self) -> "ExecutionContext":
        return self._make_context() if self._make_context is not None else super()._made()

    def run(self, entity: Any, inputs: "dict[str, Any]") -> Any:
        """Run `entity` with Python inputs and return its Python output (a tuple for several).

        Raises:
            CompileFailed: when inputs do not fit; it names all of them.
            TaskFailed: when an output does not fit, or a file cannot be moved.
            Exception: whatever the entity's own function raises.
        """
        __tracebackhide__ = True
        literals = self._encoded(entity, inputs)
        try:
            outputs = self.outputs(entity, literals)
        except FunctionFailed as failure:
            # The caller sees the exception that its callee raised, with the callee's lines.
            raise failure.__cause__ or failure from None
        return self._decoded(entity, outputs)

    async def run_async(self, entity: Any, inputs: "dict[str, Any]") -> Any:
        """Do what `run` does for an async task, in the event loop that is running.

        Raises:
            CompileFailed: when inputs do not fit; it names all of them.
            TaskFailed: when an output does not fit, or a file cannot be moved.
            Exception: whatever the task's own function raises.
        """
        # A frame runs the bodies of these to their end. It does not use the caller's event loop.
        if entity.resource_type in (LAUNCH_PLAN, WORKFLOW) or entity.is_dynamic:
            return self.run(entity, inputs)
        # Awaiting is all that differs from `steps.carried_out`: the caller's loop runs the body.
        literals = self._encoded(entity, inputs)
        signature = signature_of(entity, self.registry)
        returned: Awaitable[Any] = entity.function(**decode(entity, signature, literals, self.data))
        outputs = encode(entity, signature, await returned, self.data)
        return self._decoded(entity, outputs)

    def outputs(self, entity: Any, inputs: Literals) -> Literals:
        """Run `entity` on literals and return the outputs by variable.

        Raises:
            TaskFailed: for every failure except an interrupt of the process.
        """
        __tracebackhide__ = True
        if entity.resource_type == LAUNCH_PLAN:
            return self._launch_plan_outputs(entity, inputs)
        if entity.resource_type == WORKFLOW:
            return self._workflow_outputs(entity, inputs)
        if entity.original is not entity:  # a map of another task
            return self._map_outputs(entity, inputs)
        return task_outputs(entity, inputs, self)

    def node_outputs(self, entity: Any, inputs: Literals) -> Literals:
        """Do what `outputs` does for a node of a body: a task is tried again as often as its `retries` allow.

        Raises:
            TaskFailed: for every failure of the last attempt except an interrupt of the process.
        """
        __tracebackhide__ = True
        # Of what a node can run, only tasks have retries among their options.
        retries = entity.options.retries if entity.resource_type == TASK else 0
        return (_NodeRunner(self, retries) if retries else self).outputs(entity, inputs)

    def _launch_plan_outputs(self, plan: "LaunchPlan", inputs: Literals) -> Literals:
        # The caller's inputs win over defaults. Fixed inputs cannot be given: the signature lacks them.
        preset = {**plan.default_inputs, **plan.fixed_inputs}
        given = {name: value for name, value in preset.items() if name not in inputs}
        return self.outputs(plan.workflow, {**inputs, **self._encoded(plan.workflow, given)})

    def _workflow_outputs(self, workflow: "Workflow", inputs: Literals) -> Literals:
        signature = workflow.signature(self.registry)
        # On a cluster a workflow's defaults are in its launch plan. Here nobody else fills them in.
        missing = {name: value for name, value in signature.defaults.items() if name not in inputs}
        inputs = {**inputs, **self._encoded(workflow, missing)}
        frame = _frame(workflow, self, inputs)
        promises = frame.promises(signature)
        value = carried_out(lambda: frame.run_body(workflow.function, promises), {}, self)
        return frame.bound_outputs(workflow, signature, value)

    def _map_outputs(self, mapped: "MapTask", inputs: Literals) -> Literals:
        from flyte_nb.sdk.kinds.mapping import run_elements  # plain tasks need not load it

        signature = signature_of(mapped, self.registry)
        given = decode(mapped, signature, inputs, self.data)
        returned = carried_out(lambda: run_elements(mapped, given), {}, self)
        return encode(mapped, signature, returned, self.data)

    def _encoded(self, entity: Any, inputs: "Mapping[str, Any]") -> Literals:
        """Return the inputs as literals.

        Raises:
            CompileFailed: when inputs do not fit; it names all of them.
        """
        codecs = entity.signature(self.registry).input_codecs
        literals: Literals = {}
        # Every input is tried before the call is refused, so that the author sees all misfits at once.
        problems: list[Problem] = []
        for name, value in inputs.items():
            try:
                literals[name] = codecs[name].encode(value, self.data)
            except CodecError as error:
                problems.append(_misfit(entity.short_name, name, value, codecs[name], error))
        if problems:
            raise CompileFailed(
                f"{entity.short_name} cannot be called with these inputs.", problems
            )
        return literals

    def _decoded(self, entity: Any, outputs: Literals) -> Any:
        signature = entity.signature(self.registry)
        values = {
            name: codec.decode(outputs[name], self.data)
            for name, codec in signature.output_codecs.items()
        }
        return unpack(values, signature)


def task_outputs(
    task: "AnyTask",
    inputs: Literals,
    runner: InnerRunner,
    function: "Callable[..., Any] | None" = None,
) -> Literals:
    """Run a task on literals in this process and return the outputs by variable.

    Args:
        task: a plain or dynamic task.
        inputs: its inputs by variable.
        runner: runs the calls in its body.
        function: is called in place of the task's own function, which it calls.

    Raises:
        TaskFailed: for every failure except an interrupt of the process.
    """
    __tracebackhide__ = True
    signature = signature_of(task, runner.registry)
    arguments = decode(task, signature, inputs, runner.data)
    body = function or task.function
    if not task.is_dynamic:
        try:
            returned = carried_out(body, arguments, runner)
        except FunctionFailed as failed:
            unset = failures.output_not_set(task, failed.__cause__)
            if unset is None:
                raise
            raise TaskFailed(unset) from failed.__cause__
        # Nothing of a generator's body has run yet. It runs while the output is written, when the runner of
        # this body is not set any more.
        if type(returned).__name__ == "generator" and _takes_generator(signature):
            returned = Stepwise(returned, runner)
        return encode(task, signature, returned, runner.data)
    frame = _frame(task, runner, {})
    returned = carried_out(lambda **given: frame.run_body(body, given), arguments, runner)
    # A body that called nothing has no promises, so its values are those of a plain task.
    if not frame.drafts:
        return encode(task, signature, returned, runner.data)
    return frame.bound_outputs(task, signature, returned)


def _takes_generator(signature: "TaskSignature") -> bool:
    return any(codec.takes_generators for codec in signature.output_codecs.values())


def _frame(entity: "Callee", runner: InnerRunner, inputs: Literals) -> "InnerFrame":
    # Only dynamic tasks and workflows need it, and every module delays a warm attempt.
    from flyte_nb.worker.inner_frame import InnerFrame

    return InnerFrame(
        entity=entity,
        registry=runner.registry,
        data=runner.data,
        carry_out=runner.node_outputs,
        inputs=inputs,
    )


def _misfit(entity: str, name: str, value: object, codec: "Codec", error: CodecError) -> "Problem":
    from flyte_nb.api.problems import Problem  # only a wrong call needs it

    # The hint proposes a value for the whole input. That does not help when only a part of it is wrong.
    near = codec.nearest(value) if error.path == "$" else None
    where = "" if error.path == "$" else f" (at {error.path})"
    return Problem(
        "ValueDoesNotFit",
        f"{entity}.{name}: {error.bare_message}{where}",
        variable=name,
        hint=f"Write {name}={near!r}." if near is not None else error.hint,
        entity=entity,
    )


class _NodeRunner(InnerRunner):
    """Runs one node, whose task, or each element of whose map, has retries."""

    def __init__(self, outer: InnerRunner, retries: int) -> None:
        super().__init__(outer.registry, outer.data)
        self._outer = outer
        self._retries = retries

    def outputs(self, entity: Any, inputs: Literals) -> Literals:
        """Run the task with its retries. A map's elements come here one by one, as calls of its task.

        Raises:
            TaskFailed: for every failure of the last attempt except an interrupt of the process.
        """
        __tracebackhide__ = True
        if entity.original is not entity:
            return self._map_outputs(entity, inputs)
        from flyte_nb.worker.kept_files import KeptFiles  # only tasks with retries need it

        files = KeptFiles()
        try:
            # All attempts but the last may fail with a recoverable error.
            for attempt in range(self._retries):
                try:
                    return self._attempt(files, attempt).outputs(entity, inputs)
                except TaskFailed as failure:
                    if not failure.info.recoverable:
                        raise
            return self._attempt(files, self._retries).outputs(entity, inputs)
        finally:
            files.close()

    def _attempt(self, files: "KeptFiles", number: int) -> InnerRunner:
        """Return the runner of the attempt with this number, counted from 0."""
        outer = self._outer

        def make_context() -> "ExecutionContext":
            return files.begin(number, outer.context)

        # A plain runner: a `_NodeRunner` would begin the task's retries again inside of each attempt.
        return InnerRunner(outer.registry, outer.data, make_context)
