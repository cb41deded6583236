"""Make the value that an executor gets for one attempt at a node."""

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.errors import SYSTEM, ErrorInfo
from flyte_nb.api.identifiers import Identifier
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.foreign.runnable import ECHO
from flyte_nb.propeller.launch import Launch, environment
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.propeller.state import NodeState
from flyte_nb.runtime.mapped import NAME_VARIABLE
from flyte_nb.runtime.options import DURABLE_VARIABLE

UNEXPLAINED = ErrorInfo(
    "SYSTEM:Unknown", "The attempt ended without outputs and without an error.", SYSTEM, True
)
"""The error of an attempt that nothing is known of."""


def attempt_at(
    node: NodeState,
    inputs: LiteralMap,
    launch: Launch,
    layout: DataLayout,
    workflow_id: Identifier,
    *,
    in_memory: bool,
) -> Attempt:
    """Return the node's present attempt.

    Args:
        node: A node with an attempt.
        inputs: Its inputs.
        launch: The execution.
        layout: Where the execution's files are.
        workflow_id: The workflow that is executed.
        in_memory: Whether the executor needs no URIs and variables. Making them takes longer than a
            small task.

    Raises:
        ValueError: when the node runs no task.
    """
    task, task_id, number = node.plan.task, node.plan.task_id, node.attempt
    if task is None or task_id is None:
        raise ValueError(f"Node {node.node_id} runs no task, so it has no attempts.")
    key = AttemptKey(launch.id, node.node_id, number)
    input_uri, folder = _places(node, layout)
    attempt = Attempt(
        key=key,
        task_id=task_id,
        task=task,
        inputs=inputs,
        input_uri=input_uri,
        output_prefix=folder,
        timeout_us=node.plan.timeout_us,
        element=node.element,
    )
    if in_memory:
        return attempt
    # Each attempt has a raw folder of its own, so a retry cannot mix its files with those of the
    # attempt before. It reads that one's checkpoint, and writes its own.
    before = layout.checkpoint(node, number - 1) if number else node.former_checkpoint_uri
    return attempt._replace(
        raw_output_prefix=layout.raw_folder(node, number),
        checkpoint_uri=layout.checkpoint(node, number),
        prev_checkpoint_uri=before,
        envs={
            **environment(launch, workflow_id, task, number),
            **(_element_variables(node.element) if node.element >= 0 else {}),
            # The attempt waits for the disk, so that the engine need not; see `StoreCatalog.put`.
            **({DURABLE_VARIABLE: "1"} if node.plan.discoverable else {}),
        },
    )


def _places(node: NodeState, layout: DataLayout) -> tuple[str, str]:
    """Return the URI of the attempt's `inputs.pb`, and of the folder that it writes to."""
    if node.element < 0 or node.run.parent is None:
        return node.input_uri, node.attempt_output_uri
    array = node.run.parent.plan.array
    individual = array is not None and array.individual_inputs
    return layout.inputs(node) if individual else node.input_uri, layout.folder(node, node.attempt)


def _element_variables(element: int) -> dict[str, str]:
    """Return the variables by which an attempt knows which element of a map it is.

    Source: flytepropeller/pkg/controller/nodes/array/execution_context.go at v1.16.8.
    """
    return {NAME_VARIABLE: "FLYTE_K8S_ARRAY_INDEX", "FLYTE_K8S_ARRAY_INDEX": str(element)}


def takes_slot(node: NodeState) -> bool:
    """Return whether an attempt at the node takes up a slot while it runs.

    An eager task waits for executions that it launches. With a slot of its own it could keep theirs from
    beginning, for ever when all slots have eager tasks. An echo has no process.
    """
    task = node.plan.task
    return task is None or not (task.metadata.is_eager or task.type == ECHO)


def lost(node: NodeState, why: str) -> ErrorInfo:
    """Return the error of the node's present attempt, which cannot be found or begun."""
    text = f"Attempt {node.attempt} at node {node.node_id} was lost: {why}."
    return ErrorInfo("SYSTEM:AttemptLost", text, SYSTEM, recoverable=True)
