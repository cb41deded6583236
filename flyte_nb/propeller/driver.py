"""Drives one execution: reads off the machine what is next, does it, and tells the machine.

What the machine makes goes to the recorder, in order, before anything is done because of it: processes
are started or ended only when every record so far is durable. When the recorder fails, nothing is done
and the same records are offered again a second later. One thread at a time, its owner's.
"""

import logging
from collections import deque
from collections.abc import Iterable
from itertools import islice

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, StorageError, TaskFailed
from flyte_nb.propeller import records as r
from flyte_nb.propeller.attempts import attempt_at
from flyte_nb.propeller.conditions import choose
from flyte_nb.propeller.data_layout import OUTPUTS, DataLayout
from flyte_nb.propeller.launch import DEFAULT_PARALLELISM, Launch
from flyte_nb.propeller.literal_store import Outputs, Values, unusable
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.plan import ExecutionPlan
from flyte_nb.propeller.ports import (
    Attempt,
    AttemptKey,
    AttemptReport,
    Catalog,
    Clock,
    Executor,
    Recorder,
)
from flyte_nb.propeller.records import Record
from flyte_nb.propeller.reservations import Reservations, Turns
from flyte_nb.propeller.resolve import Unresolved, inputs_of
from flyte_nb.propeller.results import Results
from flyte_nb.propeller.state import NodeState
from flyte_nb.propeller.timeouts import expired, limit_us

_log = logging.getLogger(__name__)

_RETRY_US = 1_000_000
_STORE_TRIES = 3


