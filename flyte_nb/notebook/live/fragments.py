"""Write the parts of the live tracker as HTML: head, bar, timeline, table of nodes, side panel.

Every function is pure: a view and the time in, HTML out. The classes are defined in `live.style`. Nothing
written here is saved in the notebook: when the run has ended, static cards replace it (`cards/`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flyte_nb.api.phases import (
    ABORTED,
    ABORTING,
    DYNAMIC_RUNNING,
    ENDED,
    FAILED,
    FAILING,
    RECOVERED,
    RETRYABLE_FAILED,
    RUNNING,
    SUCCEEDED,
    SUCCEEDING,
    TIMED_OUT,
)
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.graph.palette import CACHED, PAUSED, display_phase, style_of
from flyte_nb.notebook.live.states import clock, counted, spoken_duration
from flyte_nb.notebook.paper.html import escaped as escape

Titles = Mapping[str, str]
"""Titles of top-level nodes, as the graph has them, by their id in the template."""

_GROUPS = {
    SUCCEEDED: "succeeded",
    CACHED: "cached",
    RECOVERED: "cached",
    RUNNING: "running",
    DYNAMIC_RUNNING: "running",
    SUCCEEDING: "running",
    FAILED: "failed",
    FAILING: "failed",
    TIMED_OUT: "failed",
    ABORTED: "aborted",
    ABORTING: "aborted",
    RETRYABLE_FAILED: "aborted",
    PAUSED: "paused",
}
"""The colour of each display phase, as the name of a CSS variable. Phases not listed are `queued`."""
_BAR_ORDER = ("succeeded", "cached", "failed", "aborted", "running", "paused")
"""What has ended is on the left, so the bar grows from left to right."""
_MAX_ROWS = 300
"""Rows of a table at most. The whole table travels to the page at each change, and nobody reads more."""


def color_of(phase: str) -> str:
    """Return the CSS expression for the colour of a display phase."""
    return f"var(--fnb-{_GROUPS.get(phase, 'queued')})"


def pill(phase: str) -> str:
    """Return the phase as a pill with mark and word, so that it can be recognized without its colour."""
    group = _GROUPS.get(phase, "queued")
    style = style_of(phase)
    return (
        f'<span class="fnb-pill" style="color:var(--fnb-{group});'
        f'background:var(--fnb-{group}-fill)">{style.mark} {style.word}</span>'
    )


def node_phase(node: NodeView) -> str:
    """Return the node's display phase, in which a cache hit is a phase of its own."""
    return display_phase(node.phase, node.cache_status)


def head(view: ExecutionView, now: datetime, total: int) -> str:
    """Return the first line: workflow, execution, time of day, phase, elapsed time, count of nodes.

    Args:
        view: The execution.
        now: For the elapsed time of a run that goes on, UTC.
        total: How many nodes the workflow has.
    """
    started = view.started_at or view.created_at
    elapsed = ((view.ended_at if view.is_terminal else now) or now) - started
    return (
        f'<span class="fnb-title" role="heading" aria-level="3">{escape(view.workflow.name)}</span> '
        f'<span class="fnb-mono">{escape(view.id.name)} · {started.astimezone():%H:%M:%S}</span> '
        f'<span aria-live="polite">{pill(view.phase)}</span> '
        f'<span class="fnb-mono">{clock(elapsed.total_seconds())}</span> '
        f'<span class="fnb-soft fnb-count">{counted(view, total)}</span>'
    )


def bar(view: ExecutionView, total: int) -> str:
    """Return the thin bar that shows which share of the `total` nodes is in which phase."""
    counts: dict[str, int] = {}
    top = [node for node in view.nodes if not node.parent_id]
    for node in top:
        group = _GROUPS.get(node_phase(node), "")
        counts[group] = counts.get(group, 0) + 1
    # A dynamic workflow can have more nodes than its template, and an empty one has none.
    whole = max(total, len(top), 1)
    pieces = "".join(
        f'<i style="width:{100 * counts[group] / whole:.2f}%;background:var(--fnb-{group})"></i>'
        for group in _BAR_ORDER
        if group in counts
    )
    return f'<div class="fnb-bar" role="img" aria-label="{counted(view, total)}">{pieces}</div>'


def timeline(view: ExecutionView, now: datetime, titles: Titles) -> str:
    """Return one row for each node, with one bar for each attempt, over the time since the run began."""
    started = view.started_at or view.created_at
    end = view.ended_at if view.is_terminal and view.ended_at else now
    span = max((end - started).total_seconds(), 0.1)  # a divisor, so never 0
    rows = []
    for node in view.nodes[:_MAX_ROWS]:
        bars = "".join(_timeline_bar(b, started, now, span) for b in _spans(node))
        style = style_of(node_phase(node))
        rows.append(
            f'<span class="fnb-row-name" title="{escape(node.node_id)}">{style.mark} '
            f"{escape(title_of(node, titles))}</span>"
            f'<div class="fnb-lane">{bars}</div>'
            f'<span class="fnb-soft fnb-num">{_duration(node, now)}</span>'
        )
    if not rows:
        return '<div class="fnb-pad fnb-soft">No node has started yet.</div>'
    return f'<div class="fnb-gantt">{"".join(rows)}{_more(view)}</div>'


