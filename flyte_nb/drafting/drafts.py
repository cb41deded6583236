"""Entities made ready: named, versioned, translated and compiled, with every problem they have.

Nothing here is sent anywhere. A `Draft` is one entity as it would be registered; drafts come in an
order in which they can be registered.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl.admin.task_pb2 import TaskSpec

from flyte_nb.api.errors import BundleError, CodecError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.problems import Problem
from flyte_nb.api.references import references_of, with_references
from flyte_nb.api.specs import Container, LaunchPlanSpec, Node, TaskTemplate, WorkflowTemplate
from flyte_nb.api.version import __version__
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.reach import called_inside
from flyte_nb.drafting.checking import Checker
from flyte_nb.drafting.versions import (
    CUSTOM_KEY,
    UNVERSIONED,
    launch_plan_version,
    python_minor,
    task_version,
    workflow_version,
)
from flyte_nb.sdk.closure import reachable
from flyte_nb.sdk.frame import entity_name
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.specs import launch_plan_spec, task_template, workflow_template
from flyte_nb.sdk.workflow import Trace
from flyte_nb.types.registry import Registry
from flyte_nb.wire.specs import launch_plan_to_idl, task_spec_to_idl, workflow_spec_to_idl

Packer = Callable[[Any], PackedTask]
"""Packs one task."""


class Draft(NamedTuple):
    """One entity as it would be registered."""

    entity: Any
    id: Identifier
    problems: "tuple[Problem, ...]" = ()
    spec: "TaskTemplate | WorkflowTemplate | LaunchPlanSpec | None" = None
    """`None` when there are problems that leave nothing to show."""
    message: Any = None
    """flyteidl's spec, e.g. `TaskSpec`; `None` when it, or something that it uses, has problems."""
    packed: "PackedTask | None" = None
    closure: Any = None
    """Of a workflow: its `CompiledWorkflowClosure`."""
    pinned: bool = False
    """Whether its version was given, and may be registered with other content already."""

    @property
    def key(self) -> "tuple[str, str]":
        """Resource type and full name."""
        return self.id.resource_type, self.id.name

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with it, nor with anything that it uses."""
        return self.message is not None and not self.problems


class Drafts:
    """Makes drafts of one set of entities; use a new one each time."""

    def __init__(
        self,
        scope: Scope,
        registry: Registry,
        *,
        image: str = "",
        data: "DataAccess | None" = None,
        pack: "Packer | None" = None,
    ) -> None:
        """What all drafts share.

        Args:
            scope: Project, domain and the notebook's name.
            registry: The types.
            image: The image of tasks that name none; needed only for what is sent.
            data: Where constants that need a file are put.
            pack: Packs a task; without it tasks are only looked at, and versions mean nothing.
        """
        self._scope = scope
        self._registry = registry
        self._image = image or UNVERSIONED
        self._data = data
        self._pack = pack
        self._made: dict[tuple[str, str], Draft] = {}
        self._checker = Checker()
        self._traces: dict[int, Trace] = {}

    def of(self, entities: "Iterable[Any]", *, launch_plans: bool = True) -> "list[Draft]":
        """Drafts of the entities and of all they refer to.

        Args:
            entities: Tasks, workflows, launch plans.
            launch_plans: Whether each workflow gets its default launch plan.

        Raises:
            CompileFailed: workflows use each other in a circle, or two entities share a name.
        """
        found = reachable(
            entities, self._registry, self._scope, trace=self._trace, inside=self._inside
        )
        if launch_plans:
            found = list(self._with_defaults(found))
        for entity in found:
            self._make(entity)
        if self._pack is not None:
            self._pin(found)
        return list(self._made.values())

    def _with_defaults(self, found: "Sequence[Any]") -> "Iterator[Any]":
        named = {self._key(item) for item in found}
        for entity in found:
            yield entity
            default = (LAUNCH_PLAN, entity_name(entity, self._scope))
            if entity.resource_type == WORKFLOW and default not in named:
                yield LaunchPlan(entity)

    def _pin(self, found: "Sequence[Any]") -> None:
        """Let dynamic tasks hold the identifiers of the launch plans that they start.

        A task whose launch plans changed is another one, so their versions are part of its own. But a
        launch plan may run the very task that starts it. So the task's version is made of first
        versions, in which every part counts but the launch plans that tasks start; of all of these,
        at any depth, it has them itself. Launch plans then follow from the tasks as always.
        """
        started = {}
        for task in found:
            inside = self._inside(task) if task.resource_type == TASK else ()
            plans = [self._key(item) for item in inside if item.resource_type == LAUNCH_PLAN]
            if plans and self._made[self._key(task)].is_whole:
                started[self._key(task)] = plans
        if not started:
            return
        first = {key: draft.id for key, draft in self._made.items()}
        for key, plans in started.items():
            before = sorted(first[plan] for plan in plans)
            self._made[key] = self._versioned_task(self._made[key], before)
        for entity in found:
            if entity.resource_type != TASK:
                self._make(entity)
        for key, plans in started.items():
            made = self._made[key]
            assert made.packed is not None
            ids = tuple(sorted(self._made[plan].id for plan in plans))
            self._made[key] = made._replace(packed=made.packed._replace(launch_plans=ids))

    def _versioned_task(self, draft: Draft, launch_plans: "Sequence[Identifier]") -> Draft:
        """The whole draft of a task that starts these launch plans."""
        template, packed = draft.spec, draft.packed
        assert isinstance(template, TaskTemplate)
        assert packed is not None
        version = task_version(template, packed.fingerprint, launch_plans)
        template = template._replace(id=template.id._replace(version=version))
        message = task_spec_to_idl(template)
        self._checker.task(template.id, message)
        return draft._replace(id=template.id, spec=template, message=message)

    def _make(self, entity: Any) -> None:
        make = {TASK: self._task, WORKFLOW: self._workflow, LAUNCH_PLAN: self._launch_plan}
        draft = make[entity.resource_type](entity)
        self._made[draft.key] = draft

    def _identify(self, entity: Any, version: str = "") -> Identifier:
        scope = self._scope
        name = entity_name(entity, scope)
        return Identifier(entity.resource_type, scope.project, scope.domain, name, version)

    def _task(self, task: Any) -> Draft:
        id = self._identify(task)
        problems: tuple[Problem, ...] = task.problems(self._registry)
        packed = None
        if self._pack is not None:
            try:
                packed = self._pack(task.original)
            except BundleError as error:
                problems = (*problems, _bundle_problem(task, error))
        if problems:
            return Draft(task, id, _named(problems, id.name))
        fingerprint = packed.fingerprint if packed is not None else ""
        name = entity_name(task.original, self._scope)
        args = task_args(name, "", task.list_inputs(self._registry))
        template = task_template(
            task,
            self._scope,
            self._registry,
            container=Container(image=self._image, args=args),
            custom=_custom(packed) if packed is not None else None,
            cache_version=fingerprint,
        )
        version = task_version(template, fingerprint) if packed is not None else UNVERSIONED
        template = template._replace(id=template.id._replace(version=version))
        try:
            message = task_spec_to_idl(template)
        except CodecError as error:
            problem = Problem(
                "ValueDoesNotFit", error.bare_message, hint=error.hint, location=task.location
            )
            return Draft(task, template.id, _named((problem,), id.name), template)
        draft = Draft(task, template.id, (), template, message, packed)
        return draft._replace(problems=self._checker.task(draft.id, message))

    def _workflow(self, workflow: Any) -> Draft:
        trace = self._traces[id(workflow)]
        template = self._with_versions(trace.template)
        version = workflow_version(template) if self._pack is not None else UNVERSIONED
        template = template._replace(id=template.id._replace(version=version))
        subs = self._sub_workflows(trace.entities)
        draft = Draft(workflow, template.id, trace.problems, template)
        if not all(self._made[self._key(item)].is_whole for item in trace.entities):
            return draft  # what it uses is wrong, at any depth; that is told there
        try:
            message = workflow_spec_to_idl(template, subs)
        except CodecError as error:
            problem = Problem("ValueDoesNotFit", error.bare_message, hint=error.hint)
            return draft._replace(problems=_named((*trace.problems, problem), template.id.name))
        closure, problems = self._checker.workflow(template, message, trace.problems)
        return draft._replace(message=message, closure=closure, problems=problems)

    def _trace(self, workflow: Any) -> Trace:
        trace = self._traces.get(id(workflow))
        if trace is None:
            trace = workflow_template(workflow, self._scope, self._registry, data=self._data)
            self._traces[id(workflow)] = trace
        return trace

    def _inside(self, task: Any) -> "list[Any]":
        return called_inside(task, lambda workflow: self._trace(workflow).entities)

    def _with_versions(self, template: WorkflowTemplate) -> WorkflowTemplate:
        """The template with the versions of what it refers to; they were not known when it was traced."""

        def versioned(reference: Identifier) -> Identifier:
            made = self._made.get((reference.resource_type, reference.name))
            return reference if made is None else made.id

        targets: dict[int, Any] = {}
        """By identity: one target serves all calls of one entity, but for their options."""
        nodes = []
        for node in template.nodes:
            target = targets.get(id(node.target))
            if target is None:
                target = targets[id(node.target)] = with_references(node, versioned).target
            nodes.append(tuple.__new__(Node, (node[0], target, *node[2:])))
        failure = template.failure_node
        return template._replace(
            nodes=tuple(nodes),
            failure_node=None if failure is None else with_references(failure, versioned),
        )

    def _launch_plan(self, launch_plan: Any) -> Draft:
        id = self._identify(launch_plan)
        problems: tuple[Problem, ...] = launch_plan.read(self._registry).problems
        workflow = self._made.get(self._key(launch_plan.workflow))
        if problems or workflow is None or not workflow.is_whole:
            own = problems if workflow is None or not workflow.problems else ()
            return Draft(launch_plan, id, _named(own, id.name))
        try:
            spec = launch_plan_spec(
                launch_plan,
                self._scope,
                self._registry,
                workflow_version=workflow.id.version,
                data=self._data,
            )
        except CodecError as error:
            problem = Problem("ValueDoesNotFit", error.bare_message, hint=error.hint)
            return Draft(launch_plan, id, _named((problem,), id.name))
        version = launch_plan_version(spec) if self._pack is not None else UNVERSIONED
        spec = spec._replace(id=spec.id._replace(version=version))
        message = launch_plan_to_idl(spec)
        self._checker.launch_plan(spec.id, message, workflow.message)
        return Draft(launch_plan, spec.id, (), spec, message)

    def _key(self, entity: Any) -> "tuple[str, str]":
        return entity.resource_type, entity_name(entity, self._scope)

    def _sub_workflows(self, entities: "Iterable[Any]") -> "list[WorkflowTemplate]":
        """Templates of the workflows that run inside of this one, at any depth."""
        found: dict[tuple[str, str], WorkflowTemplate] = {}
        waiting = [entity for entity in entities if entity.resource_type == WORKFLOW]
        while waiting:
            key = self._key(waiting.pop())
            spec = self._made[key].spec
            if key in found or not isinstance(spec, WorkflowTemplate):
                continue
            found[key] = spec
            for reference in references_of(spec):
                inner = self._made.get((reference.resource_type, reference.name))
                if reference.resource_type == WORKFLOW and inner is not None:
                    waiting.append(inner.entity)
        return list(found.values())


def with_index(draft: Draft, index_uri: str) -> Draft:
    """The task's draft with the bundle it is loaded from."""
    message = TaskSpec()
    message.CopyFrom(draft.message)
    message.template.container.args[-1] = index_uri
    return draft._replace(message=message)


def all_problems(drafts: "Sequence[Draft]") -> "list[Problem]":
    """Every problem of every draft."""
    return [problem for draft in drafts for problem in draft.problems]


def _custom(packed: PackedTask) -> "dict[str, Any]":
    return {
        CUSTOM_KEY: {
            "fingerprint": packed.fingerprint,
            "parts": dict(packed.parts),
            "python": python_minor(),
            "sdk": __version__,
        }
    }


def _bundle_problem(task: Any, error: BundleError) -> Problem:
    return Problem(
        error.code.partition(":")[2] or error.code,
        error.message,
        hint=error.hint,
        location=task.location,
    )


def _named(problems: "Iterable[Problem]", name: str) -> "tuple[Problem, ...]":
    return tuple(item if item.entity else item._replace(entity=name) for item in problems)


def mapping(drafts: "Sequence[Draft]") -> "Mapping[tuple[str, str], Draft]":
    """The drafts by resource type and full name."""
    return {draft.key: draft for draft in drafts}
