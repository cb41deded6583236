"""What `wf(n=3)` and `fit(rows)` run: the plan of a workflow or of a task alone, as they are defined now.

A cell that was run again takes effect at the next call. When every name in a workflow's body refers to a
value that cannot change (a task, a plain value), comparing these values is enough to reuse what was compiled.
Otherwise the workflow is traced at every call, and compiled again when the trace differs.

A cached task without a version of its own has the fingerprint of its code as version, as when it is
registered. The code can change between two calls of the same workflow, so it is looked at in every run.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.workflow_pb2 import Node as NodeMessage

from flyte_nb.api.errors import BundleError, CompileFailed
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.specs import Node, NodeMetadata, WorkflowTemplate
from flyte_nb.client.data import KernelData
from flyte_nb.drafting.compiling import compile_entity
from flyte_nb.drafting.names_held import Names, held_names, same_names
from flyte_nb.drafting.versions import UNVERSIONED, template_fingerprint
from flyte_nb.propeller.local_launch_plans import LocalLaunchPlan
from flyte_nb.propeller.lone_task import plan_of_task
from flyte_nb.propeller.plan import ExecutionPlan, NodePlan, plan_of
from flyte_nb.sdk.declared import TemplateTask
from flyte_nb.sdk.entity import Definition, entity_name, identify
from flyte_nb.sdk.kinds.map_task import MapTask
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.references import Reference
from flyte_nb.sdk.signature import SignatureReading
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.templates import launch_plan_spec, task_template
from flyte_nb.sdk.workflow import Workflow
from flyte_nb.types.registry import Registry
from flyte_nb.wire.nodes import NodeWriter
from flyte_nb.wire.specs import launch_plan_to_idl, task_spec_to_idl

Roots = Callable[[], "list[Path]"]
"""Returns the folders whose modules are the author's own."""


class LocalPlan(NamedTuple):
    """What is run, with the tasks that it needs."""

    plan: ExecutionPlan
    tasks: "Mapping[Identifier, AnyTask]"
    caches: bool
    """Whether any of the tasks is cached."""
    launch_plans: Mapping[Identifier, LaunchPlan] = {}
    """What nodes start, also in what they start."""


_Traced = tuple[
    "tuple[WorkflowTemplate, ...]", "dict[Identifier, AnyTask]", "dict[Identifier, LaunchPlan]"
]


class _Known(NamedTuple):
    """A workflow that was compiled, and what it was compiled from."""

    names: "Names | None"
    templates: "tuple[WorkflowTemplate, ...]"
    readings: "tuple[SignatureReading, ...]"
    closure: CompiledWorkflowClosure
    tasks: "dict[Identifier, AnyTask]"
    versions: "dict[str, str]"
    """The fingerprints that are in `plan`, by the task's name."""
    plan: ExecutionPlan
    launch_plans: "dict[Identifier, LaunchPlan]"


class _KnownTask(NamedTuple):
    """A task alone, and what its plan was made from."""

    task: AnyTask
    reading: SignatureReading
    version: str
    made: LocalPlan


