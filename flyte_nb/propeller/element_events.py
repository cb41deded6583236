"""The events of maps, and what follows from them. A part of `machine.Machine`, which is the only user."""

from flyte_nb.api import phases
from flyte_nb.api.errors import ErrorInfo
from flyte_nb.propeller.in_place_moves import InPlaceMoves
from flyte_nb.propeller.record_makers import node_record
from flyte_nb.propeller.records import ElementRecord, Record
from flyte_nb.propeller.state import NodeState


class ElementEvents(InPlaceMoves):
    """Makes the records of maps and their elements. Each event also applies its records."""

    def unfold(self, node: NodeState, at_us: int, size: int) -> list[Record]:
        """Make the records that a queued array node begins, and has `size` elements."""
        running = node_record(node, at_us, phases.RUNNING)
        self.apply(running)
        element = node.plan.array.element if node.plan.array else node.plan
        task_id = element.task_id or element.launch_plan
        unfolded = ElementRecord(
            at_us, node.node_id, phases.UNDEFINED, 0, number=size, task_id=task_id
        )
        return [running, *self._made(unfolded)]

    def elements(
        self,
        node: NodeState,
        at_us: int,
        phase: str,
        indices: range,
        cache_status: str = "",
    ) -> list[Record]:
        """Make the record that elements of a map, which follow each other, come into a phase.

        QUEUED: their first attempts are about to be started. RUNNING and SUCCEEDED: they run, or have run,
        in this process. SUCCEEDED with CACHE_HIT: their results were found in the catalog.
        """
        record = ElementRecord(
            at_us,
            node.node_id,
            phase,
            indices.start,
            number=len(indices),
            cache_status=cache_status,
        )
        return self._made(record)

    def map_failed(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that a map is out of time. The elements that run are ended first."""
        phase = phases.FAILING if node.child is not None and node.child.open else phases.FAILED
        return self._made(node_record(node, at_us, phase, error=error))

    def gathered(self, node: NodeState, at_us: int, output_uri: str) -> list[Record]:
        """Make the record that the outputs of a map's elements are stored as lists at `output_uri`."""
        return self._made(node_record(node, at_us, phases.SUCCEEDED, output_uri=output_uri))
