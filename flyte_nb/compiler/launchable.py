"""Would a cluster start what it compiled? What it only notices when a workflow is launched.

FlyteAdmin registers these workflows and refuses to launch them, so they are told before.

Source: flytepropeller/pkg/compiler/transformers/k8s/node.go and workflow.go at v1.16.8.
"""

from collections.abc import Iterator

from flyteidl.core import compiler_pb2, tasks_pb2, workflow_pb2
from google.protobuf import duration_pb2

from flyte_nb.api.problems import Problem
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.problems import END_NODE, START_NODE, Collector, Enough
from flyte_nb.compiler.quantities import is_quantity

_SECONDS_OF_GO = 2**63 // 10**9
"""A duration is an int64 of nanoseconds there."""


def check_launchable(closure: compiler_pb2.CompiledWorkflowClosure) -> "tuple[Problem, ...]":
    """Everything that keeps a compiled workflow from being launched with whatever inputs."""
    errors = Collector()
    try:
        for compiled in (closure.primary, *closure.sub_workflows):
            errors.entity = compiled.template.id.name
            _check_options(compiled.template, errors)
            _check_ids(compiled.template, errors)
        errors.entity = closure.primary.template.id.name
        if not closure.primary.connections.downstream[START_NODE].ids:
            errors.add(_no_entry(go_text(closure.primary.template.id)))
    except Enough:
        pass
    return errors.problems


def check_options(template: workflow_pb2.WorkflowTemplate) -> "tuple[Problem, ...]":
    """What can be told of it already when the workflow does not compile."""
    errors = Collector(template.id.name)
    try:
        _check_options(template, errors)
    except Enough:
        pass
    return errors.problems


def _check_options(template: workflow_pb2.WorkflowTemplate, errors: Collector) -> None:
    for node in _all_nodes(template):
        _check_overrides(node, errors)
        if node.metadata.HasField("timeout") and not _is_duration(node.metadata.timeout):
            errors.add(_unreadable_timeout(node.id))


def _check_ids(template: workflow_pb2.WorkflowTemplate, errors: Collector) -> None:
    known: dict[str, workflow_pb2.Node] = {}
    for node in _all_nodes(template):
        other = known.setdefault(node.id, node)
        if other is not node and other != node:
            errors.add(_ids_collide(node.id))


def _all_nodes(template: workflow_pb2.WorkflowTemplate) -> "Iterator[workflow_pb2.Node]":
    """The nodes and those of their cases; what an array runs has no id of its own."""
    waiting = [node for node in template.nodes if node.id not in (START_NODE, END_NODE)]
    if template.HasField("failure_node"):
        waiting.append(template.failure_node)
    while waiting:
        node = waiting.pop()
        yield node
        if node.WhichOneof("target") == "branch_node":
            block = node.branch_node.if_else
            waiting.extend(case.then_node for case in (block.case, *block.other))
            if block.WhichOneof("default") == "else_node":
                waiting.append(block.else_node)


def _check_overrides(node: workflow_pb2.Node, errors: Collector) -> None:
    inner = node
    while inner.WhichOneof("target") == "array_node":
        inner = inner.array_node.node
    if inner.WhichOneof("target") != "task_node" or not inner.task_node.HasField("overrides"):
        return
    resources = inner.task_node.overrides.resources
    names = tasks_pb2.Resources.ResourceName.DESCRIPTOR.values_by_number
    for entry in (*resources.requests, *resources.limits):
        if not is_quantity(entry.value):
            name = names[entry.name].name if entry.name in names else str(entry.name)
            errors.add(_unreadable_override(node.id, name.lower(), entry.value))


def _is_duration(duration: duration_pb2.Duration) -> bool:
    seconds, nanos = duration.seconds, duration.nanos
    if abs(seconds) > _SECONDS_OF_GO or abs(nanos) >= 10**9:
        return False
    return not (seconds < 0 < nanos or nanos < 0 < seconds)


def _no_entry(graph_id: str) -> Problem:
    """A workflow of which no node starts, as each is called like the start or the end."""
    return Problem(
        "NoEntryNodeFound",
        "No node of the workflow ever starts.",
        hint=f"Call the nodes neither {START_NODE} nor end-node.",
        flyte_text=f"Can't find a node to start executing Workflow [{graph_id}].",
    )


def _ids_collide(node_id: str) -> Problem:
    """Two nodes inside of branches that have one id and differ."""
    return Problem(
        "ValueCollision",
        f"Two different nodes have the id {node_id!r}.",
        node_id,
        hint="Give one of them another id, by with_overrides(node_name=…).",
        flyte_text=f"Node is expected to be unique. {node_id} already exists.",
    )


def _unreadable_timeout(node_id: str) -> Problem:
    """A node's timeout that is no duration."""
    return Problem(
        "SyntaxError",
        "Its timeout is no duration that Flyte can read.",
        node_id,
        "timeout",
        "Give a positive time of less than 292 years.",
        flyte_text="Failed to parse element [node:metadata:timeout].",
    )


def _unreadable_override(node_id: str, resource: str, quantity: str) -> Problem:
    """A node's own request or limit that Kubernetes cannot read."""
    return Problem(
        "WorkflowBuildError",
        f"{resource} is {quantity!r}, which Kubernetes cannot read.",
        node_id,
        resource,
        'Write e.g. "500m", "2" or "1Gi".',
        flyte_text="Failed to parse resource as a valid quantity.: quantities must match the regular"
        " expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    )
