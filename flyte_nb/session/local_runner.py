"""Run `wf(n=3)` and `fit(rows)` in this process: by the same engine and with the same literals as everywhere.

A cell that was run again takes effect at the next call. When every name in a workflow's body refers to a
value that cannot change (a task, a plain value), comparing these values is enough to reuse what was compiled.
Otherwise the workflow is traced at every call, and compiled again when the trace differs.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import CompileFailed, TaskFailed
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import Entity
from flyte_nb.api.specs import WorkflowTemplate
from flyte_nb.client.data import KernelData
from flyte_nb.drafting.compiling import compile_entity
from flyte_nb.drafting.names_held import Names, held_names, same_names
from flyte_nb.drafting.versions import UNVERSIONED
from flyte_nb.executions.inputs import to_literals
from flyte_nb.propeller.run import run_local
from flyte_nb.sdk.entity import Definition, entity_name, identify
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.outputs import unpack
from flyte_nb.sdk.signature import SignatureReading
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.workflow import Workflow
from flyte_nb.types.registry import Registry
from flyte_nb.wire.literals import literal_map_from_idl, literal_map_to_idl
from flyte_nb.worker.call import call


class _Known(NamedTuple):
    """A workflow that was compiled, and what it was compiled from."""

    names: "Names | None"
    templates: "tuple[WorkflowTemplate, ...]"
    readings: "tuple[SignatureReading, ...]"
    closure: CompiledWorkflowClosure
    tasks: "dict[Identifier, AnyTask]"


class LocalRunner:
    """A `Runner` for calls in a kernel. Thread-safe."""

    def __init__(self, registry: Registry, scope: "Callable[[], Scope]", data: KernelData) -> None:
        """Set what runs share.

        Args:
            registry: The types.
            scope: Returns project, domain and the notebook's name as they are now.
            data: Stores values that are files until the kernel ends.
        """
        self._registry = registry
        self._scope = scope
        self.data = data
        """Stores values that are files until the kernel ends."""
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def run(self, entity: Entity, inputs: "dict[str, Any]") -> Any:
        """Run a task or a workflow with Python inputs; return what its function would return.

        Raises:
            CompileFailed: the definition has problems, or an input does not fit; it names every one.
            ExecutionFailed: a task of a workflow failed; raised from the task's own exception.
            Exception: whatever a task raises that is called by itself.
        """
        __tracebackhide__ = True
        if isinstance(entity, LaunchPlan):
            return self.run(entity.workflow, {**inputs, **entity.fixed_inputs})
        assert isinstance(entity, (AnyTask, Workflow))
        signature = entity.signature(self._registry)
        literals = to_literals(
            inputs,
            entity=entity.short_name,
            inputs=signature.interface.inputs,
            codecs=signature.input_codecs,
            optional=frozenset(signature.defaults),
            data=self.data,
        )
        if isinstance(entity, AnyTask):
            outputs = self._call(entity, literals)
        else:
            known = self._compiled(entity)
            message = run_local(
                known.closure,
                literal_map_to_idl(literals),
                known.tasks,
                self._registry,
                data=self.data,
            )
            outputs = literal_map_from_idl(message)
        values = {
            name: codec.decode(outputs[name], self.data)
            for name, codec in signature.output_codecs.items()
        }
        return unpack(values, signature)

    def _call(self, task: AnyTask, literals: "dict[str, Literal]") -> "dict[str, Literal]":
        __tracebackhide__ = True
        try:
            return call(task, literals, self._registry, self.data)
        except TaskFailed as failure:
            cause = failure.__cause__
            if cause is not None and failure.info.origin == "USER":
                raise cause from None  # what the author's function raised, with its lines
            raise

    def _compiled(self, workflow: Workflow) -> _Known:
        scope = self._scope()
        name = entity_name(workflow, scope)
        names = held_names(workflow)
        with self._lock:
            known = self._known.get(name)
        # The quick way: the body can reach only what it could reach before, so it would trace to the same
        # graph. Signatures are compared too, because an annotation may be text.
        if known is not None and same_names(known.names, names):
            fresh = (task.read(self._registry) for task in known.tasks.values())
            if all(one is other for one, other in zip(known.readings, fresh, strict=True)):
                return known
        # The slow way: trace, and reuse the closure when the trace is equal. Compiling takes far longer.
        templates, tasks = self._trace(workflow, scope)
        readings = tuple(task.read(self._registry) for task in tasks.values())
        if (
            known is not None
            and known.templates == templates
            and list(known.tasks.values()) == list(tasks.values())
            and all(one is other for one, other in zip(known.readings, readings, strict=True))
        ):
            known = known._replace(names=names)
            with self._lock:
                self._known[name] = known
            return known
        compiled = compile_entity(workflow, scope, self._registry, data=self.data)
        if compiled.problems or compiled.closure is None:
            raise CompileFailed(f"{workflow.short_name} cannot run.", compiled.problems)
        known = _Known(
            names=names,
            templates=templates,
            readings=readings,
            closure=compiled.closure,
            tasks=tasks,
        )
        with self._lock:
            self._known[name] = known
        return known

    def _trace(
        self, workflow: Workflow, scope: Scope
    ) -> "tuple[tuple[WorkflowTemplate, ...], dict[Identifier, AnyTask]]":
        """Return templates of the workflow and of those inside, and the tasks they run."""
        templates = []
        tasks: dict[Identifier, AnyTask] = {}
        seen: set[int] = set()
        waiting: list[Definition] = [workflow]
        while waiting:
            entity = waiting.pop()
            if id(entity) in seen:
                continue
            seen.add(id(entity))
            if isinstance(entity, AnyTask):
                tasks[identify(entity, scope, UNVERSIONED)] = entity
            elif isinstance(entity, Workflow):
                trace = entity.trace(
                    self._registry, scope, lambda below: UNVERSIONED, data=self.data
                )
                templates.append(trace.template)
                waiting.extend(trace.entities)
            elif isinstance(entity, LaunchPlan):
                waiting.append(entity.workflow)
        return tuple(templates), tasks
