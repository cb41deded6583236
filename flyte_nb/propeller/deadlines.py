"""Watch the time of one execution: end what takes too long. For one thread, the driver's."""

from flyte_nb.propeller.children import ChildRuns
from flyte_nb.propeller.gates import Gates
from flyte_nb.propeller.kills import Kills
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.outbox import Outbox
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

    def next_us(self) -> "int | None":
        """Return when an attempt runs out of time or a gate has to be looked at; `None` when neither will."""
        machine = self._machine
        begun = (*machine.live.values(), *machine.launching.values(), *machine.expanded.values())
        limits = [limit for node in begun if (limit := limit_us(node))]
        limits += [limit for node in machine.maps.values() if (limit := map_limit_us(node))]
        due = self._gates.due_us()
        if due is not None:
            limits.append(due)
        return min(limits, default=None)

    def expire(self) -> None:
        """Begin to end the attempts that are out of time; their reports follow. Likewise child executions.

        The nodes that an attempt at a dynamic task made have to end within the same time, and so do the
        elements of a map whose node has a timeout of its own.
        """
        self._children.expire()
        machine, now = self._machine, self._outbox.now_us()
        # A copy, because each record takes its node out of the table.
        for node in list(machine.expanded.values()):
            limit = limit_us(node)
            if limit and now >= limit and not node.run.doom:
                self._outbox.add(machine.give_up(node, now, expired(node)))
        for node in list(machine.maps.values()):
            limit = map_limit_us(node)
            if limit and now >= limit and not node.run.doom:
                self._outbox.add(machine.map_failed(node, now, map_expired(node)))
        for node in machine.live.values():
            limit = limit_us(node)
            if limit and now >= limit:
                self._kills.kill(node)
