"""Get the graph of an execution's workflow, and the static card that stays when the execution has ended."""

from collections.abc import Callable, Mapping

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.api.phases import SUCCEEDED
from flyte_nb.executions.views import ExecutionView
from flyte_nb.graph.elements import Graph, GraphNode
from flyte_nb.graph.model import graph_of
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import ExecutionPort
from flyte_nb.notebook.looking.details import Details, Places
from flyte_nb.notebook.looking.exploring import Subject


def subject_for(kernel: Kernel, view: ExecutionView) -> Subject:
    """Return the workflow of an execution, as it was registered.

    If it cannot be fetched any more, the subject has the nodes of the execution, without arrows and details.
    """
    name = view.workflow.name
    closure = None
    try:
        fetched = kernel.session.fetch_workflow(name, view.workflow.version)
        closure = fetched.message.closure.compiled_workflow
        graph = graph_of(closure)
    except FlyteNbError:
        nodes = tuple(
            GraphNode(
                id=node.spec_node_id,
                kind=node.kind,
                title=node.name.rpartition(".")[2],
                subtitle="",
                name=node.name,
            )
            for node in view.nodes
            if not node.parent_id
        )
        graph = Graph(name.rpartition(".")[2], nodes, ())
    return Subject(name, graph, Details(graph, closure, Places({}, {}, kernel.cells.place)))


def execution_at_rest(
    kernel: Kernel, execution: ExecutionPort, view: ExecutionView, graph: Graph
) -> "Mapping[str, object]":
    """Return the mime bundle that stays of an execution: graph, timeline, nodes, values, end of the logs.

    Inputs, outputs and logs are fetched now; what the backend does not have any more is left out.
    """
    inputs = _tried(execution.inputs)
    outputs = _tried(execution.outputs) if view.phase == SUCCEEDED else {}
    logs = _tried(execution.logs)
    return at_rest.execution(
        view,
        graph,
        inputs=inputs if isinstance(inputs, Mapping) else {},
        outputs=outputs if isinstance(outputs, Mapping) else {},
        logs=logs if isinstance(logs, str) else "",
        humanize=kernel.cells.humanize,
    )


def _tried(call: "Callable[[], object]") -> object:
    """Return what the call returns; `None` if the backend refuses, e.g. because the data was deleted."""
    try:
        return call()
    except FlyteNbError:
        return None
