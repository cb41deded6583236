"""Check whether a cluster would start a workflow that it compiled.

FlyteAdmin registers some workflows that propeller then refuses to run. This module finds them
before they are registered.

Source: flytepropeller/pkg/compiler/transformers/k8s/node.go and workflow.go at v1.16.8.
"""

from collections.abc import Iterator

from flyteidl.core import compiler_pb2, tasks_pb2, workflow_pb2
from google.protobuf import duration_pb2

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler.collector import Collector, TooManyProblems
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.quantities import is_quantity

_SECONDS_OF_GO = 2**63 // 10**9
"""The longest duration that Go can hold, in seconds: it counts nanoseconds in an int64."""


def check_launchable(closure: compiler_pb2.CompiledWorkflowClosure) -> "tuple[Problem, ...]":
    """Return every reason why a compiled workflow cannot be launched, whatever its inputs are."""
    errors = Collector()
    try:
        for compiled in (closure.primary, *closure.sub_workflows):
            errors.entity = compiled.template.id.name
            _check_options(compiled.template, errors)
            _check_ids(compiled.template, errors)
        errors.entity = closure.primary.template.id.name
        if not closure.primary.connections.downstream[START_NODE].ids:
            # An author's node with the id of the start or the end is not connected to anything.
            errors.add(_no_entry(go_text(closure.primary.template.id)))
    except TooManyProblems:
        pass
    return errors.problems


def check_options(template: workflow_pb2.WorkflowTemplate) -> "tuple[Problem, ...]":
    """Return the problems of the nodes' own options, which can be checked before the workflow compiles."""
    errors = Collector(template.id.name)
    try:
        _check_options(template, errors)
    except TooManyProblems:
        pass
    return errors.problems


def _check_options(template: workflow_pb2.WorkflowTemplate, errors: Collector) -> None:
    """Report resources and timeouts of nodes that cannot be read."""
    nodes = _own_nodes(template)
    if template.HasField("failure_node"):
        nodes.append(template.failure_node)
    # An array's inner node carries the options of the mapped task.
    for node, place in _walk(nodes, into_arrays=True):
        if node.WhichOneof("target") == "task_node":
            _check_overrides(node.task_node.overrides.resources, place, errors)
        if node.metadata.HasField("timeout") and not _is_duration(node.metadata.timeout):
            errors.add(_unreadable_timeout(place))


def _check_ids(template: workflow_pb2.WorkflowTemplate, errors: Collector) -> None:
    """Report different nodes with the same id."""
    # Propeller keeps the nodes of a workflow, those inside its branches included, in one map by id. The
    # failure node is not in it, so its id may be that of another node. Equal nodes may share an id too:
    # a node that is used in two places is put into the map twice, unchanged.
    known: dict[str, workflow_pb2.Node] = {}
    for node, _ in _walk(_own_nodes(template), into_arrays=False):
        other = known.setdefault(node.id, node)
        if other is not node and other != node:
            errors.add(_ids_collide(node.id))


def _own_nodes(template: workflow_pb2.WorkflowTemplate) -> "list[workflow_pb2.Node]":
    """Return the nodes that the author wrote: all but the start and the end."""
    return [node for node in template.nodes if node.id not in (START_NODE, END_NODE)]


def _walk(
    waiting: "list[workflow_pb2.Node]", *, into_arrays: bool
) -> "Iterator[tuple[workflow_pb2.Node, str]]":
    """Yield these nodes and the nodes inside them, each with the id to report it by.

    Args:
        waiting: the nodes to begin with.
        into_arrays: whether to yield the node that an array runs; it is reported by the array's id.
    """
    # A stack instead of recursion: branches may be nested deeply.
    places = [(node, node.id) for node in waiting]
    while places:
        node, place = places.pop()
        yield node, place
        target = node.WhichOneof("target")
        if target == "branch_node":
            block = node.branch_node.if_else
            cases = [case.then_node for case in (block.case, *block.other)]
            if block.WhichOneof("default") == "else_node":
                cases.append(block.else_node)
            places.extend((case, case.id) for case in cases)
        elif target == "array_node" and into_arrays:
            places.append((node.array_node.node, place))


def _check_overrides(resources: tasks_pb2.Resources, place: str, errors: Collector) -> None:
    """Report every request or limit of a node's own that Kubernetes cannot read."""
    names = tasks_pb2.Resources.ResourceName.DESCRIPTOR.values_by_number
    for entry in (*resources.requests, *resources.limits):
        if not is_quantity(entry.value):
            name = names[entry.name].name if entry.name in names else str(entry.name)
            errors.add(_unreadable_override(place, name.lower(), entry.value))


def _is_duration(duration: duration_pb2.Duration) -> bool:
    """Return whether Go can read the duration: within 292 years, with seconds and nanos of one sign."""
    seconds, nanos = duration.seconds, duration.nanos
    if abs(seconds) > _SECONDS_OF_GO or abs(nanos) >= 10**9:
        return False
    return not (seconds < 0 < nanos or nanos < 0 < seconds)


def _no_entry(graph_id: str) -> Problem:
    """Return the problem of a workflow in which no node can start."""
    return Problem(
        "NoEntryNodeFound",
        "No node of the workflow ever starts.",
        hint=f"Give the nodes ids other than {START_NODE!r} and {END_NODE!r}.",
        flyte_text=f"Can't find a node to start executing Workflow [{graph_id}].",
    )


def _ids_collide(node_id: str) -> Problem:
    """Return the problem of two different nodes with the same id."""
    return Problem(
        "ValueCollision",
        f"Two different nodes have the id {node_id!r}.",
        node_id,
        hint="Give one of them another id with with_overrides(node_name=…).",
        flyte_text=f"Node is expected to be unique. {node_id} already exists.",
    )


def _unreadable_timeout(node_id: str) -> Problem:
    """Return the problem of a node's timeout that Go cannot read."""
    return Problem(
        "SyntaxError",
        "Its timeout is not a duration that Flyte can read.",
        node_id,
        "timeout",
        "Set a positive timeout of less than 292 years.",
        flyte_text="Failed to parse element [node:metadata:timeout].",
    )


def _unreadable_override(node_id: str, resource: str, quantity: str) -> Problem:
    """Return the problem of a node's own request or limit that Kubernetes cannot read."""
    return Problem(
        "WorkflowBuildError",
        f"{resource} is {quantity!r}, which Kubernetes cannot read.",
        node_id,
        resource,
        'Write e.g. "500m", "2" or "1Gi".',
        flyte_text="Failed to parse resource as a valid quantity.: quantities must match the regular"
        " expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    )
