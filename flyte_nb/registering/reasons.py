"""Say in words why an entity gets a new version: what differs from its latest registered version.

For tasks of this SDK, the registered template has the fingerprint of each part that the code was made of, so
that the part that changed is named. For workflows, nodes and references are compared. For tasks that another
SDK packed, only fields of the template can be compared.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import Task
from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.tasks_pb2 import TaskMetadata, TaskTemplate
from flyteidl.core.workflow_pb2 import WorkflowTemplate as WorkflowMessage
from google.protobuf.struct_pb2 import Value

from flyte_nb.api.identifiers import TASK, WORKFLOW
from flyte_nb.api.nodes import ADDED_NODES
from flyte_nb.api.version import __version__
from flyte_nb.compiler.outline import flat
from flyte_nb.drafting.draft import Draft
from flyte_nb.drafting.versions import CUSTOM_KEY, python_minor

FIRST_TIME = "first time"
SAME = "same fingerprint as what is registered"
SAME_CONTENT = "same content as what is registered"
RESTAGED = "missing or damaged objects of its bundle were staged again"

_NAMED_AT_MOST = 3
"""Changes that a reason names; it counts the others."""


def why(draft: Draft, before: Any, compiled: "WorkflowMessage | None" = None) -> str:
    """Return in words how `draft` differs from its latest registered version.

    Args:
        draft: The entity that will be registered.
        before: flyteidl's `Task`, `Workflow` or `LaunchPlan`; `None` when no version is registered.
        compiled: For a workflow: the registered template, which FlyteAdmin's lists leave out. `None`
            when it could not be read.
    """
    if before is None:
        return FIRST_TIME
    if draft.id.resource_type == TASK:
        return _joined(_task_changes(draft, before))
    if draft.id.resource_type == WORKFLOW:
        return _joined(_workflow_changes(draft.message.template, compiled))
    return _joined(_launch_plan_changes(draft, before))


def _task_changes(draft: Draft, before: Task) -> "list[str]":
    template = before.closure.compiled_task.template
    packed_by_us = CUSTOM_KEY in template.custom.fields
    if not packed_by_us and draft.packed is None:
        return _template_changes(draft.message.template, template)
    if not packed_by_us or draft.packed is None:
        return ["registered before by other means"]
    custom = template.custom.fields[CUSTOM_KEY].struct_value.fields
    # The code comes first: what an author changed is most often there.
    changes = _part_changes(draft.packed.parts, registered_parts(before) or {})
    new = draft.message.template
    changes.extend(_interface_changes(new.interface, template.interface))
    # Parts have names and fingerprints of their own. A change that no part shows, for example in how
    # parts refer to each other, still changes the fingerprint of the whole.
    if not changes and _text(custom, "fingerprint") != draft.packed.fingerprint:
        changes.append("its code changed")
    if new.metadata != template.metadata:
        changes.extend(_option_changes(new.metadata, template.metadata))
    if new.container.image != template.container.image:
        changes.append(f"image {new.container.image}")
    if new.container.resources != template.container.resources:
        changes.append("resources changed")
    if new.container.env != template.container.env:
        changes.append("environment changed")
    python, sdk = _text(custom, "python"), _text(custom, "sdk")
    if python != python_minor():
        changes.append(f"Python {python_minor()} instead of {python}")
    if sdk != __version__:
        changes.append(f"flyte_nb {__version__} instead of {sdk}")
    # The version of a dynamic task also depends on the launch plans that its body can start, which are
    # in its index and not in its template.
    if not changes and draft.packed.launch_plans:
        changes.append("a launch plan that it starts changed")
    return changes


def _template_changes(new: TaskTemplate, old: TaskTemplate) -> "list[str]":
    """Return which fields of its template changed, for a task that comes from a spec file."""
    changes = _interface_changes(new.interface, old.interface)
    changes += [
        f"{field.name} changed"
        for field in new.DESCRIPTOR.fields
        if field.name not in ("id", "interface")
        and getattr(new, field.name) != getattr(old, field.name)
    ]
    return changes or ["it has another version"]


def registered_parts(task: Task) -> "dict[str, str] | None":
    """Return the fingerprints of a registered task's parts, by name; `None` when another SDK packed it."""
    fields = task.closure.compiled_task.template.custom.fields
    if CUSTOM_KEY not in fields:
        return None
    custom = fields[CUSTOM_KEY].struct_value.fields
    parts = custom["parts"].struct_value.fields if "parts" in custom else {}
    return {name: part.string_value for name, part in parts.items()}


def registered_python(task: Task) -> str:
    """Return the `major.minor` of the Python that pickled a registered task; empty when it is not known."""
    fields = task.closure.compiled_task.template.custom.fields
    if CUSTOM_KEY not in fields:
        return ""
    return _text(fields[CUSTOM_KEY].struct_value.fields, "python") or ""


def _text(fields: "Mapping[str, Value]", name: str) -> "str | None":
    # Reading an absent key of a protobuf map would add it.
    return str(fields[name].string_value) if name in fields else None


