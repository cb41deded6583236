"""The moves of attempts at nodes that run a task. A part of `moves.Moves`, which is the only user."""

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM
from flyte_nb.propeller.element_moves import ElementMoves
from flyte_nb.propeller.records import AttemptRecord
from flyte_nb.propeller.rules import IllegalMove, gets_another_attempt, illegal
from flyte_nb.propeller.state import OPEN, NodeState
from flyte_nb.propeller.tables import ATTEMPT_MOVES


class AttemptMoves(ElementMoves):
    """Applies the records of attempts. `Moves` declares the state that this changes."""

    def _apply_attempt(self, record: AttemptRecord) -> None:
        node = self._known(record.node_id)
        phase = record.phase
        if node.plan.kind != nodes.TASK_NODE or node.phase != phases.RUNNING:
            raise IllegalMove(f"Node {node.node_id} is not a running task, so it has no attempts.")
        if phase not in ATTEMPT_MOVES[node.attempt_phase]:
            raise illegal(f"the attempt at node {node.node_id}", node.attempt_phase, phase)
        begins = node.attempt_phase not in OPEN
        if record.attempt != (node.attempts if begins else node.attempts - 1):
            expected = node.attempts if begins else node.attempts - 1
            raise IllegalMove(
                f"Node {node.node_id} is at attempt {expected}, and the record is of attempt"
                f" {record.attempt}."
            )
        if begins and (node.node_id not in self.startable or node.run.doom):
            raise IllegalMove(f"Node {node.node_id} needs no further attempt.")
        # From here on nothing is refused.
        node.attempt_phase = phase
        node.attempt_error = record.error
        node.deck_uri = record.deck_uri
        node.attempt_output_uri = record.output_uri or node.attempt_output_uri
        if begins:
            node.attempts += 1
            node.checkpoint_uri = record.checkpoint_uri
            node.attempt_started_us = 0
            node.job_uri = ""
            del self.startable[node.node_id]
            self.live[node.node_id] = node
        if phase == phases.RUNNING:
            node.attempt_started_us = record.at_us
            # Of the first attempt only, because all attempts together have a limit.
            node.first_started_us = node.first_started_us or record.at_us
            self._time(node)
        elif phase != phases.QUEUED:
            del self.live[node.node_id]
            if phase == phases.SUCCEEDED:
                node.cache_status = record.cache_status or node.cache_status
                node.job_uri = record.job_uri
                # In a run that has to end, nothing that the attempt made begins.
                if record.job_uri and not node.run.doom:
                    self.entering[node.node_id] = node
            else:
                self._attempt_failed(node, record)
            self._unsettled.append(node)

    def _attempt_failed(self, node: NodeState, record: AttemptRecord) -> None:
        """Put the node into `startable` when it gets another attempt.

        When it does not, `record_makers.end_of_attempts` works out the reason from the same state. So a
        replay decides as the first time did, without a record for the decision.
        """
        error = record.error
        if error is None or node.run.doom:
            return
        if error.origin == SYSTEM:
            node.system_failures += 1
        if gets_another_attempt(node, error, record.at_us):
            self.startable[node.node_id] = node
