"""From an execution or a workflow to its graph, and to what stays on the page."""

from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.client.views import ExecutionView
from flyte_nb.graph.model import graph_of
from flyte_nb.graph.values import Graph, GraphNode
from flyte_nb.notebook import rest
from flyte_nb.notebook.kernel import Kernel
from flyte_nb.notebook.ports import ExecutionPort, SessionPort


def graph_for(session: SessionPort, view: ExecutionView) -> Graph:
    """The graph of the workflow that runs; without edges when it cannot be fetched any more."""
    try:
        fetched = session.fetch_workflow(view.workflow.name, view.workflow.version)
        return graph_of(fetched.message.closure.compiled_workflow)
    except FlyteNbError:
        nodes = tuple(
            GraphNode(node.spec_node_id, node.kind, node.name.rpartition(".")[2], "", node.name)
            for node in view.nodes
            if not node.parent_id
        )
        return Graph(view.workflow.name.rpartition(".")[2], nodes, ())


def execution_at_rest(
    kernel: Kernel, execution: ExecutionPort, view: ExecutionView, graph: Graph
) -> "Mapping[str, Any]":
    """What stays of an execution: graph, timeline, nodes, values and the end of the logs."""
    inputs = _tried(execution.inputs)
    outputs = _tried(execution.outputs) if view.phase == "SUCCEEDED" else {}
    logs = _tried(execution.logs)
    return rest.execution(
        view,
        graph,
        inputs=inputs if isinstance(inputs, Mapping) else {},
        outputs=outputs if isinstance(outputs, Mapping) else {},
        logs=logs if isinstance(logs, str) else "",
        humanize=kernel.cells.humanize,
    )


def _tried(call: Any) -> Any:
    """What the call answers; nothing when the backend does not have it (any more)."""
    try:
        return call()
    except FlyteNbError:
        return None