def _part_changes(new: "Mapping[str, str]", old: "Mapping[str, str]") -> "list[str]":
    changes = [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    changes += [f"now depends on {name}" for name in new if name not in old]
    changes += [f"no longer depends on {name}" for name in old if name not in new]
    return changes


def _interface_changes(new: TypedInterface, old: TypedInterface) -> "list[str]":
    """Return which inputs and outputs are new, missing or of another type."""
    changes: list[str] = []
    for side, word in (("inputs", "input"), ("outputs", "output")):
        mine, theirs = getattr(new, side).variables, getattr(old, side).variables
        changes += [f"new {word} {name}" for name in mine if name not in theirs]
        changes += [f"no {word} {name} any more" for name in theirs if name not in mine]
        changes += [
            f"{word} {name} has another type"
            for name in mine
            if name in theirs and mine[name].type != theirs[name].type
        ]
    return changes


def _option_changes(new: TaskMetadata, old: TaskMetadata) -> "list[str]":
    """Return which options of a task changed."""
    changes = []
    for field in new.DESCRIPTOR.fields:
        # `runtime` has the versions of the SDK and of Python, which have reasons of their own. The cache
        # version follows the code unless the author sets it, and the code is named already.
        if field.name in ("runtime", "discovery_version"):
            continue
        mine, theirs = getattr(new, field.name), getattr(old, field.name)
        if mine == theirs:
            continue
        if field.name == "retries":
            changes.append(f"retries {mine.retries} instead of {theirs.retries}")
        else:
            changes.append(f"option {field.name} changed")
    return changes


def _workflow_changes(new: WorkflowMessage, old: "WorkflowMessage | None") -> "list[str]":
    if old is None:
        return ["its definition changed"]
    changes = _interface_changes(new.interface, old.interface)
    mine, theirs = _references(new), _references(old)
    changes += [f"now depends on {_short(name)}" for name in mine if name not in theirs]
    changes += [f"no longer depends on {_short(name)}" for name in theirs if name not in mine]
    moved = [_short(name) for name in mine if name in theirs and mine[name] != theirs[name]]
    changes += [f"{name} changed" for name in moved]
    # A new version of a task may change the nodes with it; naming the task says enough then.
    if not changes or (not moved and _shape(new) != _shape(old)):
        changes.append("its nodes changed")
    return changes


def _references(template: WorkflowMessage) -> "dict[str, str]":
    """Return the versions of the entities that nodes refer to, by name."""
    found = {}
    for node in flat(template.nodes):
        target = node.WhichOneof("target")
        reference: Any = None
        if target == "task_node":
            reference = node.task_node.reference_id
        elif target == "workflow_node":
            which = node.workflow_node.WhichOneof("reference")
            reference = getattr(node.workflow_node, which) if which else None
        if reference is not None:
            found[reference.name] = reference.version
    return found


def _shape(template: WorkflowMessage) -> "list[tuple[str, tuple[str, ...]]]":
    """Return each node's id and the ids it waits for, without the nodes that the compiler adds."""
    return [
        (node.id, tuple(sorted(up for up in node.upstream_node_ids if up not in ADDED_NODES)))
        for node in template.nodes
        if node.id not in ADDED_NODES
    ]


_PLAN_PARTS = (
    ("entity_metadata", "schedule or notifications"),
    ("labels", "labels"),
    ("annotations", "annotations"),
    ("raw_output_data_config", "raw output location"),
    ("security_context", "security context"),
    ("max_parallelism", "max_parallelism"),
    ("overwrite_cache", "overwrite_cache"),
    ("concurrency_policy", "concurrency"),
)
"""Fields of `LaunchPlanSpec`, and what people call them."""


def _launch_plan_changes(draft: Draft, before: LaunchPlan) -> "list[str]":
    changes = []
    if draft.message.workflow_id.name != before.spec.workflow_id.name:
        changes.append(f"now launches {_short(draft.message.workflow_id.name)}")
    elif draft.message.workflow_id.version != before.spec.workflow_id.version:
        changes.append("its workflow changed")
    if draft.message.fixed_inputs != before.spec.fixed_inputs:
        changes.append("fixed inputs changed")
    # FlyteAdmin replaces default inputs by the expected ones, so only values can be compared.
    mine, theirs = draft.message.default_inputs.parameters, before.spec.default_inputs.parameters
    if any(name in theirs and mine[name].default != theirs[name].default for name in mine):
        changes.append("defaults changed")
    for name, words in _PLAN_PARTS:
        if getattr(draft.message, name) != getattr(before.spec, name):
            changes.append(f"{words} changed")
    return changes


def _joined(changes: "Iterable[str]") -> str:
    """Return the changes in one line, each once and the first few by name."""
    several = list(dict.fromkeys(changes)) or ["its definition changed"]
    shown = several[:_NAMED_AT_MOST]
    if len(several) > len(shown):
        shown.append(f"{len(several) - len(shown)} more changes")
    return "; ".join(shown)


def _short(name: str) -> str:
    return name.rpartition(".")[2]
