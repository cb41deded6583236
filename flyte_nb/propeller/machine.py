"""The state machine of one execution. It is pure: no input or output, no clock, no randomness.

Theory of operation. State changes in one place only, `Moves.apply(record)`, which looks the step up in
a table and either makes it or refuses it and changes nothing. Everything else makes records and applies
them:

- *events* (`queue`, `started`, `succeeded`, …), in this file, state what the driver did or saw;
- *consequences* (`Consequences.settle`) follow from the state alone: a finished attempt finishes its
  node, a failed node fails its workflow, and a workflow that is failing and has nothing open has failed.

So the records in their order are the whole truth. Applied to a new machine they give the same state,
after any of them, and `settle` then adds the consequences that were not recorded any more before a
crash. What the driver has to do next is part of that state, and can be read at any time: `ready`,
`entering`, `startable`, `live`, `doomed`.

Source: flytepropeller/pkg/controller/{workflow,nodes} at v1.16.8.
"""

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller import records as r
from flyte_nb.propeller.data_layout import DECK
from flyte_nb.propeller.element_events import ElementEvents
from flyte_nb.propeller.ports import FormerNode
from flyte_nb.propeller.record_makers import (
    attempt_record,
    element_record,
    end_of_attempts,
    node_record,
)
from flyte_nb.propeller.records import Record, WorkflowRecord
from flyte_nb.propeller.rules import IllegalMove
from flyte_nb.propeller.state import NodeState

__all__ = ["IllegalMove", "Machine"]


