"""Watch the time of one execution: end what takes too long. For one thread, the driver's."""

import heapq
from itertools import count

from flyte_nb.propeller.children import ChildRuns
from flyte_nb.propeller.gates import Gates
from flyte_nb.propeller.kills import Kills
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.outbox import Outbox
from flyte_nb.propeller.state import NodeState
from flyte_nb.propeller.timeouts import expired, limit_us, map_expired, map_limit_us


class Deadlines:
    """The times by which something of the execution has to end, or has to be looked at."""

    def __init__(
        self, machine: Machine, outbox: Outbox, children: ChildRuns, gates: Gates, kills: Kills
    ) -> None:
        self._machine = machine
        self._outbox = outbox
        self._children = children
        self._gates = gates
        self._kills = kills
        self._times: list[tuple[int, int, NodeState]] = []
        """A heap of times and nodes. One that differs from the node's limit is outdated."""
        self._numbers = count()  # two equal times must not compare nodes

    def next_us(self) -> "int | None":
        """Return when an attempt runs out of time or a gate has to be looked at; `None` when neither will."""
        self._watch()
        while self._times and self._limit_us(self._times[0][2]) != self._times[0][0]:
            heapq.heappop(self._times)  # it has ended, or began anew
        due = self._gates.due_us()
        if not self._times:
            return due
        return self._times[0][0] if due is None else min(due, self._times[0][0])

    def expire(self) -> None:
        """Begin to end the attempts that are out of time; their reports follow. Likewise child executions.

        The nodes that an attempt at a dynamic task made have to end within the same time, and so do the
        elements of a map whose node has a timeout of its own.
        """
        self._watch()
        if not self._times:
            return
        now = self._outbox.now_us()
        while self._times and self._times[0][0] <= now:
            time_us, _, node = heapq.heappop(self._times)
            if self._limit_us(node) == time_us:
                self._end(node, now)

    def _watch(self) -> None:
        """Put the nodes that began since the last call into the heap."""
        timed = self._machine.timed
        if timed:
            for node in timed:
                limit = self._limit_us(node)
                if limit:  # else it has ended already
                    heapq.heappush(self._times, (limit, next(self._numbers), node))
            timed.clear()

    def _limit_us(self, node: NodeState) -> int:
        """Return when the node is out of time; 0 when it never is, or nothing of it runs."""
        machine, id = self._machine, node.node_id
        if node.plan.array is not None:
            return map_limit_us(node) if machine.maps.get(id) is node else 0
        begun = (machine.live, machine.launching, machine.expanded)
        return limit_us(node) if any(each.get(id) is node for each in begun) else 0

    def _end(self, node: NodeState, now_us: int) -> None:
        machine, id = self._machine, node.node_id
        if id in machine.live:
            self._kills.kill(node)
        elif id in machine.launching:
            self._children.expire(node, now_us)
        elif node.run.doom:
            return  # it is being ended
        elif id in machine.expanded:
            self._outbox.add(machine.give_up(node, now_us, expired(node)))
        else:
            self._outbox.add(machine.map_failed(node, now_us, map_expired(node)))
