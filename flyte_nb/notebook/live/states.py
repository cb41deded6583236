"""Compute what each node of a running graph shows: a display phase and one line of text. Pure.

The line is short, because it has to fit into the node: the elapsed time and the attempt while the node runs,
the duration or the kind of error when it has ended, and how many nodes it waits for before it starts.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from flyte_nb.api.phases import (
    DYNAMIC_RUNNING,
    ENDED,
    FAILED,
    FAILING,
    INITIALIZING,
    QUEUED,
    RUNNING,
    SUCCEEDING,
    TIMED_OUT,
    UNDEFINED,
    WAITING_FOR_RESOURCES,
)
from flyte_nb.executions.elements import counts_line
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.graph.palette import CACHED, display_phase

_STARTED = frozenset({RUNNING, DYNAMIC_RUNNING, SUCCEEDING, FAILING})


class NodeDisplay(NamedTuple):
    """What one node of the graph shows."""

    phase: str
    """A key of `graph.palette.PHASE_STYLES`."""
    subtitle: str
    """The node's second line; empty where the phase's word is enough."""


def node_displays(
    view: ExecutionView,
    now: datetime,
    waits: "Mapping[str, frozenset[str]] | None" = None,
    paths: "Mapping[str, str] | None" = None,
    sizes: "Mapping[str, int] | None" = None,
) -> "dict[str, NodeDisplay]":
    """Return what every node shows, by its path in the graph.

    A node that holds others (a sub-workflow, a map) also says how many of these are done.

    Args:
        view: The execution.
        now: For elapsed times, UTC.
        waits: For each drawn node, the nodes it waits for. Nodes that have not started, of which the view
            knows nothing, then say `waits for 2` or `queued`.
        paths: Path in the graph by node execution id, as `executions.paths.paths_of` returns it; `None`
            for the top-level nodes only.
        sizes: How many nodes each node that holds others has, where that is known from the workflow.
    """
    if paths is None:
        paths = {node.node_id: node.spec_node_id for node in view.nodes if not node.parent_id}
    displays: dict[str, NodeDisplay] = {}
    inner: dict[str, list[str]] = {}
    for node in view.nodes:
        if node.node_id in paths:
            phase = display_phase(node.phase, node.cache_status)
            path = paths[node.node_id]
            displays[path] = NodeDisplay(phase, status_line(node, now))
            inner.setdefault(path.rpartition("/")[0], []).append(phase)
    _add_progress(displays, inner, sizes or {})
    _add_waiting(displays, waits or {}, is_terminal=view.is_terminal)
    return displays


def _add_progress(
    displays: "dict[str, NodeDisplay]",
    inner: "Mapping[str, list[str]]",
    sizes: "Mapping[str, int]",
) -> None:
    """Put `2 of 3 done` before the line of each node that holds others."""
    for path, phases in inner.items():
        # The nodes of the workflow itself are under "", which is no node. A cache hit ran nothing inside.
        if path in displays and displays[path].phase != CACHED:
            ended = sum(1 for phase in phases if phase in _ENDED)
            # The view only has nodes that were started; a dynamic workflow may have more than planned.
            count = max(sizes.get(path, 0), len(phases))
            parts = (f"{ended} of {count} done", displays[path].subtitle)
            displays[path] = displays[path]._replace(subtitle=" · ".join(filter(None, parts)))


def _add_waiting(
    displays: "dict[str, NodeDisplay]",
    waits: "Mapping[str, frozenset[str]]",
    *,
    is_terminal: bool,
) -> None:
    """Add what the nodes show that have not started; `is_terminal`: and never will."""
    done = {path for path, display in displays.items() if display.phase in _ENDED}
    for path, upstream in waits.items():
        left = len(upstream - done)
        above = path.rpartition("/")[0]
        # Nodes inside of one that has not started would only repeat what that one says.
        if above and displays.get(above, _UNKNOWN).phase in _NOT_STARTED:
            continue
        if displays.get(path, _UNKNOWN).phase in _NOT_STARTED and not is_terminal:
            line = f"waits for {left}" if left else "queued"
            displays[path] = NodeDisplay(QUEUED if path in displays else UNDEFINED, line)
        elif path not in displays and is_terminal:
            displays[path] = NodeDisplay(UNDEFINED, "did not run")


_ENDED = ENDED | {CACHED}
_UNKNOWN = NodeDisplay(UNDEFINED, "")
_NOT_STARTED = frozenset({UNDEFINED, QUEUED, INITIALIZING, WAITING_FOR_RESOURCES})


def delta(
    before: "Mapping[str, NodeDisplay]", after: "Mapping[str, NodeDisplay]"
) -> "dict[str, tuple[str, str]]":
    """Return the nodes that differ, as `{path: (phase, subtitle)}`; only these are sent to the page."""
    return {
        node_id: (state.phase, state.subtitle)
        for node_id, state in after.items()
        if before.get(node_id) != state
    }


def status_line(node: NodeView, now: datetime) -> str:
    """Return one short line about a node: elapsed time or duration, attempt, kind of error."""
    parts = []
    if display_phase(node.phase, node.cache_status) == CACHED:
        return "from cache"
    if node.elements:
        parts.append(counts_line(node.elements))
    if node.started_at is not None:
        running = node.phase in _STARTED
        end = now if running else node.ended_at or node.started_at
        seconds = (end - node.started_at).total_seconds()
        parts.append(clock(seconds) if running else spoken_duration(seconds))
    if len(node.attempts) > 1:
        parts.append(f"attempt {len(node.attempts)}")
    if node.error is not None and node.phase in (FAILED, TIMED_OUT):
        parts.append(node.error.code.rpartition(":")[2])
    return " · ".join(part for part in parts if part)  # the error of a map has no code


def clock(seconds: float) -> str:
    """Return an elapsed time that goes on, e.g. `0:31`, `12:05`, `1:02:03`."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spoken_duration(seconds: float) -> str:
    """Return a duration that is over, e.g. `12 ms`, `1.2 s`, `2:05`."""
    # The limits are where the rounded text of the smaller unit would reach the larger one.
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return clock(seconds)


def counted(view: ExecutionView, total: int) -> str:
    """Return how many top-level nodes have ended, e.g. `3 of 6 nodes`."""
    ended = sum(1 for node in view.nodes if not node.parent_id and node.phase in ENDED)
    return f"{ended} of {max(total, ended)} nodes"


def most_telling(view: ExecutionView) -> "NodeView | None":
    """Return the top-level node to show first: one that failed, else one that runs, else the last ended."""
    top = [node for node in view.nodes if not node.parent_id]
    for phases in (frozenset({FAILED, TIMED_OUT, FAILING}), _STARTED, ENDED):
        found = [node for node in top if node.phase in phases]
        if found:
            return found[-1]
    return top[0] if top else None
