"""What an execution does for its maps: find out their size, begin their elements, collect their outputs.

For one thread, the driver's. Attempts at elements are started and reported like those of other tasks.

Source: flytepropeller/pkg/controller/nodes/array/handler.go at v1.16.8.
"""

from collections.abc import Iterable

from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api import phases
from flyte_nb.api.errors import USER, ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import LAUNCH_PLAN_NODE
from flyte_nb.propeller import records as r
from flyte_nb.propeller.data_layout import OUTPUTS, DataLayout
from flyte_nb.propeller.elements import SUCCEEDED, ElementsRun
from flyte_nb.propeller.literal_store import Values, inputs_at, unusable
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.outbox import Outbox
from flyte_nb.propeller.plan import ArrayPlan
from flyte_nb.propeller.ports import AttemptKey, AttemptReport, BatchExecutor, ElementBatch
from flyte_nb.propeller.reservations import Turns
from flyte_nb.propeller.results import Results
from flyte_nb.propeller.state import NodeState

_LOOKED_AT = 500
"""Elements that one step looks up in the catalog: other executions wait meanwhile."""

_KEPT_BYTES = 32 * 1024 * 1024
"""Bytes of elements' outputs that are kept for collecting them. Beyond it they are read from the store."""


class Maps:
    """The maps of one execution."""

    def __init__(
        self,
        machine: Machine,
        outbox: Outbox,
        layout: DataLayout,
        values: Values,
        results: Results,
        turns: Turns,
        batches: "BatchExecutor | None" = None,
    ) -> None:
        self._machine = machine
        self._outbox = outbox
        self._layout = layout
        self._values = values
        self._results = results
        self._turns = turns
        self._executor = batches
        # Outputs of elements by map and number, until their map has collected them.
        self._kept: dict[str, dict[int, bytes]] = {}
        self._kept_bytes = 0
        self._lists: dict[str, list[tuple[range, LiteralMap]]] = {}  # outputs of batches, by map
        self.wants_step = False
        """Whether a step left elements that it could have begun, so that others get their turn."""
        self.ran = False
        """Whether the last `run_batch` ran any."""
        self.found = False
        """Whether the last `begin` found results of elements. What waited for them may go on now."""

    @property
    def has_room(self) -> bool:
        """Return whether a map has elements that may begin by its author's `concurrency`."""
        runs = (node.child for node in self._machine.arrays.values())
        return any(isinstance(run, ElementsRun) and run.room > 0 for run in runs)

    def begin(self, room: int, phase: str) -> list[NodeState]:
        """Make the records that further elements begin, at most `room`; return these elements.

        Elements with cached results end at once, and take up no room. After them, a map may be complete.

        Args:
            room: How many attempts may be started.
            phase: QUEUED, or RUNNING where nothing can come between the record and the start.
        """
        self.wants_step = self.found = False
        begun: list[NodeState] = []
        # A copy: a map whose last element begins is taken out.
        for node in list(self._machine.arrays.values()):
            # Small elements wait for `run_batch`, which begins when nothing else runs in this process.
            if isinstance(node.child, ElementsRun) and not (
                node.child.open and self._batches(node)
            ):
                begun += self._begin(node, node.child, room - len(begun), phase)
        return begun

    def _begin(self, node: NodeState, run: ElementsRun, room: int, phase: str) -> list[NodeState]:
        is_launch = run.array.element.kind == LAUNCH_PLAN_NODE
        if is_launch:
            # Executions that are waited for take up no slot, and `ChildRuns` starts them.
            room, phase = run.room, phases.QUEUED
        room = min(room, run.room)
        starting: list[NodeState] = []
        hits: list[int] = []
        discoverable = run.array.element.discoverable
        looked_at = 0
        for index in run.fresh():
            if len(starting) >= room:
                break
            candidate = run.candidate(index)
            if discoverable:
                if looked_at == _LOOKED_AT:
                    self.wants_step = True
                    break
                looked_at += 1
                may_start, is_hit = self._prepare(candidate)
                if is_hit:
                    hits.append(index)
                if is_hit or not may_start:
                    continue
            starting.append(candidate)
        self.found = self.found or bool(hits)
        now = self._outbox.now_us()
        for span, _ in _spans((index, "") for index in hits):
            made = self._machine.elements(node, now, phases.SUCCEEDED, span, r.CACHE_HIT)
            self._outbox.add(made)
        statuses = ((each.element, each.cache_status) for each in starting)
        # Elements that run in this process are recorded one by one: each has a start of its own.
        spans = _spans(statuses, together=phase == phases.QUEUED)
        for span, status in spans:
            self._outbox.add(self._machine.elements(node, now, phase, span, status))
        return [] if is_launch else starting

    def _prepare(self, element: NodeState) -> tuple[bool, bool]:
        """Look for the element's result; return whether it may start, and whether it has its result."""
        outputs = None
        try:
            inputs = inputs_at(element, self._values)
        except StorageError:
            # Starting the attempt reads the inputs again, and reports the failure.
            return True, False
        if not element.cache_status:
            found = self._results.find(element, inputs)
            element.cache_status, outputs = found.status, found.outputs
        if outputs is None:
            turn = self._turns.ask(element)
            if turn.outputs is None:
                return turn.may_start, False
            outputs = turn.outputs
        try:
            self._values.write(self._layout.outputs(element), outputs)
        except StorageError:
            # The attempt will write its own outputs, or say what is wrong.
            return True, False
        self.keep(element, outputs)
        return False, True

    def _batches(self, node: NodeState) -> bool:
        """Return whether the elements of the map are to run in batches."""
        element = node.plan.array.element if node.plan.array is not None else None
        if self._executor is None or element is None or element.task_id is None:
            return False
        if element.discoverable or element.timeout_us:
            return False  # each is looked up, or watched, by itself
        return self._executor.prefers_batches(element.task_id)

    def run_batch(self, execution: ExecutionId) -> "AttemptReport | None":
        """Run elements in this process without attempts of their own, if the executor thinks that fits.

        Returns:
            The report of an element that failed, which is recorded as running; `None` otherwise.
        """
        self.ran = False
        for node in list(self._machine.arrays.values()):
            run = node.child
            if not isinstance(run, ElementsRun) or run.open:
                continue
            batch = self._batch(node, run, execution)
            began_us = self._outbox.now_us()
            if batch is None or self._executor is None:
                continue
            end = self._executor.run_batch(batch)
            if end is None:
                continue
            self.ran = True
            first = batch.elements.start
            done = range(first, first + end.done)
            if done:
                self._lists.setdefault(node.node_id, []).append((done, end.outputs))
                self._add_elements(node, began_us, phases.RUNNING, done)
                self._add_elements(node, self._outbox.now_us(), phases.SUCCEEDED, done)
            if end.failure is not None:
                failed = range(done.stop, done.stop + 1)
                self._add_elements(node, self._outbox.now_us(), phases.RUNNING, failed)
                return end.failure
        return None

    def _batch(
        self, node: NodeState, run: ElementsRun, execution: ExecutionId
    ) -> "ElementBatch | None":
        element = run.array.element
        if not self._batches(node) or element.task is None or element.task_id is None:
            return None
        try:
            inputs = self._values.get(node.input_uri)
        except StorageError:
            return None
        first = next(run.fresh())
        return ElementBatch(
            execution,
            element.task_id,
            element.task,
            inputs,
            run.array.bound,
            range(first, run.stretch(first)),
            lambda index: AttemptKey(execution, f"{node.node_id}-n{index}", 0),
        )

    def _add_elements(self, node: NodeState, at_us: int, phase: str, elements: range) -> None:
        self._outbox.add(self._machine.elements(node, at_us, phase, elements))

    def store_inputs(self, element: NodeState, inputs: LiteralMap) -> None:
        """Write the inputs of one element, where its map gives each a file of its own.

        Raises:
            StorageError: when they cannot be written.
        """
        parent = element.run.parent
        plan = parent.plan.array if parent is not None and element.element >= 0 else None
        if plan is not None and plan.individual_inputs:
            self._values.write(self._layout.inputs(element), inputs)

    def keep(self, element: NodeState, outputs: LiteralMap) -> None:
        """Remember the outputs of an element, which are stored already, until its map collects them."""
        parent = element.run.parent
        if parent is None:
            return
        data = outputs.SerializeToString()
        if self._values.store is not None and self._kept_bytes + len(data) > _KEPT_BYTES:
            return
        self._kept_bytes += len(data)
        self._kept.setdefault(parent.node_id, {})[element.element] = data

    def gather(self) -> bool:
        """Store the outputs of the maps whose elements have all ended; return whether there were any."""
        gathered = False
        for node in list(self._machine.gathering.values()):
            if not isinstance(node.child, ElementsRun) or node.plan.array is None:
                continue
            if node.node_id not in self._machine.gathering:
                continue  # one before it failed, and this one is ended
            uri = self._layout.outputs(node)
            try:
                outputs = self._outputs(node, node.child, node.plan.array)
                self._values.put(uri, self._values.offloaded(uri, outputs))
            except TaskFailed as error:
                self._outbox.add(self._machine.reject(node, self._outbox.now_us(), error.info))
            except StorageError as error:
                if not self._outbox.gives_up_on(error):
                    break
                info = unusable(f"The outputs of the elements of node {node.node_id}", error)
                self._outbox.add(self._machine.reject(node, self._outbox.now_us(), info))
            else:
                self._outbox.add(self._machine.gathered(node, self._outbox.now_us(), uri))
            self._forget(node)
            gathered = True
        return gathered

    def _outputs(self, node: NodeState, run: ElementsRun, plan: ArrayPlan) -> LiteralMap:
        """Return the outputs of all elements as lists, with None for each that failed."""
        task = plan.element.task
        if task is not None:
            names = sorted(task.interface.outputs.variables)
        else:
            # A launch plan's interface is not in the closure. What an element returned says it.
            first = run.states.find(SUCCEEDED)
            found = self._outputs_of(node, run, first, None) if first >= 0 else LiteralMap()
            names = sorted(found.literals)
        made = LiteralMap()
        lists = {}
        for name in names:
            made.literals[name].collection.SetInParent()
            lists[name] = made.literals[name].collection.literals
        if not names:
            return made
        none = Literal()
        none.scalar.none_type.SetInParent()
        kept = self._kept.get(node.node_id, {})
        batches = {span.start: (span, part) for span, part in self._lists.get(node.node_id, ())}
        following = 0
        for index in range(run.size):
            if index < following:
                continue
            if index in batches:
                span, part = batches[index]
                following = span.stop
                for name in names:
                    lists[name].extend(part.literals[name].collection.literals)
                continue
            if run.states[index] != SUCCEEDED:
                for name in names:
                    lists[name].append(none)
                continue
            found = self._outputs_of(node, run, index, kept.get(index))
            for name in names:
                if name in found.literals:
                    lists[name].append(found.literals[name])
        return made

    def _outputs_of(
        self, node: NodeState, run: ElementsRun, index: int, kept: "bytes | None"
    ) -> LiteralMap:
        if kept is not None:
            return LiteralMap.FromString(kept)
        folder = self._layout.element_folder(node, index, run.attempts[index])
        uri = f"{folder}/{OUTPUTS}"
        if self._values.store is None:
            return self._values.get(uri)
        return self._values.read(uri)

    def release_ended(self) -> None:
        """Forget the values of maps that have ended."""
        for node_id in list(self._kept):
            node = self._machine.nodes.get(node_id)
            if node is None or not node.is_open:
                self._kept_bytes -= sum(map(len, self._kept.pop(node_id).values()))

    def _forget(self, node: NodeState) -> None:
        self._lists.pop(node.node_id, None)
        kept = self._kept.pop(node.node_id, {})
        self._kept_bytes -= sum(map(len, kept.values()))
        self._values.release(node.input_uri)


def size_of(plan: ArrayPlan, inputs: LiteralMap) -> "int | ErrorInfo":
    """Return how many elements a map over these inputs has, or propeller's error."""
    size = -1
    for name in sorted(inputs.literals):
        literal = inputs.literals[name]
        if name in plan.bound or literal.WhichOneof("value") != "collection":
            continue
        length = len(literal.collection.literals)
        if size not in (-1, length):
            text = f"input arrays have different lengths: expecting '{size}' found '{length}'"
            return ErrorInfo("InvalidArrayLength", text, USER)
        size = length
    if size == -1:
        if len(plan.bound) == len(inputs.literals):
            return 1
        return ErrorInfo("InvalidArrayLength", "no input array provided", USER)
    return size


def _spans(
    items: "Iterable[tuple[int, str]]", *, together: bool = True
) -> "list[tuple[range, str]]":
    """Return the numbers as ranges: `together`, of those that follow each other and have one status."""
    spans: list[tuple[range, str]] = []
    for index, status in items:
        if together and spans and spans[-1][0].stop == index and spans[-1][1] == status:
            spans[-1] = (range(spans[-1][0].start, index + 1), status)
        else:
            spans.append((range(index, index + 1), status))
    return spans
