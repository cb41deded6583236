"""Where an execution's values lie in the store, as propeller lays them out (flyte-backend: 4.3)."""

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import END_NODE
from flyte_nb.propeller.names import raw_folder
from flyte_nb.propeller.state import NodeState

INPUTS = "inputs.pb"
OUTPUTS = "outputs.pb"


class Layout:
    """URIs of one execution's inputs, outputs and folders."""

    def __init__(self, data_root: str, id: ExecutionId, raw_output_prefix: str = "") -> None:
        root = data_root.rstrip("/")
        self.root = f"{root}/metadata/propeller/{id.project}-{id.domain}-{id.name}"
        self.raw = raw_output_prefix or f"{root}/raw"
        self.name = id.name
        self.input_uri = f"{self.root}/start-node/data/0/{OUTPUTS}"
        """The workflow's inputs, as the outputs of its start node."""

    def data(self, node: NodeState) -> str:
        """The node's folder; nodes of a sub-workflow lie below their parent's attempt."""
        parent = node.frame.parent
        above = f"{self.data(parent)}/0" if parent else self.root
        return f"{above}/{node.plan.id}/data"

    def inputs(self, node: NodeState) -> str:
        """`inputs.pb` of the node."""
        return (
            f"{self.outputs(node)}" if node.plan.id == END_NODE else f"{self.data(node)}/{INPUTS}"
        )

    def folder(self, node: NodeState, attempt: int) -> str:
        """Where one attempt writes `outputs.pb` or `error.pb`."""
        return f"{self.data(node)}/{attempt}"

    def outputs(self, node: NodeState) -> str:
        """`outputs.pb` of a node that runs no attempt: end nodes, results from the catalog."""
        return f"{self.data(node)}/0/{OUTPUTS}"

    def raw_folder(self, node: NodeState, attempt: int) -> str:
        """Where one attempt puts the files that its values refer to."""
        return raw_folder(self.raw, self.name, node.node_id, attempt)
