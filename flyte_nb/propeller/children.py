"""Looks after the executions that the launch plan nodes of one execution start.

A child's name follows from its parent and its node, and starting one that is there changes nothing. So a
crash between starting a child and recording it gives no second one: after the restart the same child is
found. Waiting for a child takes up no slot, and nobody asks again and again: the engine calls `ended` when an
execution has left it.

Source: flytepropeller/pkg/controller/nodes/subworkflow/launchplan.go at v1.16.8.
"""

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import child_execution_name
from flyte_nb.propeller.data_layout import OUTPUTS, DataLayout
from flyte_nb.propeller.literal_store import Values, inputs_at, unusable
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.outbox import Outbox
from flyte_nb.propeller.ports import ChildLaunch, Children, ChildState
from flyte_nb.propeller.recovering import Recovery
from flyte_nb.propeller.rules import gets_another_attempt
from flyte_nb.propeller.state import NodeState
from flyte_nb.propeller.timeouts import expired


class ChildRuns:
    """The child executions of one execution. For one thread."""

    def __init__(
        self,
        id: ExecutionId,
        machine: Machine,
        outbox: Outbox,
        layout: DataLayout,
        values: Values,
        children: "Children | None",
        recovery: Recovery,
    ) -> None:
        """Look after nothing yet.

        Args:
            id: The execution whose nodes start others.
            machine: Its state.
            outbox: Gets the records.
            layout: Where its values are stored.
            values: Its values.
            children: Starts executions; `None` where there is nobody who could.
            recovery: Knows the executions that are recovered.
        """
        self._id = id
        self._machine = machine
        self._outbox = outbox
        self._layout = layout
        self._values = values
        self._children = children
        self._recovery = recovery
        # What this process did already. After a restart both are empty, and everything is done once more,
        # which changes nothing.
        self._waiting: dict[ExecutionId, NodeState] = {}
        self._to_ask: dict[ExecutionId, NodeState] = {}

    def ended(self, child: ExecutionId) -> bool:
        """Take note that an execution may have ended; return whether a node waits for it."""
        node = self._waiting.get(child)
        if node is not None:
            self._to_ask[child] = node
        return node is not None

    def step(self) -> None:
        """Start, ask about and end executions. Called when every record so far is durable."""
        machine = self._machine
        for node_id, node in [*machine.calling.items()]:
            if self._outbox.retry_at_us:
                return
            machine.calling.pop(node_id, None)
            if machine.launching.get(node_id) is not node:
                continue  # it has ended
            try:
                if node.run.doom:
                    self._end(node)
                elif self._present(node) not in self._waiting:
                    self._launch(node)
            except StorageError as error:
                self._put_off(node, error)
                machine.calling[node_id] = node
        while self._to_ask and not self._outbox.retry_at_us:
            child, node = next(iter(self._to_ask.items()))
            try:
                self._ask(child, node)
                self._to_ask.pop(child, None)
            except StorageError as error:
                self._put_off(node, error)

    def expire(self, node: NodeState, now_us: int) -> None:
        """End an execution that takes too long; start another in its place while the node has attempts."""
        child = node.child_execution
        if child is None or node.run.doom:
            return
        error = expired(node)
        if gets_another_attempt(node, error, now_us):
            # Recorded before the next one is started, so that a restart does not mistake the end of the
            # former one for its outcome.
            following = self._named(node, node.attempts)
            self._outbox.add(self._machine.launched(node, now_us, following))
        else:
            # The execution that runs is ended first: after the record nobody would look after it.
            self._terminate(child, error.message)
            self._forget(child)
            self._outbox.add(self._machine.exhausted(node, now_us, error))

    def _present(self, node: NodeState) -> ExecutionId:
        return node.child_execution or self._named(node, 0)

    def _named(self, node: NodeState, attempt: int) -> ExecutionId:
        name = child_execution_name(self._id.name, _naming(node), attempt)
        return ExecutionId(self._id.project, self._id.domain, name)

    def _launch(self, node: NodeState) -> None:
        """Start the node's execution, and record it."""
        child, launch_plan = self._present(node), node.plan.launch_plan
        assert launch_plan is not None  # `plan.launch_plan_node` sets it
        if node.attempts > 1:
            former = self._named(node, node.attempts - 2)
            self._terminate(former, expired(node).message)
            self._forget(former)
        inputs = inputs_at(node, self._values)
        # An element of a map is no node for FlyteAdmin. Its map is.
        place = node.run.parent.node_id if node.element >= 0 and node.run.parent else node.node_id
        try:
            if self._children is None:
                raise TaskFailed(_NOBODY)
            recovers = self._recovery.child(node)
            self._children.launch(
                ChildLaunch(child, launch_plan, inputs, self._id, place, recovers)
            )
        except TaskFailed as failure:
            self._outbox.add(self._machine.reject(node, self._outbox.now_us(), failure.info))
            return
        self._waiting[child] = node
        # It may have ended already: a restart comes by here for every child.
        self._to_ask[child] = node
        if node.child_execution is None:
            self._outbox.add(self._machine.launched(node, self._outbox.now_us(), child))

    def _ask(self, child: ExecutionId, node: NodeState) -> None:
        """End the node as its execution has ended, if it has."""
        assert self._children is not None  # somebody started it
        if not node.is_open or node.child_execution != child:
            return
        state = self._children.state(child)
        if state is not None and state.phase not in phases.ENDED_EXECUTION:
            return
        now = self._outbox.now_us()
        if state is not None and state.phase == phases.SUCCEEDED and state.outputs is not None:
            uri = f"{self._layout.folder(node, node.attempt)}/{OUTPUTS}"
            self._values.put(uri, state.outputs)
            self._outbox.add(self._machine.finish(node, now, uri))
        else:
            self._outbox.add(self._machine.reject(node, now, outcome(node, child, state)))
        self._waiting.pop(child, None)

    def _end(self, node: NodeState) -> None:
        """End the execution of a node that has to end, and then the node."""
        child = self._present(node)
        # Before the record, for the same reason as in `expire`.
        self._terminate(
            child,
            f"cascading abort as parent execution id [{self._id.name}] aborted,"
            f" reason [{node.run.doom}]",
        )
        self._forget(child)
        self._outbox.add(self._machine.aborted(node, self._outbox.now_us()))

    def _terminate(self, child: ExecutionId, cause: str) -> None:
        if self._children is not None:
            self._children.terminate(child, cause)

    def _forget(self, child: ExecutionId) -> None:
        self._waiting.pop(child, None)
        self._to_ask.pop(child, None)

    def _put_off(self, node: NodeState, error: StorageError) -> None:
        """Try again in a second, or fail the node when that will not help."""
        if self._outbox.gives_up_on(error):
            self._forget(self._present(node))
            info = unusable(f"The values of node {node.node_id}", error)
            self._outbox.add(self._machine.reject(node, self._outbox.now_us(), info))