class LocalPlans:
    """Makes plans, and keeps them as long as nothing changes. Thread-safe."""

    def __init__(
        self,
        registry: Registry,
        scope: "Callable[[], Scope]",
        data: KernelData,
        roots: "Roots | None" = None,
    ) -> None:
        """Set what plans are made with.

        Args:
            registry: The types.
            scope: Returns project, domain and the notebook's name as they are now.
            data: Stores constants that are files.
            roots: Returns the folders whose modules count for a task's fingerprint; `None` means none.
        """
        self._registry = registry
        self._scope = scope
        self._data = data
        self._roots = roots
        self._known: dict[str, _Known] = {}
        self._tasks: dict[str, _KnownTask] = {}
        self._lock = threading.Lock()
        self.parts: dict[str, Mapping[str, str]] = {}
        """Digests of the parts of the code, by the names of the tasks whose cache version follows it."""

    def of_task(self, task: AnyTask) -> LocalPlan:
        """Return the plan of one node that runs the task.

        Raises:
            CompileFailed: the task's signature has problems.
            BundleError: the task is cached without a version, and its code cannot be read for one.
        """
        scope = self._scope()
        id = identify(task, scope, UNVERSIONED)
        version = self._fingerprints([task], scope).get(id.name, "")
        reading = task.read(self._registry)
        with self._lock:
            known = self._tasks.get(id.name)
        if (
            known is not None
            and known.task is task
            and known.reading is reading
            and known.version == version
        ):
            return known.made
        template = task_template(task, scope, self._registry, version=UNVERSIONED)
        message = task_spec_to_idl(template).template
        if version:
            message.metadata.discovery_version = version
        array = None
        if isinstance(task, MapTask):
            node = Node(task.shown_name, task.target(id), (), (), NodeMetadata())
            array = NodeMessage.FromString(NodeWriter().node(node)).array_node
        caches = task.options.cache or task.is_dynamic
        made = LocalPlan(plan_of_task(message, array), {id: task}, caches)
        with self._lock:
            self._tasks[id.name] = _KnownTask(task, reading, version, made)
        return made

    def of_workflow(self, workflow: Workflow) -> LocalPlan:
        """Return the plan of the workflow.

        Raises:
            CompileFailed: the workflow has problems; it names every one.
            BundleError: a task is cached without a version, and its code cannot be read for one.
        """
        scope = self._scope()
        known = self._compiled(workflow, scope)
        versions = self._fingerprints(known.tasks.values(), scope)
        if versions != known.versions:
            known = self._replanned(entity_name(workflow, scope), known, versions)
        caches = any(map(_caches, _nodes(known.plan)))
        # What a dynamic task calls is known when it runs. The tasks of launch plans are among these, and
        # their nodes in plans of their own.
        caches = caches or any(task.is_dynamic for task in known.tasks.values())
        caches = caches or (
            bool(known.launch_plans) and any(task.options.cache for task in known.tasks.values())
        )
        return LocalPlan(known.plan, known.tasks, caches, known.launch_plans)

    def fingerprints(self, tasks: "Iterable[AnyTask]") -> "dict[str, str]":
        """Return the cache versions, by name, of the tasks that are cached and have none of their own.

        Raises:
            BundleError: the code of such a task cannot be read.
        """
        return self._fingerprints(tasks, self._scope())

    def is_same(self, one: "AnyTask | None", other: "AnyTask | None") -> bool:
        """Return whether two tasks run the same code, though their cells may have been run again."""
        if one is other:
            return True
        if one is None or other is None:
            return False
        # Loads the code that packs tasks, which most local runs do not need.
        from flyte_nb.bundle.pack import Packer

        templates = [each for each in (one, other) if isinstance(each, TemplateTask)]
        if templates:
            scope = self._scope()
            found = {template_fingerprint(each, scope, self._registry) for each in templates}
            return len(templates) == 2 and len(found) == 1
        roots = self._roots() if self._roots is not None else []
        packer = Packer(scope=self._scope(), registry=self._registry, local_roots=roots)
        try:
            return packer.pack(one.original).fingerprint == packer.pack(other.original).fingerprint
        except BundleError:
            return False  # its code cannot be read, so it is run again

    def of_launch_plan(self, launch_plan: LaunchPlan) -> LocalLaunchPlan:
        """Return what a node runs that starts this launch plan.

        Raises:
            CompileFailed: its workflow has problems, or a default or fixed input has.
            BundleError: as `of_workflow`.
        """
        spec = launch_plan_to_idl(
            launch_plan_spec(launch_plan, self._scope(), self._registry, data=self._data)
        )
        return LocalLaunchPlan(
            self.of_workflow(launch_plan.workflow).plan,
            spec.default_inputs,
            spec.fixed_inputs,
            launch_plan.max_parallelism,
        )

    def _replanned(self, name: str, known: _Known, versions: "dict[str, str]") -> _Known:
        """Make the plan anew with these cache versions."""
        closure = CompiledWorkflowClosure()
        closure.CopyFrom(known.closure)
        for compiled in closure.tasks:
            version = versions.get(compiled.template.id.name)
            if version is not None:
                compiled.template.metadata.discovery_version = version
        known = known._replace(versions=versions, plan=plan_of(closure))
        with self._lock:
            self._known[name] = known
        return known

    def _fingerprints(self, tasks: "Iterable[AnyTask]", scope: Scope) -> "dict[str, str]":
        """Return the fingerprints, by name, of the tasks that are cached without a version."""
        chosen = [task for task in tasks if task.options.cache and not task.options.cache_version]
        if not chosen:
            return {}
        # Loads the code that packs tasks, which most local runs do not need.
        from flyte_nb.bundle.pack import Packer

        roots = self._roots() if self._roots is not None else []
        packer = Packer(scope=scope, registry=self._registry, local_roots=roots)
        found = {}
        for task in chosen:
            if isinstance(task, TemplateTask):
                name = identify(task, scope, UNVERSIONED).name
                found[name] = template_fingerprint(task, scope, self._registry)
                continue
            try:
                packed = packer.pack(task.original)
            except BundleError as error:
                raise BundleError(
                    f"{task.short_name} is cached by its code, which cannot be read: {error}",
                    code=error.code,
                    hint="Give it a version: @task(cache=True, cache_version='1').",
                ) from error
            name = identify(task, scope, UNVERSIONED).name
            found[name], self.parts[name] = packed.fingerprint, packed.parts
        return found

    def _compiled(self, workflow: Workflow, scope: Scope) -> _Known:
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
        templates, tasks, launch_plans = self._trace(workflow, scope)
        readings = tuple(task.read(self._registry) for task in tasks.values())
        if (
            known is not None
            and known.templates == templates
            and list(known.tasks.values()) == list(tasks.values())
            and all(one is other for one, other in zip(known.readings, readings, strict=True))
        ):
            known = known._replace(names=names, launch_plans=launch_plans)
        else:
            compiled = compile_entity(workflow, scope, self._registry, data=self._data)
            if compiled.problems or compiled.closure is None:
                raise CompileFailed(f"{workflow.short_name} cannot run.", compiled.problems)
            known = _Known(
                names=names,
                templates=templates,
                readings=readings,
                closure=compiled.closure,
                tasks=tasks,
                versions={},
                plan=plan_of(compiled.closure),
                launch_plans=launch_plans,
            )
        with self._lock:
            self._known[name] = known
        return known

    def _trace(self, workflow: Workflow, scope: Scope) -> "_Traced":
        """Return templates of the workflow and of those inside, and the tasks and launch plans they run."""
        templates = []
        tasks: dict[Identifier, AnyTask] = {}
        launch_plans: dict[Identifier, LaunchPlan] = {}
        seen: set[int] = set()
        waiting: list[Definition] = [workflow]
        while waiting:
            entity = waiting.pop()
            if id(entity) in seen:
                continue
            seen.add(id(entity))
            if isinstance(entity, Reference):
                raise entity.not_here()
            if isinstance(entity, AnyTask):
                tasks[identify(entity, scope, UNVERSIONED)] = entity
            elif isinstance(entity, Workflow):
                trace = entity.trace(
                    self._registry, scope, lambda below: UNVERSIONED, data=self._data
                )
                templates.append(trace.template)
                waiting.extend(trace.entities)
            elif isinstance(entity, LaunchPlan):
                launch_plans[identify(entity, scope, UNVERSIONED)] = entity
                waiting.append(entity.workflow)
        return tuple(templates), tasks, launch_plans


def _nodes(plan: ExecutionPlan) -> "Iterator[NodePlan]":
    for workflow in plan.workflows.values():
        yield from workflow.nodes.values()


def _caches(node: NodePlan) -> bool:
    """Return whether the node, or one in the arms of a branch, looks its result up."""
    if node.discoverable:
        return True
    return node.branch is not None and any(_caches(arm) for _, arm in node.branch.arms)
