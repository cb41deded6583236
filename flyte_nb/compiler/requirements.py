"""What a workflow refers to: tasks, launch plans and sub-workflows, and whether they are there.

Source: flytepropeller/pkg/compiler/requirements.go at v1.16.8. Where Flyte recurses without end (a
workflow that contains itself), this reports a cycle.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flyteidl.core import identifier_pb2, workflow_pb2

from flyte_nb.compiler import reports
from flyte_nb.compiler.building import NodeState
from flyte_nb.compiler.problems import MAX_ID, Collector
from flyte_nb.compiler.program import key

Identifier = identifier_pb2.Identifier


class Use(NamedTuple):
    """One reference, at the node that has it."""

    identifier: Identifier
    node_id: str
    entity: str


class Requirements(NamedTuple):
    """What is referred to, each once, sorted by id as Flyte sorts it."""

    tasks: "tuple[Use, ...]"
    launch_plans: "tuple[Use, ...]"
    workflows: "tuple[Use, ...]"
    """Sub-workflows, those first that others need."""


class Reading(NamedTuple):
    """A workflow whose nodes have been read, each once."""

    template: workflow_pb2.WorkflowTemplate
    nodes: "tuple[NodeState, ...]"


def read(template: workflow_pb2.WorkflowTemplate) -> Reading:
    """The workflow with its nodes."""
    return Reading(template, tuple(map(NodeState, template.nodes)))


def find_requirements(
    primary: Reading, workflows: "Mapping[bytes, Reading]", errors: Collector
) -> Requirements:
    """Everything that `primary` refers to, sub-workflows followed; missing ones are reported."""
    template = primary.template
    tasks: dict[bytes, Use] = {}
    launch_plans: dict[bytes, Use] = {}
    done: dict[bytes, Use] = {}
    root = Use(template.id, "", template.id.name)
    # Depth first without recursion: workflows may be nested a thousand levels deep.
    path: list[tuple[bytes, Use, Iterator[tuple[str, bytes, Use]]]] = []
    path.append((key(template.id), root, _uses(primary)))
    open_keys = {path[0][0]}
    closing: set[bytes] = set()
    while path:
        current, use, pending = path[-1]
        step = next(pending, None)
        if step is None:
            path.pop()
            open_keys.discard(current)
            if path:
                done[current] = use
            continue
        noun, reference, found = step
        if noun == "task":
            tasks.setdefault(reference, found)
        elif noun == "launch_plan":
            launch_plans.setdefault(reference, found)
        elif reference in done:
            continue
        elif reference not in workflows:
            errors.add(
                reports.workflow_not_found(
                    found.node_id, found.identifier, found.identifier.name, "sub-workflow"
                )._replace(entity=found.entity)
            )
        elif reference in open_keys:
            if current in closing:
                continue  # one ring through each workflow is enough to mend it
            closing.add(current)
            start = [entry[0] for entry in path].index(reference)
            names = [entry[1].identifier.name for entry in path[start:]]
            errors.add(
                reports.cycle([*names, names[0]], workflows=True)._replace(
                    node_id=found.node_id, entity=found.entity
                )
            )
        else:
            open_keys.add(reference)
            path.append((reference, found, _uses(workflows[reference])))
    return Requirements(_sorted(tasks), _sorted(launch_plans), tuple(done.values()))


def _uses(workflow: Reading) -> "Iterator[tuple[str, bytes, Use]]":
    """What the workflow's own nodes refer to, each once: the noun, the id as a key, and the use.

    Nouns are `task`, `launch_plan` and `workflow`.
    """
    seen: set[bytes] = set()
    inner: list[tuple[workflow_pb2.Node, str]] = []
    name = workflow.template.id.name
    for node in workflow.nodes:
        reference = node.reference
        if reference is None:
            inner.append((node.message, node.id))
        elif reference not in seen:  # nearly all of them
            seen.add(reference)
            yield "task", reference, Use(node.message.task_node.reference_id, node.id, name)
    if workflow.template.HasField("failure_node"):
        failure = workflow.template.failure_node
        inner.append((failure, failure.id))
    for noun, identifier, node_id in references(inner):
        reference = key(identifier)
        if reference not in seen:
            seen.add(reference)
            yield noun, reference, Use(identifier, node_id, name)


def references(
    inner: "list[tuple[workflow_pb2.Node, str]]",
) -> "Iterator[tuple[str, Identifier, str]]":
    """What these nodes and the nodes inside of them refer to; `inner` is used up."""
    while inner:
        node, node_id = inner.pop()
        kind = node.WhichOneof("target")
        if kind == "task_node":
            if node.task_node.HasField("reference_id"):
                yield "task", node.task_node.reference_id, node_id
        elif kind == "workflow_node":
            target = node.workflow_node.WhichOneof("reference")
            if target == "launchplan_ref":
                yield "launch_plan", node.workflow_node.launchplan_ref, node_id
            elif target == "sub_workflow_ref":
                yield "workflow", node.workflow_node.sub_workflow_ref, node_id
        elif kind == "branch_node":
            block = node.branch_node.if_else
            cases = [block.case.then_node, *(other.then_node for other in block.other)]
            if block.WhichOneof("default") == "else_node":
                cases.append(block.else_node)
            inner.extend((case, f"{node_id[:MAX_ID]}-{case.id}") for case in cases)
        elif kind == "array_node":
            inner.append((node.array_node.node, node_id))


def _sorted(found: "dict[bytes, Use]") -> "tuple[Use, ...]":
    return tuple(sorted(found.values(), key=_order))


def _order(use: Use) -> "tuple[int, str, str, str, str]":
    identifier = use.identifier
    return (
        identifier.resource_type,
        identifier.project,
        identifier.domain,
        identifier.name,
        identifier.version,
    )
