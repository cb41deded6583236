"""Call the tasks of a run in this process one after the other, where nothing else goes on in it.

This is the quick way of a chain of tasks. It is taken for a node that is the only one that can begin, and
whose task needs nothing of the engine beside its inputs: no cache, no timeout. Everything else, and every
failure, goes the way of all executions (`driver`). Values are the same in both: literals, as on a cluster. A
plain scalar is handed on without a message of protobuf around it, because nothing of it can be changed.
"""

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import StorageError
from flyte_nb.api.literals import Literal
from flyte_nb.api.nodes import START_NODE
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.executors.inprocess import InProcess
from flyte_nb.propeller.literal_store import NodeOutputs, Values
from flyte_nb.propeller.plain_values import from_idl, is_plain, is_scalar, to_idl
from flyte_nb.propeller.ports import AttemptKey, AttemptReport
from flyte_nb.propeller.records import CACHE_DISABLED
from flyte_nb.propeller.resolve import Unresolved, inputs_of
from flyte_nb.propeller.state import NodeState
from flyte_nb.sdk.kinds.container import ContainerTask
from flyte_nb.wire.literals import literal_map_to_idl


class LocalValues(Values):
    """Values in memory. Plain scalars are kept as they are, and become messages when they are asked for."""

    def __init__(self) -> None:
        super().__init__(None)
        self.plain: dict[str, dict[str, Literal]] = {}
        """By URI: the plain scalars of a map. All of it, unless the map is kept as a message too."""

    def take_over(self, other: Values) -> None:
        """Remember what another value of this kind remembers."""
        super().take_over(other)
        if isinstance(other, LocalValues):
            self.plain.update(other.plain)

    def read(self, uri: str) -> LiteralMap:
        """Return the map at `uri`; see `Values.read`."""
        found = self.plain.get(uri)
        return super().read(uri) if found is None else to_idl(found)


class InPlace:
    """The quick way of one run. For one thread."""

    def __init__(
        self,
        driver: Driver,
        values: LocalValues,
        layout: DataLayout,
        executor: InProcess,
        *,
        is_caching: bool,
    ) -> None:
        """Take the parts of the run, which share one machine.

        Args:
            driver: Drives it.
            values: Its values.
            layout: Where they would be in a store.
            executor: Calls its tasks.
            is_caching: Whether results of cached tasks are looked up.
        """
        self._driver = driver
        self._machine = driver.machine
        self._values = values
        self._layout = layout
        self._executor = executor
        self._is_caching = is_caching

    def step(self) -> bool:
        """Call the task of the only node that can begin; return whether there was one for this way."""
        machine = self._machine
        if machine.phase == "":
            return self._driver.begin()
        if not machine.ready or machine.is_elsewhere:
            return False
        # Several run side by side, unless the person wants them one after the other.
        if len(machine.ready) > 1 and self._executor.slots > 1:
            return False
        node = next(iter(machine.ready.values()))
        plan = node.plan
        task = self._executor.task_of(plan.task_id)
        if task is None or plan.task_id is None or not self._is_simple(node):
            return False
        if task.is_dynamic or isinstance(task, ContainerTask):
            return False  # more than a call of a function
        try:
            inputs = self._inputs(node)
        except (Unresolved, StorageError):
            return False  # the way of all executions says what is wrong
        # Only a hit is taken here. The way of all executions computes a missing result and keeps it.
        if plan.discoverable and self._is_caching:
            return self._takes_hit(node, inputs)
        key = AttemptKey(self._driver.id, node.node_id, 0)
        end = self._executor.call(key, task, plan.task_id, inputs)
        if isinstance(end, AttemptReport):
            self._take(node, inputs, end)
            return True
        uri = self._layout.outputs(node)
        # Plain scalars need no message: the next call in this process takes them as they are.
        if is_plain(end):
            self._values.plain[uri] = end
        else:
            self._values.put(uri, literal_map_to_idl(end))
        machine.passes_in_place(node, self._driver.outbox.now_us(), self._layout.inputs(node), uri)
        return True

    def _is_simple(self, node: NodeState) -> bool:
        """Return whether the engine has to do nothing for the node but to call its task."""
        plan = node.plan
        return (
            plan.kind == nodes.TASK_NODE
            and not plan.timeout_us
            and not plan.serializable
            and node.run.handled is None
        )

    def _takes_hit(self, node: NodeState, inputs: dict[str, Literal]) -> bool:
        """Take the result that the catalog has for the node; return whether it has one."""
        found = self._driver.results.find(node, to_idl(inputs))
        if found.outputs is None:
            return False
        uri = self._layout.outputs(node)
        self._values.put(uri, found.outputs)
        self._machine.hits_in_place(node, self._layout.inputs(node), uri)
        return True

    def _inputs(self, node: NodeState) -> dict[str, Literal]:
        """Return the inputs of the node.

        Raises:
            Unresolved: when an output that it wants does not exist.
            StorageError: when one has no value.
        """
        found: dict[str, Literal] = {}
        states = node.run.scope.nodes
        for name, source, output in node.plan.promises:
            state = states.get(source or START_NODE)
            literal = self._plain_outputs(state).get(output) if state is not None else None
            if literal is None:
                break
            found[name] = literal
        else:
            # Every input is a whole output of another node. Constants and parts of outputs take the long way.
            if len(found) == len(node.plan.bindings) and not node.plan.optional:
                return found
        return from_idl(inputs_of(node.plan, NodeOutputs(node, self._values)))

    def _plain_outputs(self, state: NodeState) -> dict[str, Literal]:
        """Return the outputs that are plain scalars of a node that has ended, by their names."""
        plain = self._values.plain
        uri = state.output_uri
        found = plain.get(uri)
        if found is None:
            whole = from_idl(self._values.get(uri))
            found = plain[uri] = {name: value for name, value in whole.items() if is_scalar(value)}
        return found

    def _take(self, node: NodeState, inputs: dict[str, Literal], report: AttemptReport) -> None:
        """Record an attempt that failed, as if it had gone the way of all executions up to its end."""
        driver, machine = self._driver, self._machine
        uri, now = self._layout.inputs(node), driver.outbox.now_us()
        # A further attempt goes the way of all executions, which reads the inputs from there.
        self._values.put(uri, literal_map_to_idl(inputs))
        driver.outbox.add(machine.queue(node, now, uri, cache_status=CACHE_DISABLED))
        folder = self._layout.folder(node, 0)
        driver.outbox.add(machine.attempt(node, now, folder, phases.RUNNING))
        driver.report(report)
