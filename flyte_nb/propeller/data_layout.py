"""Where an execution's values are in the store: URIs of `inputs.pb`, `outputs.pb` and folders.

Below an execution's own folder the files have propeller's names, so that tools for Flyte find them.
Project, domain and name are folders of their own. Propeller joins them by `-`, and then project `p`
with the execution `development-x` has the same folder as `p-development` with `x`.
"""

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import END_NODE
from flyte_nb.propeller.names import raw_folder
from flyte_nb.propeller.state import NodeState

INPUTS = "inputs.pb"
OUTPUTS = "outputs.pb"
DECK = "deck.html"
"""The pages that a task made for people, in its attempt's folder."""
FUTURES = "futures.pb"
"""The nodes that a dynamic task made (`core.DynamicJobSpec`), in its attempt's folder."""
COMPILED = "dynamic_compiled.pb"
"""The workflow that these were compiled to (`core.CompiledWorkflowClosure`), beside them."""


class DataLayout:
    """The URIs of one execution's inputs, outputs and folders."""

    def __init__(
        self, data_root: str, id: ExecutionId, raw_output_prefix: str = "", *, former: bool = False
    ) -> None:
        """Compute the URIs of one execution. Nothing is read or written.

        Args:
            data_root: URI below which everything is.
            id: The execution.
            raw_output_prefix: URI below which tasks put files; empty means `<data_root>/raw`.
            former: Whether an earlier release started the execution, which joined the id's parts by `-`.
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
        """Return the node's folder. Nodes inside another one are below the attempt that made them."""
        parent = node.run.parent
        if node.element >= 0 and parent is not None:
            return f"{self.data(parent)}/0/{node.element}"
        above = f"{self.data(parent)}/{node.run.parent_attempt}" if parent else self.root
        return f"{above}/{node.plan.id}/data"

    def inputs(self, node: NodeState) -> str:
        """Return the URI of the node's `inputs.pb`.

        What an end node collects is what the workflow returns. So it is stored as outputs at once, and
        not copied.
        """
        if node.plan.id == END_NODE:
            return self.outputs(node)
        if node.element >= 0:
            return f"{self.folder(node, node.attempt)}/{INPUTS}"
        return f"{self.data(node)}/{INPUTS}"

    def folder(self, node: NodeState, attempt: int) -> str:
        """Return the folder in which one attempt writes `outputs.pb` or `error.pb`."""
        return f"{self.data(node)}/{attempt}"

    def element_folder(self, node: NodeState, element: int, attempt: int) -> str:
        """Return the folder of one attempt at an element of a map, as `folder` does."""
        return f"{self.data(node)}/0/{element}/{attempt}"

    def outputs(self, node: NodeState) -> str:
        """Return the URI of `outputs.pb` of a node without attempts: an end node, or a cached result."""
        return f"{self.data(node)}/0/{OUTPUTS}"

    def raw_folder(self, node: NodeState, attempt: int) -> str:
        """Return the folder in which one attempt puts the files that its values refer to."""
        return raw_folder(self.raw, self.id, node.node_id, attempt)

    def checkpoint(self, node: NodeState, attempt: int) -> str:
        """Return the folder in which one attempt keeps its checkpoint, for the next one to read."""
        return f"{self.raw_folder(node, attempt)}/_flytecheckpoints"
