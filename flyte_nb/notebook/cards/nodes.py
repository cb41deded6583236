"""The nodes of an execution: one line about each, and the table of all."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from flyte_nb.api.phases import ENDED, FAILED, TIMED_OUT
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.graph.palette import display_phase
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element, join

_MAX_ROWS = 300  # more nobody reads; the table says how many it leaves out


def title_of(node: NodeView, titles: "Mapping[str, str]") -> str:
    """What the graph calls it; inside another node, its own name."""
    if not node.parent_id and node.spec_node_id in titles:
        return titles[node.spec_node_id]
    return node.name.rpartition(".")[2] or node.node_id


def drawn_nodes(view: ExecutionView) -> "dict[str, NodeView]":
    """The nodes that the workflow's graph shows, by their id in the template.

    Those of the workflow itself, and the cases of its branches, whose ids begin with the branch's. The
    nodes inside a sub-workflow have ids of another template, which may be the same words.
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
    """Seconds it took, or takes so far; `None` when it has not started or that is not known."""
    end = node.ended_at or (None if node.phase in ENDED else now)
    return units.between(node.started_at, end)


def said(node: NodeView, now: "datetime | None" = None) -> str:
    """One short line for the graph: the time, the attempts, the kind of error."""
    if display_phase(node.phase, node.cache_status) == "CACHED":
        return "from cache"
    shown = []
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
    """Phase, duration, attempts, processor time, memory and cache of each node."""
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
