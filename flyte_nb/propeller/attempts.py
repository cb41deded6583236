"""Make the value that an executor gets for one attempt at a node."""

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import Identifier
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.launch import Launch, environment
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.propeller.state import NodeState
from flyte_nb.runtime.options import DURABLE_VARIABLE


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
    if in_memory:
        return Attempt(
            key=key,
            task_id=task_id,
            task=task,
            inputs=inputs,
            input_uri=node.input_uri,
            output_prefix=node.attempt_output_uri,
            timeout_us=node.plan.timeout_us,
        )
    # Each attempt has a raw folder of its own, so a retry cannot mix its files with those of the
    # attempt before. It reads that one's checkpoint, and writes its own.
    before = layout.checkpoint(node, number - 1) if number else node.former_checkpoint_uri
    return Attempt(
        key=key,
        task_id=task_id,
        task=task,
        inputs=inputs,
        input_uri=node.input_uri,
        output_prefix=node.attempt_output_uri,
        raw_output_prefix=layout.raw_folder(node, number),
        checkpoint_uri=layout.checkpoint(node, number),
        prev_checkpoint_uri=before,
        envs={
            **environment(launch, workflow_id, task, number),
            # The attempt waits for the disk, so that the engine need not; see `StoreCatalog.put`.
            **({DURABLE_VARIABLE: "1"} if node.plan.discoverable else {}),
        },
        timeout_us=node.plan.timeout_us,
    )
