"""Drives one execution: reads off the machine what is next, does it, and lets the machine know.

Record first, then act. Every change goes through the outbox to the recorder, in order, and processes
are started or ended only when every record so far is durable. So a crash can lose work that was not
begun, and never a process that nobody knows of. When the recorder fails, nothing is done, and the same
records are offered again a second later.

A driver is used by one thread at a time, its owner's (`engine.Engine`, `run.run_local`).
"""

from collections import deque
from collections.abc import Iterable

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import phases
from flyte_nb.api.errors import USER, ErrorInfo, StorageError, TaskFailed
from flyte_nb.propeller.attempts import UNEXPLAINED, attempt_at, lost, takes_slot
from flyte_nb.propeller.children import ChildRuns
from flyte_nb.propeller.data_layout import OUTPUTS, DataLayout
from flyte_nb.propeller.deadlines import Deadlines
from flyte_nb.propeller.dynamics import NO_DYNAMIC_ELEMENTS, Dynamics
from flyte_nb.propeller.gates import Gates
from flyte_nb.propeller.kills import Kills
from flyte_nb.propeller.launch import DEFAULT_PARALLELISM, Launch
from flyte_nb.propeller.literal_store import Values, inputs_at, unusable
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.maps import Maps
from flyte_nb.propeller.outbox import Outbox
from flyte_nb.propeller.plan import ExecutionPlan
from flyte_nb.propeller.ports import (
    Attempt,
    AttemptKey,
    AttemptReport,
    BatchExecutor,
    Catalog,
    Clock,
    Executor,
    NoRoom,
    Recorder,
)
from flyte_nb.propeller.preparing import Preparation
from flyte_nb.propeller.records import NodeRecord, Record
from flyte_nb.propeller.recovering import Recovery
from flyte_nb.propeller.reservations import Reservations, Turns
from flyte_nb.propeller.results import Results
from flyte_nb.propeller.rules import within
from flyte_nb.propeller.services import Services
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.propeller.state import NodeState
from flyte_nb.propeller.timeouts import expired, limit_us
from flyte_nb.propeller.waits import Limits, Wait, waits_of