class Machine(ElementEvents):
    """The state machine of one execution.

    Every event applies its record and all consequences, and returns these records in order. An event
    that does not fit the state raises `IllegalMove` and changes nothing.
    """

    def begin(self, at_us: int) -> list[Record]:
        """Make the record that the execution starts."""
        return self._made(WorkflowRecord(at_us, phases.RUNNING))

    def queue(
        self,
        node: NodeState,
        at_us: int,
        input_uri: str,
        cache_status: str = "",
        *,
        cache_key: str = "",
        checkpoint_uri: str = "",
    ) -> list[Record]:
        """Make the record that the inputs of a node of `ready` or `entering` are stored at `input_uri`.

        Args:
            node: The node.
            at_us: The time.
            input_uri: Where its inputs are.
            cache_status: What the catalog answered.
            cache_key: By which key it was asked.
            checkpoint_uri: The checkpoint of a former execution, which the first attempt continues from.
        """
        record = node_record(
            node,
            at_us,
            phases.QUEUED,
            input_uri=input_uri,
            cache_status=cache_status,
            checkpoint_uri=checkpoint_uri,
            cache_key=cache_key,
        )
        return self._made(record)

    def recovered(
        self, node: NodeState, at_us: int, former: FormerNode, input_uri: str, output_uri: str
    ) -> list[Record]:
        """Make the record that a node of `ready` or `entering` takes over the outputs of `former`."""
        record = node_record(
            node,
            at_us,
            phases.RECOVERED,
            input_uri=input_uri,
            output_uri=output_uri,
            cache_status=former.cache_status,
            cache_key=former.cache_key,
            workflow_uri=former.workflow_uri,
        )
        is_parent = node.plan.kind == nodes.WORKFLOW_NODE
        return self._made(
            record._replace(
                child_execution=former.child_execution,
                is_parent=is_parent,
                deck_uri=former.deck_uri,
            )
        )

    def go_on(
        self, node: NodeState, at_us: int, input_uri: str, job_uri: str, cache_status: str
    ) -> list[Record]:
        """Make the record that a dynamic node goes on with the nodes that it had made, at `job_uri`."""
        record = node_record(
            node, at_us, phases.RUNNING, input_uri=input_uri, cache_status=cache_status
        )
        return self._made(record._replace(job_uri=job_uri))

    def hit(
        self,
        node: NodeState,
        at_us: int,
        output_uri: str,
        input_uri: str = "",
        *,
        cache_key: str = "",
    ) -> list[Record]:
        """Make the record that the outputs of a task were found in the catalog.

        Args:
            node: A node of `ready`, or a queued one that waited for another one's result.
            at_us: The time.
            output_uri: Where the outputs are stored.
            input_uri: Where the inputs are stored, when the node was not queued.
            cache_key: By which key they were found, when the node was not queued.
        """
        return self._made(
            node_record(
                node,
                at_us,
                phases.SUCCEEDED,
                input_uri=input_uri,
                output_uri=output_uri,
                cache_status=r.CACHE_HIT,
                cache_key=cache_key,
            )
        )

    def attempt(
        self,
        node: NodeState,
        at_us: int,
        folder: str,
        phase: str = phases.QUEUED,
        checkpoint_uri: str = "",
    ) -> list[Record]:
        """Make the record that the next attempt at a node of `startable` is about to be started.

        Args:
            node: The node.
            at_us: The time.
            folder: Where the attempt writes its outputs.
            phase: `RUNNING` where nothing can come between this record and the start of the attempt.
            checkpoint_uri: Where the attempt keeps its checkpoint.
        """
        made: list[Record] = []
        task = node.plan.task
        # It can be read while the task runs: the task writes it again and again.
        deck = f"{folder}/{DECK}" if task and task.metadata.generates_deck.value else ""
        # Only the first attempt moves the node on: between its attempts a node stays RUNNING.
        if node.phase == phases.QUEUED:
            running = node_record(node, at_us, phases.RUNNING, checkpoint_uri=checkpoint_uri)
            running = running._replace(deck_uri=deck) if deck else running
            # The node's record comes first: no reader sees an attempt at a node that does not run.
            self.apply(running)
            made.append(running)
        record = attempt_record(
            node,
            at_us,
            phase,
            # Attempts are numbered from 0, so their count is the number of the next one.
            attempt=node.attempts,
            output_uri=folder,
            checkpoint_uri=checkpoint_uri,
            deck_uri=deck,
        )
        made += self._made(record)
        return made

    def started(
        self,
        node: NodeState,
        at_us: int,
        logs: tuple[tuple[str, str], ...] = (),
        pid: "int | None" = None,
    ) -> list[Record]:
        """Make the record that the attempt runs."""
        return self._made(
            attempt_record(
                node,
                at_us,
                phases.RUNNING,
                output_uri=node.attempt_output_uri,
                logs=logs,
                pid=pid,
                deck_uri=node.deck_uri,
            )
        )

    def succeeded(
        self,
        node: NodeState,
        at_us: int,
        output_uri: str,
        *,
        cpu_s: "float | None" = None,
        max_rss_bytes: "int | None" = None,
        cache_status: str = "",
        job_uri: str = "",
        deck_uri: str = "",
    ) -> list[Record]:
        """Make the record that the attempt ended with outputs, or with the nodes in `job_uri` that make them.

        It has succeeded also when it was about to be ended: its work is done, and its outputs are stored.
        """
        return self._made(
            attempt_record(
                node,
                at_us,
                phases.SUCCEEDED,
                output_uri=output_uri,
                cpu_s=cpu_s,
                max_rss_bytes=max_rss_bytes,
                cache_status=cache_status,
                job_uri=job_uri,
                deck_uri=deck_uri,
            )
        )

    def failed(
        self,
        node: NodeState,
        at_us: int,
        error: ErrorInfo,
        *,
        cpu_s: "float | None" = None,
        max_rss_bytes: "int | None" = None,
        timed_out: bool = False,
        deck_uri: str = "",
    ) -> list[Record]:
        """Make the record that the attempt ended without outputs.

        An attempt in a run that has to end counts as aborted, whatever its error, and so does one that
        ran out of time: the engine ended them. The second may be followed by another attempt.
        """
        doom = node.run.doom
        return self._made(
            attempt_record(
                node,
                at_us,
                phases.ABORTED if doom or timed_out else phases.FAILED,
                error=ErrorInfo("TaskAborted", "Task Aborted", SYSTEM) if doom else error,
                # All attempts of doomed runs have the same error. The reason tells clients why they ended.
                reason=doom,
                cpu_s=cpu_s,
                max_rss_bytes=max_rss_bytes,
                deck_uri=deck_uri,
            )
        )

    def reject(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that a node failed without an attempt, or after one.

        Its inputs, its condition or its signal cannot be resolved, or what a dynamic task made cannot run.
        """
        if node.element >= 0:
            return self._made(element_record(node, at_us, phases.FAILED, error=error))
        return self._made(node_record(node, at_us, phases.FAILED, error=error))

    def enter(self, node: NodeState, at_us: int, branch: int = -1) -> list[Record]:
        """Make the record that a queued sub-workflow node begins, or a branch node takes `branch`."""
        record = node_record(node, at_us, phases.RUNNING)
        # The child run is made when the record is applied, so `node_record` cannot see it yet.
        return self._made(record._replace(branch=branch, is_parent=True))

    def wait(self, node: NodeState, at_us: int) -> list[Record]:
        """Make the record that a queued gate node begins to wait."""
        return self._made(node_record(node, at_us, phases.RUNNING))

    def time_out(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that a gate node waited too long."""
        return self._made(node_record(node, at_us, phases.TIMED_OUT, error=error))

    def launched(self, node: NodeState, at_us: int, child: ExecutionId) -> list[Record]:
        """Make the record that a launch plan node has, or is about to have, the execution `child`."""
        if node.element >= 0:
            # Its first attempt began when it was queued, and each further execution is a further attempt.
            attempt = node.attempt if node.child_execution is None else node.attempts
            return self._made(
                element_record(node, at_us, phases.RUNNING, attempt=attempt, child=child)
            )
        record = node_record(node, at_us, phases.RUNNING)
        return self._made(record._replace(child_execution=child))

    def exhausted(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that ends a launch plan node whose last execution took too long."""
        ended = end_of_attempts(node, error, at_us)
        if node.element >= 0:
            return self._made(element_record(node, at_us, phases.FAILED, error=ended.error))
        return self._made(ended)

    def aborted(self, node: NodeState, at_us: int) -> list[Record]:
        """Make the record that a node of a run that has to end is ABORTED: its execution is being ended."""
        error = ErrorInfo("NodeAborted", node.run.doom)
        if node.element >= 0:
            return self._made(element_record(node, at_us, phases.ABORTED, error=error))
        return self._made(node_record(node, at_us, phases.ABORTED, error=error))

    def expand(self, node: NodeState, at_us: int, workflow_uri: str) -> list[Record]:
        """Make the record that the nodes which a dynamic task made begin.

        Their plan is in `made` under `workflow_uri`, where the compiled workflow is stored.
        """
        record = node_record(node, at_us, phases.DYNAMIC_RUNNING, workflow_uri=workflow_uri)
        # As in `enter`: the run of the made nodes exists only once this is applied.
        return self._made(record._replace(is_parent=True))

    def give_up(self, node: NodeState, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that the nodes of a dynamic task have to end, without outputs.

        Another attempt at the task follows when they have ended, if the error and the budget allow it.
        """
        return self._made(node_record(node, at_us, phases.FAILING, error=error))

    def finish(
        self, node: NodeState, at_us: int, output_uri: str, cache_status: str = ""
    ) -> list[Record]:
        """Make the record that the outputs of an end, gate or launch plan node are stored.

        Also those of a dynamic task whose nodes have come to their end.
        """
        if node.element >= 0:
            return self._made(element_record(node, at_us, phases.SUCCEEDED))
        record = node_record(node, at_us, phases.SUCCEEDED, output_uri=output_uri)
        return self._made(record._replace(cache_status=cache_status or node.cache_status))

    def abort(self, at_us: int, cause: str) -> list[Record]:
        """Make the record that a person asked for the end of the execution."""
        error = ErrorInfo("ExecutionAborted", cause, USER)
        return self._made(WorkflowRecord(at_us, phases.ABORTING, error))

    def fail(self, at_us: int, error: ErrorInfo) -> list[Record]:
        """Make the record that the engine itself cannot go on with the execution."""
        return self._made(WorkflowRecord(at_us, phases.FAILING, error))