class Driver:
    """One execution on its way."""

    def __init__(
        self,
        launch: Launch,
        plan: ExecutionPlan,
        layout: DataLayout,
        values: Values,
        *,
        recorder: Recorder,
        executor: Executor,
        clock: Clock,
        catalog: "Catalog | None" = None,
        reservations: "Reservations | None" = None,
    ) -> None:
        """A driver before its first step; `resume` before that when there is a history."""
        self.id = launch.id
        self.machine = Machine(plan, layout.input_uri)
        self.cause: BaseException | None = None
        """The user's exception that the execution failed with, where it ran in this process."""
        self.retry_at_us = 0
        """When to step again because something outside failed; 0 means nothing did."""
        self.crashes = 0
        """How often its owner met an unexpected exception; counted by the owner."""
        self._launch = launch
        self._layout = layout
        self._values = values
        self._recorder = recorder
        self._executor = executor
        self._results = Results(catalog, launch)
        self.turns = Turns(reservations or Reservations(), launch.id, self._results, values)
        """When nodes of tasks with `cache_serialize` may start."""
        self._clock = clock
        self._now_us = 0
        self._pending: list[Record] = []
        self._to_start: deque[NodeState] = deque()
        self._killed: set[AttemptKey] = set()
        self._store_failures = 0

    @property
    def done(self) -> bool:
        """Whether the execution has ended, and all of it is recorded."""
        return self.machine.is_terminal and not self._pending

    @property
    def attempts(self) -> int:
        """How many attempts take up a slot."""
        return len(self.machine.live) - len(self._to_start)

    # Beginning and ending

    def replay(self, history: Iterable[Record]) -> None:
        """Bring the machine to where the records left it.

        Raises:
            IllegalMove: when they are not a history of this closure.
        """
        for record in history:
            self.machine.apply(record)
            self._now_us = record.at_us

    def adopt(self) -> None:
        """After `replay`: take over the attempts that were recorded and have not ended.

        May be called again when it raised `OSError`.
        """
        self._add(self.machine.settle(self._time()))
        for node in list(self.machine.live.values()):
            self.turns.ask(node)
            found = self._executor.adopt(self._attempt(node, LiteralMap()))
            if found is not None:
                if node.attempt_phase == phases.QUEUED:
                    started = self.machine.started(node, self._time(), found.logs, found.pid)
                    self._add(started)
            elif node.attempt_phase == phases.QUEUED:
                if node not in self._to_start:
                    self._to_start.append(node)
            else:
                self._lost(node, "nothing of it is left where it ran")

    def terminate(self, cause: str) -> None:
        """Somebody asked that the execution ends; nothing happens when it has or is about to."""
        if (
            self.machine.phase not in (phases.ABORTING, phases.SUCCEEDING)
            and not self.machine.is_terminal
        ):
            self._add(self.machine.abort(self._time(), cause))

    def interrupt(self, cause: str) -> None:
        """The attempt that ran in this thread was interrupted; record that all has ended."""
        self.terminate(cause)
        for node in list(self.machine.live.values()):
            error = ErrorInfo("USER:KeyboardInterrupt", cause, USER)
            self._add(self.machine.failed(node, self._time(), error))
        self._flush()

    def fail(self, error: ErrorInfo) -> None:
        """The engine cannot go on with this execution."""
        if self.machine.phase in ("", phases.RUNNING):
            self._add(self.machine.fail(self._time(), error))

    def abandon(self) -> None:
        """Nobody will step any more: end what runs, so that nothing runs unwatched."""
        self.turns.release_all()
        for node in self.machine.live.values():
            self._executor.kill(AttemptKey(self.id, node.node_id, node.attempt))

    # Going on

    def step(self, slots: int) -> int:
        """Do all that can be done now, starting at most `slots` attempts; how many were started."""
        self.retry_at_us = 0
        if self.machine.phase == "" and not self._begin():
            return 0
        started = 0
        self.turns.is_waiting = False
        while True:
            self.turns.release_ended()
            self._prepare()
            room = slots - started - len(self._to_start)
            if room > 0 and self.machine.startable and self._announce_some(room):
                continue  # results of others were found, and more may begin now
            if not self._flush():
                return started
            self._kill_doomed()
            started += self._start(slots - started)
            if not self._pending:
                return started

    def report(self, report: AttemptReport) -> None:
        """An attempt has ended."""
        node = self.machine.live.get(report.key.node_id)
        if node is None or node.attempt != report.key.attempt:
            return
        killed = bool(self._killed) and report.key in self._killed
        if killed:
            self._killed.discard(report.key)
        now = self._time()
        if report.outputs is not None:
            uri = f"{node.attempt_output_uri}/{OUTPUTS}"
            self._values.keep(uri, report.outputs)
            made = self.machine.succeeded(
                node,
                now,
                uri,
                cpu_s=report.cpu_s,
                max_rss_bytes=report.max_rss_bytes,
                cache_status=self._remember(node, report.outputs),
            )
        else:
            error = report.error or _UNEXPLAINED
            if killed and (limit := limit_us(node)) and now >= limit:
                error = expired(node)
            self.cause = report.cause
            made = self.machine.failed(
                node, now, error, cpu_s=report.cpu_s, max_rss_bytes=report.max_rss_bytes
            )
        self._add(made)
        self.turns.release_ended()

    def _remember(self, node: NodeState, outputs: LiteralMap) -> str:
        if not node.plan.discoverable:
            return ""
        return self._results.keep(node, self._values.get(node.input_uri), outputs)

    def deadline_us(self) -> "int | None":
        """When the next attempt runs out of time."""
        limits = map(limit_us, self.machine.live.values())
        return min((limit for limit in limits if limit), default=None)

    def expire(self) -> None:
        """End the attempts whose time is over; they are recorded when they have ended."""
        now = self._time()
        for node in self.machine.live.values():
            limit = limit_us(node)
            if limit and now >= limit:
                self._kill(node)

    def _begin(self) -> bool:
        try:
            self._values.put(self._layout.input_uri, self._launch.inputs)
        except StorageError as error:
            if self._store_failed(error):
                self.fail(unusable("The execution's inputs", error))
                return True
            return False
        self._add(self.machine.begin(self._time()))
        return True

    def _prepare(self) -> None:
        machine = self.machine
        most = self._launch.max_parallelism or DEFAULT_PARALLELISM
        while not self.retry_at_us:
            room = most - machine.active_tasks
            nodes = [*machine.entering.values()]
            if machine.ready and room > 0:
                nodes += islice(machine.ready.values(), room)
            if not nodes:
                return
            for node in nodes:
                try:
                    if node.phase == "":
                        self._queue(node)
                    else:
                        self._enter(node)
                except StorageError as error:
                    if not self._store_failed(error):
                        break
                    info = unusable(f"The values of node {node.node_id}", error)
                    self._reject(node, info)

    def _queue(self, node: NodeState) -> None:
        """Resolve the node's inputs, write them, and say so."""
        try:
            inputs = inputs_of(node.plan, Outputs(node, self._values))
        except Unresolved as error:
            self._reject(node, error.info)
            return
        uri = self._layout.inputs(node)
        self._values.put(uri, inputs)
        if node.plan.kind != nodes.TASK_NODE:
            self._add(self.machine.queue(node, self._time(), uri))
            self._enter(node)
            return
        status, outputs = r.CACHE_DISABLED, None
        if node.plan.discoverable:
            status, outputs = self._results.find(node, inputs)
        if outputs is not None:
            self._values.put(self._layout.outputs(node), outputs)
        self._add(self.machine.queue(node, self._time(), uri, status))
        if outputs is not None:
            self._add(self.machine.hit(node, self._time(), self._layout.outputs(node)))

    def _enter(self, node: NodeState) -> None:
        """Move on a queued node that runs no task."""
        now = self._time()
        if node.plan.kind == nodes.END_KIND:
            self._add(self.machine.finish(node, now, node.input_uri))
        elif node.plan.branch is None:
            self._add(self.machine.enter(node, now))
        else:
            arm = choose(node.plan.branch, self._values.get(node.input_uri))
            if isinstance(arm, int):
                self._add(self.machine.enter(node, now, arm))
            else:
                self._add(self.machine.reject(node, now, arm))

    def _reject(self, node: NodeState, error: ErrorInfo) -> None:
        if node.phase == "":
            self._add(self.machine.queue(node, self._time(), ""))
        self._add(self.machine.reject(node, self._time(), error))

    # Attempts

    def _announce_some(self, room: int) -> bool:
        """Announce attempts at no more than `room` nodes; return whether some turned out to need none."""
        hits = 0
        for node, outputs in self.turns.next_ones(self.machine.startable.values(), room):
            if outputs is None:
                self._announce(node)
                continue
            uri = self._layout.outputs(node)
            if self._values.try_put(uri, outputs):
                self._add(self.machine.hit(node, self._time(), uri))
                hits += 1
            else:
                self._announce(node)
        return hits > 0

    def _announce(self, node: NodeState) -> None:
        """Record that the next attempt is about to be started."""
        folder = self._layout.folder(node, node.attempts)
        phase = phases.RUNNING if self._executor.in_memory else phases.QUEUED
        self._add(self.machine.attempt(node, self._time(), folder, phase))
        self._to_start.append(node)

    def _start(self, slots: int) -> int:
        started = 0
        while self._to_start and started < slots:
            node = self._to_start.popleft()
            if not node.is_live:
                continue
            if node.run.doom:
                self._add(self.machine.failed(node, self._time(), _UNEXPLAINED))
                continue
            try:
                inputs = self._values.get(node.input_uri)
                found = self._executor.start(self._attempt(node, inputs))
            except TaskFailed as error:
                self._add(self.machine.failed(node, self._time(), error.info))
            except StorageError as error:
                self._lost(node, f"its inputs cannot be read: {error}")
            else:
                started += 1
                if node.attempt_phase == phases.QUEUED:
                    self._add(self.machine.started(node, self._time(), found.logs, found.pid))
        return started

    def _attempt(self, node: NodeState, inputs: LiteralMap) -> Attempt:
        workflow, in_memory = self.machine.plan.workflow_id, self._executor.in_memory
        return attempt_at(node, inputs, self._launch, self._layout, workflow, in_memory=in_memory)

    def _kill_doomed(self) -> None:
        if not self.machine.has_doomed:
            return
        waiting = {node.node_id for node in self._to_start}
        for node in self.machine.doomed():
            if node.node_id not in waiting:
                self._kill(node)

    def _kill(self, node: NodeState) -> None:
        key = AttemptKey(self.id, node.node_id, node.attempt)
        if key not in self._killed:
            self._killed.add(key)
            self._executor.kill(key)

    def _lost(self, node: NodeState, why: str) -> None:
        text = f"Attempt {node.attempt} at node {node.node_id} was lost: {why}."
        error = ErrorInfo("SYSTEM:AttemptLost", text, SYSTEM, recoverable=True)
        self._add(self.machine.failed(node, self._time(), error))

    # Records, time, trouble

    def _add(self, made: list[Record]) -> None:
        self._pending += made

    def _flush(self) -> bool:
        """Make everything so far durable; whether it is."""
        if not self._pending:
            return True
        try:
            self._recorder.record(self.id, self._pending)
        except (StorageError, OSError) as error:
            _log.warning("%s: cannot record, trying again: %s", self.id, error)
            self.retry_at_us = self._time() + _RETRY_US
            return False
        self._pending = []
        return True

    def _time(self) -> int:
        """Now; never before what was recorded last."""
        now = self._clock()
        if now > self._now_us:
            self._now_us = now
        return self._now_us

    def _store_failed(self, error: StorageError) -> bool:
        """Whether to give up; else step again later."""
        self._store_failures += 1
        if error.transient and self._store_failures < _STORE_TRIES:
            self.retry_at_us = self._time() + _RETRY_US
            return False
        self._store_failures = 0
        return True


_UNEXPLAINED = ErrorInfo("SYSTEM:Unknown", "The attempt ended without a word.", SYSTEM, True)
