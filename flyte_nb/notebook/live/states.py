"""What each node of a running graph says: its phase, its mark and one line. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from flyte_nb.api.phases import (
    DYNAMIC_RUNNING,
    ENDED,
    FAILED,
    FAILING,
    QUEUED,
    RUNNING,
    SUCCEEDING,
    TIMED_OUT,
)
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.graph.palette import display_phase

_STARTED = frozenset({RUNNING, DYNAMIC_RUNNING, SUCCEEDING, FAILING})


class NodeState(NamedTuple):
    """One node as the graph shows it."""

    phase: str
    """A key of `graph.palette.PHASE_STYLES`."""
    subtitle: str


def node_states(
    view: ExecutionView,
    now: datetime,
    waits: "Mapping[str, frozenset[str]] | None" = None,
    paths: "Mapping[str, str] | None" = None,
    sizes: "Mapping[str, int] | None" = None,
) -> "dict[str, NodeState]":
    """The nodes by their path in the graph; those that others stand in say how many of these are done.

    Args:
        view: The execution.
        now: For running times, UTC.
        waits: For each node of the template, the nodes it waits for; makes `waits for 2`.
        paths: As `client.pictures.paths_of` gives them; `None` takes the top-level nodes only.
        sizes: How many nodes there are in each that holds some, where that is known.
    """
    if paths is None:
        paths = {node.node_id: node.spec_node_id for node in view.nodes if not node.parent_id}
    states: dict[str, NodeState] = {}
    inner: dict[str, list[str]] = {}
    for node in view.nodes:
        if node.node_id in paths:
            phase = display_phase(node.phase, node.cache_status)
            path = paths[node.node_id]
            states[path] = NodeState(phase, said(node, now))
            inner.setdefault(path.rpartition("/")[0], []).append(phase)
    for path, phases in inner.items():
        if path in states and states[path].phase != "CACHED":
            ended = sum(1 for phase in phases if phase in _ENDED)
            count = max((sizes or {}).get(path, 0), len(phases))
            parts = (f"{ended} of {count} done", states[path].subtitle)
            states[path] = states[path]._replace(subtitle=" · ".join(filter(None, parts)))
    done = {path for path, state in states.items() if state.phase in _ENDED}
    for path, upstream in (waits or {}).items():
        left = len(upstream - done)
        above = path.rpartition("/")[0]
        if above and states.get(above, _UNKNOWN).phase in _NOT_STARTED:
            continue
        if states.get(path, _UNKNOWN).phase in _NOT_STARTED and not view.is_terminal:
            said_now = f"waits for {left}" if left else "queued"
            states[path] = NodeState(QUEUED if path in states else "UNDEFINED", said_now)
        elif path not in states and view.is_terminal:
            states[path] = NodeState("UNDEFINED", "did not run")
    return states


_ENDED = ENDED | {"CACHED"}
_UNKNOWN = NodeState("UNDEFINED", "")
_NOT_STARTED = frozenset({"UNDEFINED", QUEUED, "INITIALIZING", "WAITING_FOR_RESOURCES"})


def delta(
    before: "Mapping[str, NodeState]", after: "Mapping[str, NodeState]"
) -> "dict[str, tuple[str, str]]":
    """What changed, as `{node: (phase, subtitle)}`; this is all that travels on a tick."""
    return {
        node_id: (state.phase, state.subtitle)
        for node_id, state in after.items()
        if before.get(node_id) != state
    }


def said(node: NodeView, now: datetime) -> str:
    """One short line: the time it took or takes, the attempt, the kind of error."""
    parts = []
    if display_phase(node.phase, node.cache_status) == "CACHED":
        return "from cache"
    if node.started_at is not None:
        running = node.phase in _STARTED
        end = now if running else node.ended_at or node.started_at
        seconds = (end - node.started_at).total_seconds()
        parts.append(clock(seconds) if running else spoken_duration(seconds))
    if len(node.attempts) > 1:
        parts.append(f"attempt {len(node.attempts)}")
    if node.error is not None and node.phase in (FAILED, TIMED_OUT):
        parts.append(node.error.code.rpartition(":")[2])
    return " · ".join(parts)


def clock(seconds: float) -> str:
    """Time that goes on, e.g. `0:31`, `12:05`, `1:02:03`."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spoken_duration(seconds: float) -> str:
    """Time that is over, e.g. `12 ms`, `1.2 s`, `2:05`."""
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return clock(seconds)


def counted(view: ExecutionView, total: int) -> str:
    """E.g. `3 of 6 nodes`."""
    ended = sum(1 for node in view.nodes if not node.parent_id and node.phase in ENDED)
    return f"{ended} of {max(total, ended)} nodes"


def most_telling(view: ExecutionView) -> "NodeView | None":
    """The node a person wants to see first: one that failed, else runs, else ended last."""
    top = [node for node in view.nodes if not node.parent_id]
    for phases in (frozenset({FAILED, TIMED_OUT, FAILING}), _STARTED, ENDED):
        found = [node for node in top if node.phase in phases]
        if found:
            return found[-1]
    return top[0] if top else None
