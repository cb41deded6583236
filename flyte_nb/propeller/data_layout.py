"""Where an execution's values are in the store.

Below an execution's own folder they are laid out as propeller lays them out (flyte-backend: 4.3).
Project, domain and name are folders of their own: joined by `-`, as propeller joins them, they are
the same for project `p` with an execution `development-x` as for `p-development` with `x`.
"""

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import END_NODE
from flyte_nb.propeller.names import raw_folder
from flyte_nb.propeller.state import NodeState

INPUTS = "inputs.pb"
OUTPUTS = "outputs.pb"


class DataLayout:
    """URIs of one execution's inputs, outputs and folders."""

    def __init__(
        self, data_root: str, id: ExecutionId, raw_output_prefix: str = "", *, former: bool = False
    ) -> None:
        """Take the place of one execution; nothing is read or written.

        Args:
            data_root: URI below which everything is.
            id: The execution.
            raw_output_prefix: Where tasks put files; empty means `<data_root>/raw`.
            former: Whether it is an execution of a release that joined the id's parts by `-`.
        """
        root = data_root.rstrip("/")
        self.root = f"{root}/metadata/{id.project}/{id.domain}/{id.name}/propeller"
        if former:
            self.root = f"{root}/metadata/propeller/{id.project}-{id.domain}-{id.name}"
        self.raw = raw_output_prefix or f"{root}/raw"
        self.id = id
        self.input_uri = f"{self.root}/start-node/data/0/{OUTPUTS}"
        """The workflow's inputs, as the outputs of its start node."""

    def data(self, node: NodeState) -> str:
        """The node's folder; nodes of a sub-workflow lie below their parent's attempt."""
        parent = node.run.parent
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
        return raw_folder(self.raw, self.id, node.node_id, attempt)
