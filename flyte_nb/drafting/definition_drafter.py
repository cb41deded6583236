"""Make drafts of what authors define with the SDK: trace, pack, version, translate and compile it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from flyte_nb.api.errors import BundleError, CodecError
from flyte_nb.api.identifiers import WORKFLOW, Identifier, Scope
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.problems import Problem
from flyte_nb.api.references import references_of, with_references
from flyte_nb.api.specs import Container, Node, Target, TaskTemplate, WorkflowTemplate
from flyte_nb.api.version import __version__
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.reach import called_inside
from flyte_nb.drafting.draft import Draft, Lookup
from flyte_nb.drafting.draft_set import DraftSet
from flyte_nb.drafting.inferred import untyped_values
from flyte_nb.drafting.joined_problems import join
from flyte_nb.drafting.references import ReferenceChecker
from flyte_nb.drafting.versions import (
    CUSTOM_KEY,
    UNVERSIONED,
    launch_plan_version,
    python_minor,
    task_version,
    template_fingerprint,
    workflow_version,
)
from flyte_nb.sdk.declared import TemplateTask
from flyte_nb.sdk.entity import Definition, identify
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.reachable import reachable
from flyte_nb.sdk.task import AnyTask, Task
from flyte_nb.sdk.templates import launch_plan_spec, task_template, workflow_template
from flyte_nb.sdk.workflow import Trace, Workflow
from flyte_nb.types.registry import Registry
from flyte_nb.wire.specs import launch_plan_to_idl, task_spec_to_idl, workflow_spec_to_idl

Packer = Callable[[Task], PackedTask]
"""Packs one task, or raises `BundleError`."""


class DraftSettings(NamedTuple):
    """How entities of the SDK become drafts."""

    scope: Scope
    registry: Registry
    image: str = UNVERSIONED
    """The image of tasks that name none; only what is sent needs it."""
    data: "DataAccess | None" = None
    """Stores constants that need a file."""
    pack: "Packer | None" = None
    """Packs a task. Without it, code is not read, and versions mean nothing."""


class DefinitionDrafter:
    """Makes drafts of entities of the SDK, each after what it refers to."""

    def __init__(
        self, settings: DraftSettings, made: DraftSet, lookup: "Lookup | None" = None
    ) -> None:
        self._settings = settings
        self._scope = settings.scope
        self._registry = settings.registry
        self._made = made
        self._traces: dict[int, Trace] = {}
        self._references = ReferenceChecker(settings.registry, made, lookup)

    def make(self, entities: "Iterable[Definition]", *, launch_plans: bool) -> None:
        """Add drafts of the entities and of all they refer to.

        Raises:
            CompileFailed: workflows use each other in a circle, or two entities share a name.
        """
        found = reachable(
            entities, self._registry, self._scope, trace=self._trace, inside=self._inside
        )
        if launch_plans:
            found = list(self._with_defaults(found))
        self._references.look_up(
            entity for trace in self._traces.values() for entity in trace.entities
        )
        for entity in found:
            self._made.add(self._draft(entity))
        if self._settings.pack is not None:
            self._pin(found)

    def _with_defaults(self, found: "Sequence[Definition]") -> "Iterator[Definition]":
        """Yield the entities, and after each workflow its default launch plan, unless one has that name."""
        named = {self._id(item) for item in found}
        for entity in found:
            yield entity
            if isinstance(entity, Workflow):
                default = LaunchPlan(entity)
                if self._id(default) not in named:
                    yield default

    def _pin(self, found: "Sequence[Definition]") -> None:
        """Put the identifiers of the launch plans that they start into dynamic tasks.

        A task whose launch plans changed is another task, so their versions are part of its own version.
        But a launch plan may run the very task that starts it, and a version cannot contain itself. So
        there are two rounds. In the first, versions leave out which launch plans tasks start. A task's
        final version is made of the first versions of all launch plans that it can start, at any depth.
        In the second round, workflows and launch plans get versions from the tasks' final ones.
        """
        started: dict[Identifier, list[Identifier]] = {}
        for task in found:
            inside = self._inside(task) if isinstance(task, AnyTask) else ()
            plans = [self._id(item) for item in inside if isinstance(item, LaunchPlan)]
            if plans and self._of(self._id(task)).is_whole:
                started[self._id(task)] = plans
        if not started:
            return
        first = {plan: self._of(plan).id for plans in started.values() for plan in plans}
        # Collected before any task gets its final version: each needs the first versions of all plans.
        for id, plans in started.items():
            before = sorted(first[plan] for plan in plans)
            self._made.add(self._versioned_task(self._of(id), before))
        for entity in found:
            if not isinstance(entity, AnyTask):
                self._made.add(self._draft(entity))
        for id, plans in started.items():
            draft = self._of(id)
            assert draft.packed is not None
            ids = tuple(sorted(self._of(plan).id for plan in plans))
            self._made.add(draft._replace(packed=draft.packed._replace(launch_plans=ids)))

    def _versioned_task(self, draft: Draft, launch_plans: "Sequence[Identifier]") -> Draft:
        """Return the whole draft of a task that starts these launch plans."""
        template, packed = draft.spec, draft.packed
        assert isinstance(template, TaskTemplate)
        assert packed is not None
        version = task_version(template, packed.fingerprint, launch_plans)
        template = template._replace(id=template.id._replace(version=version))
        message = task_spec_to_idl(template)
        self._made.check_task(template.id, message)
        return draft._replace(id=template.id, spec=template, message=message)

    def _id(self, entity: Definition) -> Identifier:
        """Return the identifier without a version, by which drafts are found while they are made."""
        return identify(entity, self._scope)

    def _of(self, id: Identifier) -> Draft:
        return self._made.named[id[:4]]

    def _draft(self, entity: Definition) -> Draft:
        if isinstance(entity, AnyTask):
            return self._task(entity)
        if isinstance(entity, Workflow):
            return self._workflow(entity)
        assert isinstance(entity, LaunchPlan)
        return self._launch_plan(entity)

    def _task(self, task: AnyTask) -> Draft:
        id = self._id(task)
        problems = task.problems(self._registry)
        pack, packed = self._settings.pack, None
        is_template = isinstance(task, TemplateTask)
        if pack is not None and not is_template:
            try:
                packed = pack(task.original)
            except BundleError as error:
                problems = (*problems, _bundle_problem(task, error))
        if problems:
            return Draft(task, id, _named(problems, id.name))
        fingerprint = packed.fingerprint if packed is not None else ""
        if isinstance(task, TemplateTask):
            fingerprint = template_fingerprint(task, self._scope, self._registry)
        # The index URI stays open: the bundle is staged only when this version is not registered yet.
        name = self._id(task.original).name
        args = task_args(name, "", task.list_inputs(self._registry))
        template = task_template(
            task,
            self._scope,
            self._registry,
            container=Container(image=self._settings.image, args=args),
            custom=_custom(packed) if packed is not None else None,
            cache_version=fingerprint,
        )
        version = UNVERSIONED
        if packed is not None:
            version = task_version(template, fingerprint)
        elif pack is not None:
            version = fingerprint
        template = template._replace(id=template.id._replace(version=version))
        try:
            message = task_spec_to_idl(template)
        except CodecError as error:
            problem = Problem(
                "ValueDoesNotFit", error.bare_message, hint=error.hint, location=task.location
            )
            return Draft(task, template.id, _named((problem,), id.name), template)
        found = self._made.check_task(template.id, message)
        return Draft(
            entity=task,
            id=template.id,
            problems=tuple(problem._replace(entity=id.name) for problem in found),
            spec=template,
            message=message,
            packed=packed,
        )

    def _workflow(self, workflow: Workflow) -> Draft:
        trace = self._traces[id(workflow)]
        template = self._with_versions(trace.template)
        version = workflow_version(template) if self._settings.pack is not None else UNVERSIONED
        template = template._replace(id=template.id._replace(version=version))
        below = [self._of(self._id(item)) for item in trace.entities if item.registered_as is None]
        lost = self._references.problems(template)
        draft = Draft(
            workflow, template.id, _named((*trace.problems, *lost), template.id.name), template
        )
        if lost:
            return draft
        if not all(used.is_whole for used in below):
            return draft  # something that it uses has the problem, and reports it
        subs = self._sub_workflows(below)
        uses = dict.fromkeys(references_of(template))
        uses.update(dict.fromkeys(id for sub in subs for id in references_of(sub)))
        draft = draft._replace(references=tuple(uses))
        try:
            message = workflow_spec_to_idl(template, subs)
        except CodecError as error:
            problem = Problem("ValueDoesNotFit", error.bare_message, hint=error.hint)
            return draft._replace(problems=_named((*trace.problems, problem), template.id.name))
        closure, compiled = self._made.check_workflow(message, uses)
        problems = join(trace.problems, compiled, template)
        return draft._replace(
            message=message, closure=None if problems else closure, problems=problems
        )

    def _sub_workflows(self, below: "Sequence[Draft]") -> "list[WorkflowTemplate]":
        """Return the templates of the workflows that run inside of this one, at any depth."""
        found: dict[Identifier, WorkflowTemplate] = {}
        waiting = [draft for draft in below if draft.id.resource_type == WORKFLOW]
        while waiting:
            draft = waiting.pop()
            if draft.id in found or not isinstance(draft.spec, WorkflowTemplate):
                continue
            found[draft.id] = draft.spec
            inner = map(self._made.find, references_of(draft.spec))
            waiting += [each for each in inner if each and each.id.resource_type == WORKFLOW]
        return list(found.values())

    def _trace(self, workflow: Workflow) -> Trace:
        trace = self._traces.get(id(workflow))
        if trace is None:
            trace = workflow_template(
                workflow, self._scope, self._registry, data=self._settings.data
            )
            self._traces[id(workflow)] = trace
        return trace

    def _inside(self, task: AnyTask) -> "list[Definition]":
        return called_inside(task, lambda workflow: self._trace(workflow).entities)

    def _with_versions(self, template: WorkflowTemplate) -> WorkflowTemplate:
        """Return the template with the versions of what it refers to, which tracing did not know."""

        def versioned(reference: Identifier) -> Identifier:
            made = self._made.named.get(reference[:4])
            return reference if made is None else made.id

        targets: dict[int, Target] = {}
        """By identity: all calls of one entity share a target, unless they have options of their own."""
        nodes = []
        for node in template.nodes:
            target = targets.get(id(node.target))
            if target is None:
                target = targets[id(node.target)] = with_references(node, versioned).target
            # `tuple.__new__`, because a workflow may have 10,000 nodes.
            nodes.append(tuple.__new__(Node, (node[0], target, *node[2:])))
        failure = template.failure_node
        return template._replace(
            nodes=tuple(nodes),
            failure_node=None if failure is None else with_references(failure, versioned),
        )

    def _launch_plan(self, launch_plan: LaunchPlan) -> Draft:
        id = self._id(launch_plan)
        problems = launch_plan.read(self._registry).problems
        workflow = self._made.find(self._id(launch_plan.workflow))
        # The problems of a launch plan's workflow are reported with the workflow, not again here.
        if problems or workflow is None or not workflow.is_whole:
            own = problems if workflow is None or not workflow.problems else ()
            return Draft(launch_plan, id, _named(own, id.name))
        try:
            spec = launch_plan_spec(
                launch_plan,
                self._scope,
                self._registry,
                workflow_version=workflow.id.version,
                data=self._settings.data,
            )
        except CodecError as error:
            problem = Problem("ValueDoesNotFit", error.bare_message, hint=error.hint)
            return Draft(launch_plan, id, _named((problem,), id.name))
        inputs = launch_plan.signature(self._registry).interface.inputs
        untyped = untyped_values(spec, inputs)
        if untyped:
            return Draft(launch_plan, id, _named(untyped, id.name))
        version = launch_plan_version(spec) if self._settings.pack is not None else UNVERSIONED
        spec = spec._replace(id=spec.id._replace(version=version))
        return Draft(
            entity=launch_plan,
            id=spec.id,
            spec=spec,
            message=launch_plan_to_idl(spec),
            references=(spec.workflow_id,),
            activates=launch_plan.auto_activate,
        )


def _custom(packed: PackedTask) -> "dict[str, Any]":
    return {
        CUSTOM_KEY: {
            "fingerprint": packed.fingerprint,
            "parts": dict(packed.parts),
            "python": python_minor(),
            "sdk": __version__,
        }
    }


def _bundle_problem(task: AnyTask, error: BundleError) -> Problem:
    return Problem(
        error.code.partition(":")[2] or error.code,
        error.message,
        hint=error.hint,
        location=task.location,
    )


def _named(problems: "Iterable[Problem]", name: str) -> "tuple[Problem, ...]":
    return tuple(item if item.entity else item._replace(entity=name) for item in problems)
