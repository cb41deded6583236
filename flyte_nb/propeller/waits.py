"""Say what nodes wait for although everything before them has ended. Pure.

The reasons are read off the machine when somebody asks, so a node that waits costs nothing.
"""

from collections.abc import Container, Mapping
from typing import NamedTuple

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.durations import rfc3339
from flyte_nb.propeller.elements import FRESH, ElementsRun
from flyte_nb.propeller.gate_plans import APPROVE, SLEEP
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.state import NodeState

SIGNAL = "signal"
TIME = "time"
SLOT = "slot"
RESERVATION = "reservation"
PARALLELISM = "parallelism"
RESOURCES = "resources"
STORE = "store"
EXECUTION = "execution"


class Wait(NamedTuple):
    """Why a node does not go on."""

    kind: str
    """One of the constants of this module."""
    text: str
    """For a person: what it waits for, as it follows on "waits for"."""


class Limits(NamedTuple):
    """What may hold back nodes that are ready, beside their gates."""

    max_parallelism: int
    slots: int
    """How many attempts the executor runs at a time, over all executions."""
    owners: Mapping[str, tuple[ExecutionId, str]]
    """By the id of a node that waits for the result of an equal call: who computes it."""
    announced: Container[str]
    """Ids of nodes whose attempt is recorded and was not handed to the executor yet."""
    lacking: Mapping[str, str]
    """By the id of such a node: what it needs of the machine and others have."""
    is_store_away: bool
    """Whether a step is repeated later because the store or the recorder failed."""


def waits_of(machine: Machine, limits: Limits) -> dict[str, Wait]:
    """Return the reason for each node that could go on and does not, by node id.

    Nodes that wait for other nodes are not among them: the workflow itself says that.
    """
    found = {}
    for node in (*machine.entering.values(), *machine.ready.values()):
        if limits.is_store_away:
            found[node.node_id] = _STORE_AWAY
        elif node.node_id in machine.ready and machine.active_tasks >= limits.max_parallelism:
            found[node.node_id] = Wait(
                PARALLELISM,
                f"one of the {limits.max_parallelism} tasks that this execution runs at a time to end"
                " (max_parallelism)",
            )
    for node in machine.startable.values():
        owner = limits.owners.get(node.node_id)
        if owner is not None:
            execution, other = owner
            where = f"node {other}" + (f" of {execution.name}" if execution.name else "")
            found[node.node_id] = Wait(
                RESERVATION,
                f"the result of an equal call, which {where} computes (cache_serialize)",
            )
        else:
            found[node.node_id] = _slot(limits)
    for node in machine.live.values():
        if node.node_id in limits.lacking:
            found[node.node_id] = Wait(RESOURCES, limits.lacking[node.node_id])
        elif node.node_id in limits.announced:
            found[node.node_id] = _slot(limits)
    found |= {node.node_id: _gate(node) for node in machine.gates.values()}
    for node in machine.launching.values():
        if node.child_execution is not None:
            text = f"the execution {node.child_execution.name}, which it started"
            found[node.node_id] = Wait(EXECUTION, text)
    inside = {node.node_id for node in machine.nodes.values() if node.element >= 0}
    found = {node_id: wait for node_id, wait in found.items() if node_id not in inside}
    return found | {node.node_id: _elements(node, limits) for node in machine.arrays.values()}


_STORE_AWAY = Wait(STORE, "the store, which cannot be reached now; it is tried again every second")


def _elements(node: NodeState, limits: Limits) -> Wait:
    """Return why a map does not begin the elements that are left."""
    run = node.child
    if not isinstance(run, ElementsRun):
        raise ValueError(f"Node {node.node_id} is no map.")
    left = f"{run.states.count(FRESH)} of its {run.size} elements have not begun"
    if run.room <= 0:
        most = run.array.parallelism
        return Wait(PARALLELISM, f"one of {most} elements to end (concurrency); {left}")
    if any(candidate.node_id in limits.owners for candidate in run.candidates.values()):
        text = f"the results of equal calls (cache_serialize); {left}"
        return Wait(RESERVATION, text)
    wait = _slot(limits)
    return Wait(wait.kind, f"{wait.text}; {left}")


def _slot(limits: Limits) -> Wait:
    if limits.is_store_away:
        return _STORE_AWAY
    return Wait(SLOT, f"a free slot: {limits.slots} attempts run at a time on this machine")


def _gate(node: NodeState) -> Wait:
    gate = node.plan.gate
    if gate is None:
        raise ValueError(f"Node {node.node_id} is no gate.")
    if gate.kind == SLEEP:
        return Wait(
            TIME, f"the end of its sleep at {rfc3339(node.first_started_us + gate.sleep_us)}"
        )
    if gate.kind == APPROVE:
        return Wait(SIGNAL, f"an approval (signal {gate.signal_id})")
    return Wait(SIGNAL, f"a value (signal {gate.signal_id})")