class Driver:
    """One execution on its way from its launch to its last record."""

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
        services: Services = Services(),  # noqa: B008 - it never changes
    ) -> None:
        """Make a driver, which does nothing before `step`. With a history, call `replay` first."""
        self.id = launch.id
        self.machine = Machine(plan, layout.input_uri)
        self.outbox = Outbox(launch.id, recorder, clock)
        self.causes: dict[str, BaseException] = {}
        """The exception that the last failed attempt at a node raised, where tasks run in this process."""
        self.crashes = 0
        """How often the engine met an unexpected exception here. The engine counts."""
        self.launch = launch
        """What the execution was started with."""
        self._layout = layout
        self._values = values
        self._executor = executor
        self.results = Results(catalog, launch)
        """What the catalog has for this execution."""
        self.turns = Turns(reservations or Reservations(), launch.id, self.results, values)
        """Which nodes of tasks with `cache_serialize` may start."""
        mine = (self.machine, self.outbox, layout, values)
        recovery = Recovery(launch.recovers, services.former, layout, values)
        self.children = ChildRuns(launch.id, *mine, services.children, recovery)
        """The executions that launch plan nodes start."""
        self.gates = Gates(launch.id, *mine, services.signals or MemorySignals())
        """The nodes that wait for a signal or a time."""
        self._dynamics = Dynamics(
            launch.id,
            self.machine,
            values.store,
            self.causes,
            launch_plans=services.launch_plans,
            limits=services.limits,
        )
        self._preparation = Preparation(*mine, self.results, self.gates, self._dynamics, recovery)
        self._batches = executor if isinstance(executor, BatchExecutor) else None
        self.maps = Maps(*mine, self.results, self.turns, self._batches)
        # Attempts that are recorded as QUEUED and were not handed to the executor yet.
        self._to_start: deque[NodeState] = deque()
        self._lacking: dict[str, str] = {}  # by node id: what those lack that there was no room for
        self._kills = Kills(self.id, self.machine, executor)
        watched = (self.children, self.gates, self._kills)
        self._deadlines = Deadlines(self.machine, self.outbox, *watched)

    @property
    def done(self) -> bool:
        """Return whether the execution has ended and its last record is durable."""
        return self.machine.is_terminal and self.outbox.is_empty

    @property
    def attempts(self) -> int:
        """Return how many attempts of the execution take up a slot of the executor."""
        live, announced = self.machine.live.values(), self._to_start
        return sum(map(takes_slot, live)) - sum(map(takes_slot, announced))

    @property
    def lacks_slot(self) -> bool:
        """Return whether a free slot, or what an attempt that ends has beside it, could let a node begin."""
        machine, blocked = self.machine, self.turns.blocked
        waits = any(node_id not in blocked for node_id in machine.startable)
        return waits or bool(self._to_start) or self.maps.has_room

    # Beginning and ending

    def replay(self, history: Iterable[Record]) -> None:
        """Bring the machine to where the records left it.

        Raises:
            IllegalMove: when the records are not a history of this closure.
            StorageError: when a workflow that came into being while it ran cannot be read.
        """
        for record in history:
            if isinstance(record, NodeRecord) and record.phase == phases.DYNAMIC_RUNNING:
                node = self.machine.nodes.get(record.node_id)
                if node is not None:  # else `apply` refuses the record
                    self._dynamics.load(node, record.workflow_uri)
            self.machine.apply(record)
            self.outbox.has_seen(record.at_us)

    def adopt(self) -> None:
        """Take over, after `replay`, the attempts that were recorded and have not ended.

        An attempt that is recorded as QUEUED may have been started or not: the crash may have come in
        between. Only the executor can tell, by the lock that every attempt holds. One that is recorded
        as RUNNING was started.

        Raises:
            OSError: when the executor cannot tell now. Call it again then: what was done before is not
            repeated.
        """
        self._add(self.machine.settle(self._now_us()))
        self.gates.resume()
        for node in list(self.machine.live.values()):
            # A node that computes a result for others keeps its reservation over a restart.
            self.turns.ask(node)
            found = self._executor.adopt(self._attempt(node, LiteralMap()))
            if found is not None:
                if node.attempt_phase == phases.QUEUED:
                    started = self.machine.started(node, self._now_us(), found.logs, found.pid)
                    self._add(started)
            elif node.attempt_phase == phases.QUEUED:
                if node not in self._to_start:
                    self._to_start.append(node)
            else:
                self._lost(node, "its process and its files are gone")

    def terminate(self, cause: str) -> None:
        """Begin to end the execution as a person asked; nothing happens when it is ending already."""
        # SUCCEEDING: every node has succeeded, and one record is left to be made.
        if (
            self.machine.phase not in (phases.ABORTING, phases.SUCCEEDING)
            and not self.machine.is_terminal
        ):
            self._add(self.machine.abort(self._now_us(), cause))

    def interrupt(self, cause: str) -> None:
        """Record the end of an execution whose attempt in this thread a `KeyboardInterrupt` left."""
        self.terminate(cause)
        for node in list(self.machine.live.values()):
            error = ErrorInfo("USER:KeyboardInterrupt", cause, USER)
            self._add(self.machine.failed(node, self._now_us(), error))
        self.outbox.flush()

    def fail(self, error: ErrorInfo) -> None:
        """Begin to end the execution because the engine cannot go on with it."""
        if self.machine.phase in ("", phases.RUNNING):
            self._add(self.machine.fail(self._now_us(), error))

    def abandon(self) -> None:
        """End what runs. Nobody will step this execution any more, and no attempt may run unwatched."""
        self.turns.release_all()
        for node in self.machine.live.values():
            self._executor.kill(AttemptKey(self.id, node.node_id, node.attempt))

    # Going on

    def step(self, slots: int) -> int:
        """Do everything that can be done now, starting at most `slots` attempts; return how many started."""
        self.outbox.retry_at_us = 0
        if self.machine.phase == "" and not self.begin():
            return 0
        started = 0
        self.turns.blocked.clear()
        most = self.launch.max_parallelism or DEFAULT_PARALLELISM
        while True:
            self.turns.release_ended()
            self.gates.proceed(self._now_us())
            self.maps.release_ended()
            self._preparation.prepare(most)
            if self.machine.gathering and self.maps.gather():
                continue
            room = slots - started - len(self._to_start) + len(self._lacking)
            if room > 0 and self.machine.startable and self._announce_some(room):
                continue  # results of others were found, and further nodes may begin now
            if self._batches is not None and self.machine.arrays and not self.attempts:
                failure = self.maps.run_batch(self.id)
                if failure is not None:
                    self.report(failure)
                if self.maps.ran and self.outbox.flush():
                    continue
            room = slots - started - len(self._to_start) + len(self._lacking)
            if self.machine.arrays:
                phase = phases.RUNNING if self._executor.in_memory else phases.QUEUED
                self._to_start += self.maps.begin(max(0, room), phase)
                if self.maps.found and not self.maps.wants_step:
                    continue
            # Nothing above had an effect outside. From here on it has, so all of it must be durable first.
            if not self.outbox.flush():
                return started
            self.turns.release_ended()  # others wait for what ended in this step
            self._kills.kill_doomed(self._to_start)
            self.children.step()
            started += self._start(slots - started)
            if self.outbox.is_empty:
                return started

    def report(self, report: AttemptReport) -> None:
        """Record the end of an attempt. A report about an attempt that is not the present one is ignored."""
        node = self.machine.live.get(report.key.node_id)
        if node is None or node.attempt != report.key.attempt:
            return
        killed = self._kills.take(report.key)
        now = self._now_us()
        uri, job_uri, cache_status = f"{node.attempt_output_uri}/{OUTPUTS}", "", ""
        if report.job is not None and node.element >= 0:
            report = report._replace(job=None, error=NO_DYNAMIC_ELEMENTS)
        if report.job is not None:
            job_uri = self._dynamics.keep(node, report.job)
        elif report.outputs is not None:
            if node.element >= 0:
                self.maps.keep(node, report.outputs)
            else:
                self._values.keep(uri, report.outputs)
            cache_status = self.results.remember(node, self._values, report.outputs)
        if report.job is not None or report.outputs is not None:
            made = self.machine.succeeded(
                node,
                now,
                uri,
                cpu_s=report.cpu_s,
                max_rss_bytes=report.max_rss_bytes,
                cache_status=cache_status,
                job_uri=job_uri,
                deck_uri=report.deck_uri,
            )
        else:
            error = report.error or UNEXPLAINED
            # The executor reports that the process was killed. Only we know that it was for its time.
            late = killed and 0 < limit_us(node) <= now
            if report.cause is None:
                self.causes.pop(node.node_id, None)
            else:
                self.causes[node.node_id] = report.cause
            made = self.machine.failed(
                node,
                now,
                expired(node) if late else error,
                cpu_s=report.cpu_s,
                max_rss_bytes=report.max_rss_bytes,
                timed_out=late,
                deck_uri=report.deck_uri,
            )
        self._add(made)
        self.turns.release_ended()

    def deadline_us(self) -> "int | None":
        """Return when an attempt runs out of time or a gate has to be looked at; `None` when neither will."""
        return self._deadlines.next_us()

    def waits(self) -> dict[str, Wait]:
        """Return what nodes that could go on wait for, by node id."""
        limits = Limits(
            max_parallelism=self.launch.max_parallelism or DEFAULT_PARALLELISM,
            slots=self._executor.slots,
            owners=self.turns.blocked,
            announced={node.node_id for node in self._to_start},
            lacking=self._lacking,
            is_store_away=bool(self.outbox.retry_at_us),
        )
        return waits_of(self.machine, limits)

    def expire(self) -> None:
        """Begin to end what is out of time; reports about attempts follow."""
        self._deadlines.expire()

    def begin(self) -> bool:
        """Store the inputs and record the start; return whether the execution is under way."""
        try:
            self._values.put(self._layout.input_uri, self.launch.inputs)
        except StorageError as error:
            if self.outbox.gives_up_on(error):
                self.fail(unusable("The execution's inputs", error))
                return True
            return False
        self._add(self.machine.begin(self._now_us()))
        return True

    # Attempts

    def _announce_some(self, room: int) -> bool:
        """Announce attempts at no more than `room` nodes; return whether any node turned out to need none."""
        hits = 0
        most = self.launch.max_parallelism or DEFAULT_PARALLELISM
        startable = within(most, self.machine.startable, self.machine.active_tasks)
        for node, outputs in self.turns.next_ones(startable, room):
            if outputs is None:
                self._announce(node)
                continue
            uri = self._layout.outputs(node)
            if self._values.try_put(uri, outputs):
                self._add(self.machine.hit(node, self._now_us(), uri))
                hits += 1
            else:
                # The store did not take the cached outputs. The attempt will write its own, or say what
                # is wrong.
                self._announce(node)
        return hits > 0

    def _announce(self, node: NodeState) -> None:
        """Record that the next attempt is about to be started."""
        folder = self._layout.folder(node, node.attempts)
        if self._executor.in_memory:
            made = self.machine.attempt(node, self._now_us(), folder, phases.RUNNING)
        else:
            checkpoint = self._layout.checkpoint(node, node.attempts)
            made = self.machine.attempt(node, self._now_us(), folder, phases.QUEUED, checkpoint)
        self._add(made)
        self._to_start.append(node)

    def _start(self, slots: int) -> int:
        """Hand announced attempts to the executor, at most `slots`; return how many started."""
        started, without_room = 0, deque[NodeState]()
        while self._to_start and started < slots:
            node = self._to_start.popleft()
            self._lacking.pop(node.node_id, None)
            if not node.is_live:
                continue
            if node.run.doom:
                # It was announced, and then something else failed: it ends without having run.
                self._add(self.machine.failed(node, self._now_us(), UNEXPLAINED))
                continue
            try:
                inputs = inputs_at(node, self._values)
                self.maps.store_inputs(node, inputs)
                found = self._executor.start(self._attempt(node, inputs))
            except NoRoom as error:
                self._lacking[node.node_id] = error.message
                without_room.append(node)
            except TaskFailed as error:
                self._add(self.machine.failed(node, self._now_us(), error.info))
            except StorageError as error:
                self._lost(node, f"its inputs cannot be read: {error}")
            else:
                started += takes_slot(node)
                if node.attempt_phase == phases.QUEUED:
                    self._add(self.machine.started(node, self._now_us(), found.logs, found.pid))
        self._to_start = without_room + self._to_start
        return started

    def _attempt(self, node: NodeState, inputs: LiteralMap) -> Attempt:
        workflow, in_memory = self.machine.plan.workflow_id, self._executor.in_memory
        return attempt_at(node, inputs, self.launch, self._layout, workflow, in_memory=in_memory)

    def _lost(self, node: NodeState, why: str) -> None:
        """Record an attempt that cannot be found or begun as failed by the system's fault."""
        self._add(self.machine.failed(node, self._now_us(), lost(node, why)))

    def _add(self, made: list[Record]) -> None:
        self.outbox.add(made)

    def _now_us(self) -> int:
        return self.outbox.now_us()
