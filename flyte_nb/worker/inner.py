"""Calls of tasks and workflows that a task's body makes: every value goes through its literal.

So an inner call means what a node means: files that share a name stay two, nobody changes another's
list, and a value of another type is refused. In a plain task the caller gets values. The bodies of
dynamic tasks and of workflows get promises, which stand for literals that are known already; what a
promise refuses when it is launched, it refuses here.
"""

from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError, CompileFailed, TaskFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.api.literals import Literal
from flyte_nb.sdk.execution_context import DirectRunner
from flyte_nb.sdk.outputs import unpack
from flyte_nb.worker import failures
from flyte_nb.worker.steps import FunctionFailed, carried_out, decode, encode, signature_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyte_nb.api.ports import DataAccess
    from flyte_nb.api.problems import Problem
    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.execution_context import ExecutionContext
    from flyte_nb.sdk.kinds.map_task import MapTask
    from flyte_nb.sdk.launch_plan import LaunchPlan
    from flyte_nb.sdk.task import AnyTask
    from flyte_nb.sdk.workflow import Workflow
    from flyte_nb.types.registry import Registry
    from flyte_nb.worker.inner_frame import InnerFrame
    from flyte_nb.worker.kept_files import KeptFiles

Literals = dict[str, Literal]


class InnerRunner(DirectRunner):
    """Carries out the calls in one attempt's body, in its own thread and process.

    Args:
        registry: the types.
        data: moves files; `None` when there are none.
        make_context: makes what `current_context()` answers, when somebody first asks.
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
        """Run `entity` with Python inputs; return its Python output (a tuple for several).

        Raises:
            CompileFailed: when inputs do not fit; it names every one.
            TaskFailed: when an output does not fit, or something of the platform's failed.
            Exception: whatever the entity's own function raises.
        """
        __tracebackhide__ = True
        literals = self._encoded(entity, inputs)
        try:
            outputs = self.outputs(entity, literals)
        except FunctionFailed as failure:
            raise failure.__cause__ or failure from None  # with its own lines
        return self._decoded(entity, outputs)

    async def run_async(self, entity: Any, inputs: "dict[str, Any]") -> Any:
        """Do what `run` does for an async task, in the loop that runs.

        Raises:
            CompileFailed: when inputs do not fit; it names every one.
            TaskFailed: when an output does not fit, or something of the platform's failed.
            Exception: whatever the task's own function raises.
        """
        if entity.resource_type in (LAUNCH_PLAN, WORKFLOW) or entity.is_dynamic:
            return self.run(entity, inputs)
        literals = self._encoded(entity, inputs)
        signature = signature_of(entity, self.registry)
        returned: Awaitable[Any] = entity.function(**decode(entity, signature, literals, self.data))
        outputs = encode(entity, signature, await returned, self.data)
        return self._decoded(entity, outputs)

    def outputs(self, entity: Any, inputs: Literals) -> Literals:
        """Run `entity` on literals; return the outputs by variable.

        Raises:
            TaskFailed: for everything that goes wrong but an interrupt of the process.
        """
        __tracebackhide__ = True
        if entity.resource_type == LAUNCH_PLAN:
            return self._launch_plan_outputs(entity, inputs)
        if entity.resource_type == WORKFLOW:
            return self._workflow_outputs(entity, inputs)
        if entity.original is not entity:
            return self._map_outputs(entity, inputs)
        return task_outputs(entity, inputs, self)

    def node_outputs(self, entity: Any, inputs: Literals) -> Literals:
        """Run `entity` as a node of a body: a task is tried again as its options say; see `outputs`."""
        __tracebackhide__ = True
        retries = entity.options.retries if entity.resource_type == TASK else 0
        return (_NodeRunner(self, retries) if retries else self).outputs(entity, inputs)

    def _launch_plan_outputs(self, plan: "LaunchPlan", inputs: Literals) -> Literals:
        preset = {**plan.default_inputs, **plan.fixed_inputs}
        given = {name: value for name, value in preset.items() if name not in inputs}
        return self.outputs(plan.workflow, {**inputs, **self._encoded(plan.workflow, given)})

    def _workflow_outputs(self, workflow: "Workflow", inputs: Literals) -> Literals:
        signature = workflow.signature(self.registry)
        missing = {name: value for name, value in signature.defaults.items() if name not in inputs}
        inputs = {**inputs, **self._encoded(workflow, missing)}
        frame = _frame(workflow, self, inputs)
        promises = frame.promises(signature)
        value = carried_out(lambda: frame.run_body(workflow.function, promises), {}, self)
        return frame.bound_outputs(workflow, signature, value)

    def _map_outputs(self, mapped: "MapTask", inputs: Literals) -> Literals:
        from flyte_nb.sdk.kinds.mapping import run_elements

        signature = signature_of(mapped, self.registry)
        given = decode(mapped, signature, inputs, self.data)
        returned = carried_out(lambda: run_elements(mapped, given), {}, self)
        return encode(mapped, signature, returned, self.data)

    def _encoded(self, entity: Any, inputs: "Mapping[str, Any]") -> Literals:
        """The inputs as literals; all that do not fit are named at once."""
        codecs = entity.signature(self.registry).input_codecs
        literals: Literals = {}
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
    """Run a task on literals in this process; return the outputs by variable.

    Args:
        task: a task, maybe a dynamic one.
        inputs: its inputs.
        runner: carries out the calls in its body.
        function: calls the task's own, in its place.

    Raises:
        TaskFailed: for everything that goes wrong but an interrupt of the process.
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
        return encode(task, signature, returned, runner.data)
    frame = _frame(task, runner, {})
    returned = carried_out(lambda **given: frame.run_body(body, given), arguments, runner)
    if not frame.drafts:
        return encode(task, signature, returned, runner.data)
    return frame.bound_outputs(task, signature, returned)


def _frame(entity: "Callee", runner: InnerRunner, inputs: Literals) -> "InnerFrame":
    # Loaded by those who need it: a warm attempt at a plain task pays for every module.
    from flyte_nb.worker.inner_frame import InnerFrame

    return InnerFrame(entity, runner.registry, runner.data, runner.node_outputs, inputs)


def _misfit(entity: str, name: str, value: Any, codec: Any, error: CodecError) -> "Problem":
    from flyte_nb.api.problems import Problem  # only for what is wrong

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
        from flyte_nb.worker.kept_files import KeptFiles  # only where there are retries

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

    def _attempt(self, files: "KeptFiles", number: int) -> InnerRunner:
        """Who carries out the attempt with this number."""
        outer = self._outer

        def make_context() -> Any:
            return files.begin(number, outer.context)

        return InnerRunner(outer.registry, outer.data, make_context)
