"""What happens to a node before an attempt: resolve its inputs, store them, look for a cached result.

Nodes that run no task are moved on here: sub-workflows and branches are entered, gates begin to wait, end
nodes are finished.
"""

from itertools import islice

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import ErrorInfo, StorageError
from flyte_nb.api.nodes import END_NODE
from flyte_nb.propeller.conditions import choose
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.dynamics import Dynamics, Unbuildable
from flyte_nb.propeller.gates import Gates
from flyte_nb.propeller.literal_store import NodeOutputs, Values, unusable
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.maps import size_of
from flyte_nb.propeller.outbox import Outbox
from flyte_nb.propeller.recovering import Recovery
from flyte_nb.propeller.resolve import Unresolved, inputs_of, with_error
from flyte_nb.propeller.results import NOT_CACHED, Results, lacking, missing_outputs
from flyte_nb.propeller.state import NodeState, WorkflowRun


class Preparation:
    """Prepares the nodes of one execution. For one thread."""

    def __init__(
        self,
        machine: Machine,
        outbox: Outbox,
        layout: DataLayout,
        values: Values,
        results: Results,
        gates: Gates,
        dynamics: Dynamics,
        recovery: Recovery,
    ) -> None:
        self._machine = machine
        self._outbox = outbox
        self._layout = layout
        self._values = values
        self._results = results
        self._gates = gates
        self._dynamics = dynamics
        self._recovery = recovery

    def prepare(self, max_parallelism: int) -> None:
        """Prepare every node that may begin, with at most so many active task nodes in the execution.

        Preparing one node may make others ready, so this goes on until nothing is left, or the store fails.
        """
        machine = self._machine
        while not self._outbox.retry_at_us:
            room = max_parallelism - machine.active_tasks
            # A copy, since preparing changes both. Nodes without a task take up no room: a limit on
            # tasks must not keep a sub-workflow from being entered, or its tasks could never begin.
            found = [*machine.entering.values()]
            if machine.ready and room > 0:
                found += islice(machine.ready.values(), room)
            if not found:
                return
            for node in found:
                if node.node_id not in machine.ready and node.node_id not in machine.entering:
                    continue  # one before it failed, and this one may not begin any more
                try:
                    if node.phase == "":
                        self._queue(node)
                    else:
                        self._enter(node)
                except StorageError as error:
                    if not self._outbox.gives_up_on(error):
                        break
                    self._reject(node, unusable(f"The values of node {node.node_id}", error))

    def _queue(self, node: NodeState) -> None:
        """Resolve the node's inputs, store them, and record it as queued; or take over what it had before."""
        machine, outbox = self._machine, self._outbox
        former = self._recovery.former(node)
        taken = self._recovery.taken_over(node, former) if former is not None else None
        if former is not None and taken is not None:
            outbox.add(machine.recovered(node, outbox.now_us(), former, *taken))
            return
        try:
            inputs = inputs_of(node.plan, NodeOutputs(node, self._values), self._values.whole)
        except Unresolved as error:
            self._reject(node, error.info)
            return
        if node.plan.array is not None:
            # Its elements take items of the lists, so the lists themselves are needed.
            for literal in inputs.literals.values():
                literal.CopyFrom(self._values.whole(literal))
        failed = node.run.handled
        if failed is not None:
            # A failure node may ask for the error that it handles.
            reason = machine.error if failed.parent is None else failed.parent.error
            inputs = with_error(inputs, node.plan.id, reason)
        uri = self._layout.inputs(node)
        self._values.put(uri, inputs)
        if node.plan.kind != nodes.TASK_NODE:
            outbox.add(machine.queue(node, outbox.now_us(), uri))
            if node.plan.kind != nodes.LAUNCH_PLAN_NODE:
                self._enter(node)
            return
        found = self._results.find(node, inputs) if node.plan.discoverable else NOT_CACHED
        job_uri = self._recovery.job(node, former) if former is not None else ""
        if job_uri and found.outputs is None:
            outbox.add(machine.go_on(node, outbox.now_us(), uri, job_uri, found.status))
            return
        if found.outputs is not None:
            # Stored before it is recorded: a reader of the record finds the outputs there.
            outputs_uri = self._layout.outputs(node)
            self._values.put(outputs_uri, found.outputs)
            now = outbox.now_us()
            outbox.add(machine.hit(node, now, outputs_uri, input_uri=uri, cache_key=found.key))
            return
        checkpoint = former.checkpoint_uri if former is not None else ""
        queued = machine.queue(
            node,
            outbox.now_us(),
            uri,
            cache_status=found.status,
            cache_key=found.key,
            checkpoint_uri=checkpoint,
        )
        outbox.add(queued)

    def _enter(self, node: NodeState) -> None:
        """Move on a node of `entering` that is in a phase."""
        machine, outbox = self._machine, self._outbox
        now = outbox.now_us()
        if node.plan.kind == nodes.GATE_NODE:
            self._gates.enter(node)
        elif node.plan.kind == nodes.TASK_NODE:
            if node.child is None:
                self._expand(node)
            else:
                self._collect(node, node.child)
        elif node.plan.kind == nodes.END_KIND:
            # What the end node collects as inputs is what the workflow returns.
            outbox.add(machine.finish(node, now, node.input_uri))
        elif node.plan.array is not None:
            inputs = self._values.get(node.input_uri)
            size = size_of(node.plan.array, inputs)
            if isinstance(size, int):
                self._values.hold(node.input_uri, inputs)
                outbox.add(machine.unfold(node, now, size))
            else:
                outbox.add(machine.reject(node, now, size))
        elif node.plan.branch is None:
            outbox.add(machine.enter(node, now))
        else:
            arm = choose(node.plan.branch, self._values.get(node.input_uri))
            if isinstance(arm, int):
                outbox.add(machine.enter(node, now, arm))
            else:
                outbox.add(machine.reject(node, now, arm))

    def _expand(self, node: NodeState) -> None:
        """Begin the nodes that a dynamic task's attempt has made."""
        machine, outbox = self._machine, self._outbox
        try:
            uri = self._dynamics.build(node)
        except Unbuildable as error:
            outbox.add(machine.reject(node, outbox.now_us(), error.info))
        else:
            outbox.add(machine.expand(node, outbox.now_us(), uri))

    def _collect(self, node: NodeState, run: WorkflowRun) -> None:
        """Make what the nodes of a dynamic task return the outputs of its attempt, and finish it."""
        machine, outbox, task = self._machine, self._outbox, node.plan.task
        outputs = self._values.get(run.nodes[END_NODE].output_uri)
        uri = node.attempt_output_uri
        missing = missing_outputs(task, outputs) if task is not None else []
        if missing:
            outbox.add(machine.give_up(node, outbox.now_us(), lacking(uri, missing)))
            return
        self._values.put(uri, outputs)
        status = ""
        if node.plan.discoverable:
            status = self._results.keep(node, self._values.get(node.input_uri), outputs)
        outbox.add(machine.finish(node, outbox.now_us(), uri, status))

    def _reject(self, node: NodeState, error: ErrorInfo) -> None:
        now = self._outbox.now_us()
        if node.phase == phases.DYNAMIC_RUNNING:
            self._outbox.add(self._machine.give_up(node, now, error))
        else:
            self._outbox.add(self._machine.reject(node, now, error))
