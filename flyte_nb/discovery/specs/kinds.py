"""Find out which flyteidl message a document is, and which specs are in it.

It knows what `flytectl get … -o yaml`, `pyflyte serialize` and people write: specs, templates, create
requests, registered entities, and compiled workflows with everything in them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, tasks_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.discovery.specs.messages import nearest
from flyte_nb.discovery.specs.spec import uncompiled
from flyte_nb.discovery.specs.text import Table, Word

Found = tuple[str, Identifier, Any]
"""Resource type, id, and `TaskSpec`, `WorkflowSpec` or `LaunchPlanSpec`."""


class Kind(NamedTuple):
    """One message that a spec file may hold."""

    name: str
    message: Any
    noun: str
    """The resource type of its main spec."""
    found: "Callable[[Any], Iterator[Found]]"
    """Yields the specs in a message."""


def _task(template: Any) -> "Iterator[Found]":
    yield TASK, template.id, task_pb2.TaskSpec(template=template)


def _workflow(template: Any) -> "Iterator[Found]":
    yield WORKFLOW, template.id, workflow_pb2.WorkflowSpec(template=template)


def _closure(closure: Any) -> "Iterator[Found]":
    """Yield the tasks of a compiled workflow, and the workflow without the nodes that the compiler added."""
    for compiled in closure.tasks:
        yield from _task(compiled.template)
    spec = workflow_pb2.WorkflowSpec(
        template=uncompiled(closure.primary.template),
        sub_workflows=[uncompiled(item.template) for item in closure.sub_workflows],
    )
    yield WORKFLOW, spec.template.id, spec


KINDS: "dict[str, Kind]" = {
    kind.name: kind
    for kind in (
        Kind("TaskSpec", task_pb2.TaskSpec, TASK,
             lambda m: iter([(TASK, m.template.id, m)])),
        Kind("TaskTemplate", tasks_pb2.TaskTemplate, TASK, _task),
        Kind("CompiledTask", compiler_pb2.CompiledTask, TASK, lambda m: _task(m.template)),
        Kind("Task", task_pb2.Task, TASK, lambda m: _task(m.closure.compiled_task.template)),
        Kind("TaskCreateRequest", task_pb2.TaskCreateRequest, TASK,
             lambda m: iter([(TASK, _own_id(m.id, m.spec.template.id), m.spec)])),
        Kind("WorkflowSpec", workflow_pb2.WorkflowSpec, WORKFLOW,
             lambda m: iter([(WORKFLOW, m.template.id, m)])),
        Kind("WorkflowTemplate", core_workflow_pb2.WorkflowTemplate, WORKFLOW, _workflow),
        Kind("CompiledWorkflow", compiler_pb2.CompiledWorkflow, WORKFLOW,
             lambda m: _workflow(uncompiled(m.template))),
        Kind("CompiledWorkflowClosure", compiler_pb2.CompiledWorkflowClosure, WORKFLOW, _closure),
        Kind("Workflow", workflow_pb2.Workflow, WORKFLOW,
             lambda m: _closure(m.closure.compiled_workflow)),
        Kind("WorkflowCreateRequest", workflow_pb2.WorkflowCreateRequest, WORKFLOW,
             lambda m: iter([(WORKFLOW, _own_id(m.id, m.spec.template.id), m.spec)])),
        Kind("LaunchPlan", launch_plan_pb2.LaunchPlan, LAUNCH_PLAN,
             lambda m: iter([(LAUNCH_PLAN, m.id, m.spec)])),
        Kind("LaunchPlanCreateRequest", launch_plan_pb2.LaunchPlanCreateRequest, LAUNCH_PLAN,
             lambda m: iter([(LAUNCH_PLAN, m.id, m.spec)])),
    )
}  # fmt: skip
"""By name."""

_NOUNS = {"task": TASK, "workflow": WORKFLOW, "launchplan": LAUNCH_PLAN}
_OF_TASKS = frozenset(
    {"type", "custom", "container", "k8s_pod", "sql", "task_type_version", "config"}
    | {"security_context", "extended_resources"}
)
_OF_WORKFLOWS = frozenset({"nodes", "outputs", "failure_node", "metadata_defaults"})


class NoKind(Exception):
    """The document is of no known kind; the message lists what was tried."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def kind_of(data: Table) -> "tuple[Kind, Table]":
    """Return the document's kind, by its `kind:` or by its fields, and the data without `kind:`.

    Raises:
        NoKind: it is none of `KINDS`.
    """
    said = data.get("kind")
    word = said.text if isinstance(said, Word) else said
    body = _without(data, "kind") if "kind" in data else data
    if word is not None:
        known = {_flat(name): kind for name, kind in KINDS.items()}
        spelled = _flat(word) if isinstance(word, str) else ""
        noun = _NOUNS.get(spelled.removesuffix("spec").removesuffix("template"), "")
        exact = known.get(spelled)
        if not noun and exact is None:
            hint = nearest(str(word), ["Task", "Workflow", "LaunchPlan", *KINDS])
            raise NoKind(
                f"{word!r} is no kind of spec.", hint or "Write Task, Workflow or LaunchPlan."
            )
        if exact is not None and exact.name not in ("Task", "Workflow", "LaunchPlan"):
            return exact, body
    else:
        noun = ""
    name = _shape(body, noun)
    if name == "LaunchPlanSpec":
        return KINDS["LaunchPlan"], _with_spec(body)
    if name:
        return KINDS[name], body
    keys = ", ".join(list(data)[:8]) or "none"
    raise NoKind(
        f"It is no Flyte spec: its fields are {keys}. Tried: a task (template, or type and container),"
        " a workflow (template, or nodes and outputs), a launch plan (id and spec, or workflow_id),"
        " a compiled workflow (primary).",
        "Say what it is with `kind: Task`, `kind: Workflow` or `kind: LaunchPlan`.",
    )


