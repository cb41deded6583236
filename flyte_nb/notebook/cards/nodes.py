"""Show the nodes of an execution: one line about a node, and the table of all."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from flyte_nb.api.phases import ENDED, FAILED, TIMED_OUT
from flyte_nb.executions.elements import counts_line
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.graph.palette import CACHED, display_phase
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element, join

_MAX_ROWS = 300
"""Rows of the table at most. It is saved in the notebook; a line below says how many are left out."""


def title_of(node: NodeView, titles: "Mapping[str, str]") -> str:
    """Return the node's title in the graph; for a node inside another one, its function's name."""
    if not node.parent_id and node.spec_node_id in titles:
        return titles[node.spec_node_id]
    return node.name.rpartition(".")[2] or node.node_id


def drawn_nodes(view: ExecutionView) -> "dict[str, NodeView]":
    """Return the nodes that the workflow's graph shows, by their id in the template.

    These are the nodes of the workflow itself and the cases of its branches, whose ids begin with the
    branch's. Nodes inside a sub-workflow are left out: their ids are of another template and may be equal.
    """
    by_id = {node.node_id: node for node in view.nodes}
    drawn = {}
    for node in view.nodes:
        parent = by_id.get(node.parent_id)
        if not node.parent_id or (
            parent is not None and node.spec_node_id.startswith(f"{parent.spec_node_id}-")
        ):
            drawn[node.spec_node_id] = node
    return drawn


def took(node: "NodeView | AttemptView", now: "datetime | None" = None) -> "float | None":
    """Return the seconds it took, or has taken until `now`; `None` if a time that is needed is not known."""
    end = node.ended_at or (None if node.phase in ENDED else now)
    return units.between(node.started_at, end)


def status_line(node: NodeView, now: "datetime | None" = None) -> str:
    """Return one short line for the graph: the kind of error, the time, the attempts."""
    if display_phase(node.phase, node.cache_status) == CACHED:
        return "from cache"
    shown = [counts_line(node.elements)] if node.elements else []
    if node.error is not None and node.phase in (FAILED, TIMED_OUT):
        shown.append(node.error.code.rpartition(":")[2])
    seconds = took(node, now)
    if seconds is not None:
        shown.append(units.duration(seconds))
    if len(node.attempts) > 1:
        shown.append(f"attempt {len(node.attempts)}")
    return " · ".join(part for part in shown if part)


def nodes_table(
    view: ExecutionView, titles: "Mapping[str, str]", now: "datetime | None" = None
) -> Safe:
    """Return the table of nodes: phase, duration, attempts, processor time, memory, cache.

    The last three columns are left out when no node has a value for them.
    """
    rows = [_row(node, titles, now) for node in view.nodes[:_MAX_ROWS]]
    heads = ["node", "phase", "duration", "attempts", "cpu", "memory", "cache"]
    used = [
        column
        for column in range(len(heads))
        if column < 4 or any(row[column] != "–" for row in rows)
    ]
    table = pieces.table(
        [heads[column] for column in used],
        [[row[column] for column in used] for row in rows],
        right=[place for place, column in enumerate(used) if 2 <= column <= 5],
    )
    left = len(view.nodes) - len(rows)
    more = element("div", f"and {left:,} more", style=theme.BODY) if left > 0 else None
    return join((table, more))


def _row(node: NodeView, titles: "Mapping[str, str]", now: "datetime | None") -> "Sequence[Child]":
    seconds = took(node, now)
    return (
        element(
            "span",
            title_of(node, titles),
            element("span", f"  {node.node_id}", style=f"{theme.MONO};{theme.SOFT}"),
            style=f"{theme.LONG};padding-left:16px" if node.parent_id else theme.LONG,
        ),
        pieces.phase_pill(display_phase(node.phase, node.cache_status)),
        "–" if seconds is None else units.duration(seconds),
        str(len(node.attempts)) if node.attempts else "–",
        _cpu(node),
        _memory(node),
        _cache(node.cache_status),
    )


def _cpu(node: NodeView) -> str:
    known = [attempt.cpu_s for attempt in node.attempts if attempt.cpu_s is not None]
    return units.duration(sum(known)) if known else "–"


def _memory(node: NodeView) -> str:
    known = [attempt.max_rss_bytes for attempt in node.attempts if attempt.max_rss_bytes]
    return units.size(max(known)) if known else "–"


def _cache(status: str) -> str:
    word = status.removeprefix("CACHE_").replace("_", " ").lower()
    return "–" if word in ("", "disabled") else word
