"""Take over what succeeded in an execution that is recovered: its outputs are copied, and nothing runs.

A node is found again by its id. A sub-workflow or a branch that did not succeed is entered, and its nodes are
asked about one by one. A task continues from the checkpoint of its last attempt. An execution that a node
started is recovered too. A dynamic task does not run again once it has made its nodes.

Source: flytepropeller/pkg/controller/nodes/executor.go (`attemptRecovery`) at v1.16.8.
"""

import logging

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import END_KIND
from flyte_nb.propeller.data_layout import FUTURES, DataLayout
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.ports import FormerNode, FormerNodes
from flyte_nb.propeller.state import PASSED, NodeState

_log = logging.getLogger(__name__)


class Recovery:
    """The execution that one execution recovers, if it does. For one thread."""

    def __init__(
        self,
        recovers: "ExecutionId | None",
        nodes: "FormerNodes | None",
        layout: DataLayout,
        values: Values,
    ) -> None:
        """Look for nodes of an execution.

        Args:
            recovers: The execution that is recovered; `None` means that nothing is.
            nodes: Knows its nodes.
            layout: Where the new execution's values are stored.
            values: Its values.
        """
        self._recovers = recovers
        self._nodes = nodes
        self._layout = layout
        self._values = values

    def former(self, node: NodeState) -> "FormerNode | None":
        """Return the node of the former execution that has this one's id, or `None`."""
        if self._recovers is None or self._nodes is None:
            return None
        # Propeller takes over a failure node too, and then nothing is cleaned up when the execution fails
        # again.
        if node.run.handled is not None:
            return None
        return self._nodes.node(self._recovers, node.node_id)

    def taken_over(self, node: NodeState, former: FormerNode) -> "tuple[str, str] | None":
        """Copy what the former node had, and return where inputs and outputs are now.

        Returns:
            `None` when it did not succeed, or when its values are gone: then it has to run.

        Raises:
            StorageError: when values cannot be read or written now.
        """
        if former.phase not in PASSED:
            return None
        try:
            inputs = self._values.get(former.input_uri) if former.input_uri else None
            outputs = self._values.get(former.output_uri) if former.output_uri else None
        except StorageError as error:
            if error.transient:
                raise
            _log.warning("%s cannot be recovered, and runs: %s", node.node_id, error)
            return None
        input_uri = output_uri = ""
        if outputs is not None:
            output_uri = self._layout.outputs(node)
            self._values.put(output_uri, outputs)
        if inputs is not None:
            input_uri = self._layout.inputs(node)
            # What the end node collects is what it gives: there is one file for both.
            if node.plan.kind != END_KIND:
                self._values.put(input_uri, inputs)
        return input_uri, output_uri

    def job(self, node: NodeState, former: FormerNode) -> str:
        """Copy the nodes that a dynamic task had made, and return where they are now; empty without any.

        The task does not run again: it might make other nodes, and then those that succeeded would be lost.

        Raises:
            StorageError: when they cannot be read or written now.
        """
        store = self._values.store
        if not former.job_uri or store is None:
            return ""
        uri = f"{self._layout.folder(node, 0)}/{FUTURES}"
        try:
            store.write(uri, store.read(former.job_uri))
        except StorageError as error:
            if error.transient:
                raise
            _log.warning("What %s had made cannot be recovered: %s", node.node_id, error)
            return ""
        return uri

    def child(self, node: NodeState) -> "ExecutionId | None":
        """Return the execution that the former node started and that did not give it its outputs."""
        former = self.former(node)
        return former.child_execution if former is not None else None