def nodes_table(view: ExecutionView, now: datetime, titles: Titles) -> str:
    """Return the table of nodes with phase, duration, attempts, processor time and memory."""
    rows = []
    for node in view.nodes[:_MAX_ROWS]:
        last = node.attempts[-1] if node.attempts else None
        indent = ' style="padding-left:26px"' if node.parent_id else ""
        rows.append(
            f"<tr><td{indent}>{escape(title_of(node, titles))} "
            f'<span class="fnb-mono">{escape(node.node_id)}</span></td>'
            f"<td>{pill(node_phase(node))}</td>"
            f'<td class="fnb-num">{_duration(node, now)}</td>'
            f'<td class="fnb-num">{len(node.attempts) or "–"}</td>'
            f'<td class="fnb-num">{_used(last)}</td></tr>'
        )
    if not rows:
        return '<div class="fnb-pad fnb-soft">No node has started yet.</div>'
    return (
        '<table class="fnb-table"><thead><tr><th scope="col">node</th><th scope="col">phase</th>'
        '<th scope="col" class="fnb-num">duration</th><th scope="col" class="fnb-num">attempts</th>'
        f'<th scope="col" class="fnb-num">used</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"{_more(view)}"
    )


def facts(node: NodeView, now: datetime, values: "Mapping[str, str]", titles: Titles) -> str:
    """Return the upper half of the side panel: phase, attempts, time, use, inputs and outputs of a node.

    Args:
        node: The selected node.
        now: For the elapsed time of a node that runs, UTC.
        values: Inputs and outputs by name, already as HTML; empty until they were loaded.
        titles: Titles of nodes as the graph has them.
    """
    last = node.attempts[-1] if node.attempts else None
    rows = []
    if len(node.attempts) > 1:
        first = node.attempts[-2]
        why = first.error.code.rpartition(":")[2] if first.error else style_of(first.phase).word
        rows.append(("attempt", f"{len(node.attempts)} · before: {escape(why)}"))
    if node.started_at is not None:
        rows.append(("time", _duration(node, now)))
    if node.cache_status:
        rows.append(("cache", escape(node.cache_status.removeprefix("CACHE_").lower())))
    if _used(last) != "–":
        rows.append(("used", _used(last)))
    rows += [(escape(name), shown) for name, shown in values.items()]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return (
        f'<div class="fnb-side-head"><b>{escape(title_of(node, titles))}</b> {pill(node_phase(node))}</div>'
        f'<dl class="fnb-facts">{listed}</dl>'
    )


def definition(facts: "Mapping[str, Any] | None") -> str:
    """Return what the selected node is (kind, options, inputs, outputs), folded; empty without facts."""
    if not facts:
        return ""
    rows = [*facts["rows"]]
    rows += [
        (name, " ".join(filter(None, (kind, source)))) for name, kind, source in facts["inputs"]
    ]
    rows += [(f"→ {name}", kind) for name, kind, _ in facts["outputs"]]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return (
        f'<details class="fnb-soft"><summary>{escape(facts["what"])}</summary>'
        f'<dl class="fnb-facts">{listed}</dl></details>'
    )


def _spans(node: NodeView) -> "list[AttemptView | NodeView]":
    # A node without attempts (a branch, a gate, a cache hit) still has a time of its own.
    return list(node.attempts) if node.attempts else [node]


def _timeline_bar(
    part: "AttemptView | NodeView", started: datetime, now: datetime, span: float
) -> str:
    if part.started_at is None:
        return ""
    phase = node_phase(part) if isinstance(part, NodeView) else part.phase
    left = max(0.0, (part.started_at - started).total_seconds() / span)
    # Some ended nodes have no end time in FlyteAdmin. Such a bar must not grow any more.
    end = part.ended_at or (part.started_at if part.phase in ENDED else now)
    # A bar is at least 0.4 % wide, so that a short attempt can be seen, and never leaves its lane.
    width = max(0.004, (end - part.started_at).total_seconds() / span)
    left = min(left, 0.996)
    return (
        f'<i style="left:{100 * left:.2f}%;width:{100 * min(width, 1 - left):.2f}%;'
        f'background:{color_of(phase)}" title="{style_of(phase).word}"></i>'
    )


def _duration(node: NodeView, now: datetime) -> str:
    if node.started_at is None:
        return "–"
    if node.phase not in ENDED:
        return clock((now - node.started_at).total_seconds())
    return spoken_duration(((node.ended_at or node.started_at) - node.started_at).total_seconds())


def _used(attempt: "AttemptView | None") -> str:
    if attempt is None:
        return "–"
    parts = []
    if attempt.cpu_s is not None:
        parts.append(f"{attempt.cpu_s:.1f} s cpu")
    if attempt.max_rss_bytes is not None:
        parts.append(f"{attempt.max_rss_bytes / 1e6:,.0f} MB")
    return " · ".join(parts) or "–"


def title_of(node: NodeView, titles: Titles) -> str:
    """Return the node's title in the graph; for a node inside another one, its function's name."""
    # Ids in the template are unique in one workflow only: a sub-workflow has an `n0` of its own.
    known = "" if node.parent_id else titles.get(node.spec_node_id, "")
    return known or node.name.rpartition(".")[2] or node.node_id


def _more(view: ExecutionView) -> str:
    left = len(view.nodes) - _MAX_ROWS
    return f'<div class="fnb-pad fnb-soft">and {left} more</div>' if left > 0 else ""