def _naming(node: NodeState) -> str:
    """Return the id by which a node's executions are named; of an element as propeller composes it."""
    if node.element < 0 or node.run.parent is None:
        return node.node_id
    return f"{node.run.parent.node_id}-0-{node.plan.id}"


def outcome(node: NodeState, child: ExecutionId, state: "ChildState | None") -> ErrorInfo:
    """Return the error of a node whose execution ended without outputs. Codes and texts are propeller's."""
    if state is None:
        # Propeller leaves the code empty here, and the text too where the code should stand.
        text = (
            f"failed at Node[{node.plan.id}]. : launch-plan not found, caused by: [NotFound] execID"
            f" [{child.name}] not found on remote"
        )
        return ErrorInfo("NotFound", text, SYSTEM)
    if state.phase == phases.FAILED:
        return state.error or ErrorInfo("LaunchPlanExecutionFailed", "Unknown Error", USER)
    code = "RemoteChildWorkflowExecutionFailed"
    text = (
        f"failed at Node[{node.plan.id}]. {code}: launchplan [{child.name}] aborted,"
        " caused by: launchplan execution aborted"
    )
    return ErrorInfo(code, text, USER)


_NOBODY = ErrorInfo(
    "RuntimeExecutionError",
    "[UserError] failed to launch workflow, caused by: this engine has nothing that starts executions.",
    USER,
)
