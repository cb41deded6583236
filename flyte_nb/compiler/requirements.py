"""Find what a workflow refers to: tasks, launch plans and sub-workflows, and which of them are missing.

Source: flytepropeller/pkg/compiler/requirements.go at v1.16.8. Flyte recurses without end into a
workflow that contains itself; this module reports a cycle instead.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flyteidl.core import compiler_pb2, identifier_pb2, workflow_pb2

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import shape_problems
from flyte_nb.compiler.builder import CheckedNode
from flyte_nb.compiler.collector import MAX_ID, Collector
from flyte_nb.compiler.program import key

Identifier = identifier_pb2.Identifier


class Use(NamedTuple):
    """A reference, with the node and the workflow that have it."""

    identifier: Identifier
    node_id: str
    entity: str
    """The name of the workflow that the node belongs to."""


class Requirements(NamedTuple):
    """What a workflow refers to: each entity once, in the order in which Flyte sorts identifiers."""

    tasks: "tuple[Use, ...]"
    launch_plans: "tuple[Use, ...]"
    workflows: "tuple[Use, ...]"
    """Sub-workflows; one that another one runs comes before that other one."""


class ReadWorkflow(NamedTuple):
    """A workflow template together with its nodes, read once."""

    template: workflow_pb2.WorkflowTemplate
    nodes: "tuple[CheckedNode, ...]"


def read_workflow(template: workflow_pb2.WorkflowTemplate) -> ReadWorkflow:
    """Return the workflow with its nodes."""
    return ReadWorkflow(template, tuple(map(CheckedNode, template.nodes)))


def _not_given(use: Use) -> Problem:
    """Return the problem of a sub-workflow that is used and was not given."""
    problem = shape_problems.workflow_not_found(
        use.node_id, use.identifier, use.identifier.name, "sub-workflow"
    )
    return problem._replace(entity=use.entity)


def find_requirements(
    primary: ReadWorkflow, workflows: "Mapping[bytes, ReadWorkflow]", errors: Collector
) -> Requirements:
    """Return everything that `primary` refers to, directly or through sub-workflows.

    Missing sub-workflows, and sub-workflows that contain themselves, are added to `errors`.

    Args:
        primary: the workflow that is compiled.
        workflows: the sub-workflows that were given, by their key.
        errors: collects the problems.
    """
    template = primary.template
    tasks: dict[bytes, Use] = {}
    launch_plans: dict[bytes, Use] = {}
    done: dict[bytes, Use] = {}
    root = Use(template.id, "", template.id.name)
    # A depth-first walk with a stack of its own: workflows may be nested a thousand levels deep, more
    # than Python's recursion limit allows. Each entry is a workflow whose references are being read.
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
            # A workflow is done after everything inside it, so `done` has inner workflows first.
            if path:
                done[current] = use
            continue
        noun, reference, found = step
        if noun == TASK:
            tasks.setdefault(reference, found)
        elif noun == LAUNCH_PLAN:
            launch_plans.setdefault(reference, found)
        elif reference in done:
            continue
        elif reference not in workflows:
            errors.add(_not_given(found))
        elif reference in open_keys:
            if current in closing:
                continue  # one cycle for each workflow is enough to fix it
            closing.add(current)
            start = [entry[0] for entry in path].index(reference)
            names = [entry[1].identifier.name for entry in path[start:]]
            errors.add(
                shape_problems.cycle([*names, names[0]], workflows=True)._replace(
                    node_id=found.node_id, entity=found.entity
                )
            )
        else:
            open_keys.add(reference)
            path.append((reference, found, _uses(workflows[reference])))
    return Requirements(_sorted(tasks), _sorted(launch_plans), tuple(done.values()))


def _uses(workflow: ReadWorkflow) -> "Iterator[tuple[str, bytes, Use]]":
    """Yield what the workflow's own nodes refer to, each once: the kind, the key, and the use.

    The kind is `TASK`, `LAUNCH_PLAN` or `WORKFLOW` of `api/identifiers.py`.
    """
    seen: set[bytes] = set()
    inner: list[tuple[workflow_pb2.Node, str]] = []
    name = workflow.template.id.name
    for node in workflow.nodes:
        reference = node.reference
        if reference is None:
            inner.append((node.message, node.id))
        elif reference not in seen:
            # Nearly every node runs a task, so tasks are handled here, without the general walk below.
            seen.add(reference)
            yield TASK, reference, Use(node.message.task_node.reference_id, node.id, name)
    if workflow.template.HasField("failure_node"):
        failure = workflow.template.failure_node
        inner.append((failure, failure.id))
    for noun, identifier, node_id in references(inner):
        reference = key(identifier)
        if reference not in seen:
            seen.add(reference)
            yield noun, reference, Use(identifier, node_id, name)


def launch_plans_of(closure: compiler_pb2.CompiledWorkflowClosure) -> "list[Identifier]":
    """Return the launch plans that nodes of a compiled workflow and of its sub-workflows start."""
    compiled = (closure.primary, *closure.sub_workflows)
    inner = [(node, node.id) for each in compiled for node in each.template.nodes]
    inner += [
        (each.template.failure_node, "")
        for each in compiled
        if each.template.HasField("failure_node")
    ]
    return [identifier for noun, identifier, _ in references(inner) if noun == LAUNCH_PLAN]


def references(
    inner: "list[tuple[workflow_pb2.Node, str]]",
) -> "Iterator[tuple[str, Identifier, str]]":
    """Yield what these nodes and the nodes inside them refer to: the kind, the id, and the node's id.

    Args:
        inner: pairs of a node and the id to report it by; the list is emptied.
    """
    while inner:
        node, node_id = inner.pop()
        kind = node.WhichOneof("target")
        if kind == "task_node":
            if node.task_node.HasField("reference_id"):
                yield TASK, node.task_node.reference_id, node_id
        elif kind == "workflow_node":
            target = node.workflow_node.WhichOneof("reference")
            if target == "launchplan_ref":
                yield LAUNCH_PLAN, node.workflow_node.launchplan_ref, node_id
            elif target == "sub_workflow_ref":
                yield WORKFLOW, node.workflow_node.sub_workflow_ref, node_id
        elif kind == "branch_node":
            block = node.branch_node.if_else
            # A node inside a branch is reported by the id that it gets when it is compiled,
            # `n0-n0`. The cut keeps nested branches of long ids from growing with the square of
            # their depth.
            cases = [block.case.then_node, *(other.then_node for other in block.other)]
            if block.WhichOneof("default") == "else_node":
                cases.append(block.else_node)
            inner.extend((case, f"{node_id[:MAX_ID]}-{case.id}") for case in cases)
        elif kind == "array_node":
            inner.append((node.array_node.node, node_id))


def _sorted(found: "dict[bytes, Use]") -> "tuple[Use, ...]":
    """Return the uses in Flyte's order."""
    return tuple(sorted(found.values(), key=_order))


def _order(use: Use) -> "tuple[int, str, str, str, str]":
    """Return the sort key of a use: resource type, project, domain, name, version."""
    identifier = use.identifier
    return (
        identifier.resource_type,
        identifier.project,
        identifier.domain,
        identifier.name,
        identifier.version,
    )