def _shape(data: "dict[str, Any]", noun: str) -> str:
    """Return the message's name by the fields that the data has.

    Args:
        data: The document without `kind:`.
        noun: The resource type that `kind:` names; empty without one.
    """
    # From the most specific shape to the least: a compiled workflow also has what a template has.
    keys = {_snake(key) for key in data}
    if "primary" in keys:
        return "CompiledWorkflowClosure"
    if "template" in keys:
        noun = noun or _noun_of(data["template"])
        compiled = "CompiledWorkflow" if "connections" in keys else "WorkflowSpec"
        return {TASK: "TaskSpec", WORKFLOW: compiled}.get(noun, "")
    if "spec" in keys:
        spec = data["spec"] if isinstance(data["spec"], dict) else {}
        inner = noun or (_noun_of(spec["template"]) if "template" in spec else LAUNCH_PLAN)
        return {TASK: "TaskCreateRequest", WORKFLOW: "WorkflowCreateRequest"}.get(
            inner, "LaunchPlan"
        )
    if "closure" in keys and isinstance(data["closure"], dict):
        inside = {_snake(key) for key in data["closure"]}
        if "compiled_task" in inside or noun == TASK:
            return "Task"
        if "compiled_workflow" in inside or noun == WORKFLOW:
            return "Workflow"
    if noun == LAUNCH_PLAN or (not noun and "workflow_id" in keys):
        return "LaunchPlanSpec"
    return {TASK: "TaskTemplate", WORKFLOW: "WorkflowTemplate"}.get(noun or _noun_of(data), "")


def _noun_of(template: Any) -> str:
    if not isinstance(template, dict):
        return ""
    keys = {_snake(key) for key in template}
    if keys & _OF_WORKFLOWS:
        return WORKFLOW
    if keys & _OF_TASKS:
        return TASK
    id = template.get("id")
    said = id.get("resource_type", id.get("resourceType")) if isinstance(id, dict) else None
    return {"TASK": TASK, "WORKFLOW": WORKFLOW}.get(said, "") if isinstance(said, str) else ""


def _with_spec(data: Table) -> Table:
    """Return a launch plan that was written flat, with its spec's fields in `spec:`."""
    spec = _without(data, "id")
    made = Table({"spec": spec, **({"id": data["id"]} if "id" in data else {})})
    made.lines = {name: data.lines[name] for name in ("id",) if name in data.lines}
    return made


def _without(data: Table, key: str) -> Table:
    made = Table({name: value for name, value in data.items() if name != key})
    made.lines = data.lines
    return made


def _own_id(id: Identifier, template_id: Identifier) -> Identifier:
    return id if id.name else template_id


def _flat(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def resource_type_of(id: Identifier) -> str:
    """Return the resource type that the id itself has; empty when it has none."""
    names = {ResourceType.TASK: TASK, ResourceType.WORKFLOW: WORKFLOW,
             ResourceType.LAUNCH_PLAN: LAUNCH_PLAN}  # fmt: skip
    return names.get(id.resource_type, "")
