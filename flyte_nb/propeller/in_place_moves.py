"""The move of a task that is called in place: from ready to succeeded, in one. Pure.

While a task is called in the engine's own thread nothing else happens to its execution. So nobody can see
the phases in between, and a run that nobody watches need not make a record for each: that takes longer
than a small task. The state after the move is that after the five records, and a test holds them equal.
"""

from flyte_nb.api import nodes, phases
from flyte_nb.propeller.consequences import Consequences
from flyte_nb.propeller.records import CACHE_DISABLED, CACHE_HIT
from flyte_nb.propeller.rules import IllegalMove
from flyte_nb.propeller.state import NodeState


class InPlaceMoves(Consequences):
    """The state of one execution, with the move of a task that was called in place."""

    @property
    def is_elsewhere(self) -> bool:
        """Return whether something goes on, or can begin, that is no ready task."""
        return bool(
            self.live
            or self.startable
            or self.entering
            or self.gates
            or self.launching
            or self.expanded
            or self.arrays
            or self.gathering
        )

    def passes_in_place(self, node: NodeState, at_us: int, input_uri: str, output_uri: str) -> None:
        """Make the move of a ready task that was called and has its outputs; `settle` makes what follows.

        Args:
            node: The node, of `ready`.
            at_us: The time.
            input_uri: Where its inputs are.
            output_uri: Where its outputs are.

        Raises:
            IllegalMove: when the node is not at its beginning; nothing has changed then.
        """
        self._pass(node, input_uri, output_uri)
        node.attempt_phase = phases.SUCCEEDED
        node.cache_status = CACHE_DISABLED
        node.queued_us = node.attempt_started_us = node.first_started_us = at_us
        node.attempts = 1
        node.attempt_output_uri = output_uri

    def hits_in_place(self, node: NodeState, input_uri: str, output_uri: str) -> None:
        """Make the move of a ready task whose result the catalog has; `settle` makes what follows.

        Raises:
            IllegalMove: as `passes_in_place`.
        """
        self._pass(node, input_uri, output_uri)
        node.cache_status = CACHE_HIT

    def _pass(self, node: NodeState, input_uri: str, output_uri: str) -> None:
        run = node.run
        if (
            node.node_id not in self.ready
            or node.plan.kind != nodes.TASK_NODE
            or self.phase != phases.RUNNING
            or run.doom
            or run.handled is not None
            or node.element >= 0
        ):
            raise IllegalMove(
                f"Node {node.node_id} is not a ready task, so it cannot pass in place."
            )
        del self.ready[node.node_id]
        run.ready -= 1
        node.phase = phases.SUCCEEDED
        node.input_uri = input_uri
        node.output_uri = output_uri
        for below in node.plan.downstream:
            other = run.nodes[below]
            other.waiting -= 1
            if not other.waiting:
                self._arrived(other)
        if not run.ready and not run.open:
            self._unsettled.append(run)
