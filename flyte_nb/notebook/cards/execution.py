"""Show one execution: what ran, how it ended, what it took, and what came out."""

from collections.abc import Callable, Mapping
from datetime import datetime

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.phases import (
    ABORTED,
    ABORTING,
    DYNAMIC_RUNNING,
    FAILED,
    FAILING,
    RECOVERED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    SUCCEEDING,
    TIMED_OUT,
)
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.graph.elements import Graph
from flyte_nb.graph.html import figure
from flyte_nb.graph.palette import CACHED, PHASE_STYLES, PhaseStyle, display_phase, style_of
from flyte_nb.graph.text import tree
from flyte_nb.notebook.cards import error_panel, pieces, timeline, units
from flyte_nb.notebook.cards.nodes import drawn_nodes, nodes_table, status_line, title_of
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element

# What ended well is on the left of the bar.
_BAR_ORDER = (SUCCEEDED, CACHED, RECOVERED, SKIPPED, FAILED, TIMED_OUT, ABORTED)
_MAX_LOG = 20_000  # characters of the logs, the last ones, that are saved in the notebook
_MAX_ERRORS = 5  # panels; the table of nodes has every failure


def card(
    view: ExecutionView,
    graph: "Graph | None" = None,
    *,
    inputs: "Mapping[str, Safe] | None" = None,
    outputs: "Mapping[str, Safe] | None" = None,
    logs: str = "",
    now: "datetime | None" = None,
    humanize: "Callable[[str], str]" = str,
) -> Safe:
    """Return the execution as a card.

    Args:
        view: the execution.
        graph: its workflow; without one there is no picture.
        inputs: values by name, as HTML (`value_html.formatted`).
        outputs: the same.
        logs: what was printed; the end of it is kept.
        now: for elapsed times; not needed when the execution has ended.
        humanize: replaces file names of cells.
    """
    titles = {node.id: node.title for node in graph.nodes} if graph is not None else {}
    nodes = pieces.section(
        "Nodes", nodes_table(view, titles, now), note=str(len(view.nodes)) if view.nodes else ""
    )
    return pieces.card(
        _head(view, graph, now),
        pieces.bar(_shares(view, graph)),
        _errors(view, titles, humanize),
        _picture(view, graph, now),
        _values("Outputs", outputs, is_open=True),
        _values("Inputs", inputs, is_open=not outputs),
        pieces.section("Timeline", timeline.timeline(view, titles, now), is_open=graph is None)
        if view.nodes
        else None,
        nodes if view.nodes else None,
        _logs(logs),
    )


def text(view: ExecutionView, graph: "Graph | None" = None) -> str:
    """Return the execution as text: a line, the tree of nodes, the errors."""
    style = style_of(view.phase)
    took = units.between(_start(view), view.ended_at)
    duration = f" in {units.duration(took)}" if took is not None else ""
    lines = [f"{style.mark} {view.workflow.name} {view.id.name} {style.word}{duration}"]
    if graph is not None:
        lines.append(tree(graph, phases(view)))
    for node, error in _failed(view):
        subject = f"{node.name}: " if node else ""
        lines.append(f"{subject}{error_panel.error_parts(error.message).message or error.code}")
    if view.abort_cause:
        lines.append(f"terminated: {view.abort_cause}")
    return "\n".join(lines)


def phases(view: ExecutionView) -> "dict[str, str]":
    """Return the display phase of each node that the graph shows, by its id in the template."""
    return {
        node_id: display_phase(node.phase, node.cache_status)
        for node_id, node in drawn_nodes(view).items()
    }


def _start(view: ExecutionView) -> datetime:
    return view.started_at or view.created_at


def _top(view: ExecutionView) -> "list[NodeView]":
    return [node for node in view.nodes if not node.parent_id]


def _total(view: ExecutionView, graph: "Graph | None") -> int:
    """Return how many nodes the workflow itself has, without those inside of its nodes."""
    drawn = units.steps(graph) if graph is not None else 0
    return max(drawn, len(_top(view)))


def _head(view: ExecutionView, graph: "Graph | None", now: "datetime | None") -> Safe:
    took = units.between(_start(view), view.ended_at or (None if view.is_terminal else now))
    done = sum(node.phase in (SUCCEEDED, RECOVERED) for node in _top(view))
    count = f"{done} of {units.plural(_total(view, graph), 'node')}"
    mono = f"{theme.MONO};{theme.SOFT}"
    return pieces.head(
        view.workflow.name,
        f"{view.id.name} · {units.moment(_start(view))}",
        element("span", count, style=theme.SOFT),
        pills=(
            pieces.phase_pill(view.phase),
            element("span", units.duration(took), style=mono) if took is not None else None,
        ),
    )


def _shares(view: ExecutionView, graph: "Graph | None") -> "list[tuple[float, PhaseStyle]]":
    """Return which share of the nodes is in which phase; nodes that never started are the rest."""
    whole = max(1, _total(view, graph))
    counts: dict[str, int] = {}
    for node in _top(view):
        phase = display_phase(node.phase, node.cache_status)
        counts[phase] = counts.get(phase, 0) + 1
    known = [phase for phase in _BAR_ORDER if phase in counts]
    rest = [phase for phase in counts if phase not in _BAR_ORDER and phase in _RUNNING]
    return [(counts[phase] / whole, PHASE_STYLES[phase]) for phase in (*known, *rest)]


_RUNNING = (RUNNING, DYNAMIC_RUNNING, SUCCEEDING, FAILING, ABORTING)


def _failed(view: ExecutionView) -> "list[tuple[NodeView | None, ErrorInfo]]":
    """Return each error once: those of the innermost nodes (outer ones repeat them), else the run's own."""
    found: list[tuple[NodeView | None, ErrorInfo]] = []
    parents = {node.parent_id for node in view.nodes if node.error is not None}
    for node in view.nodes:
        failed = node.phase in (FAILED, TIMED_OUT, FAILING)
        if failed and node.error is not None and node.node_id not in parents:
            found.append((node, node.error))
    if not found and view.error is not None and view.phase != ABORTED:
        found.append((None, view.error))
    return found


def _errors(
    view: ExecutionView, titles: "Mapping[str, str]", humanize: "Callable[[str], str]"
) -> "Safe | None":
    failed = _failed(view)
    shown: list[Child] = [
        error_panel.panel(
            title_of(node, titles) if node else "",
            error,
            advice=error_panel.advice(view, node, error),
            humanize=humanize,
        )
        for node, error in failed[:_MAX_ERRORS]
    ]
    if len(failed) > _MAX_ERRORS:
        shown.append(element("div", f"and {len(failed) - _MAX_ERRORS} more", style=theme.QUIET))
    if view.phase in (ABORTED, ABORTING):
        cause = view.abort_cause or (view.error.message if view.error else "") or "no cause given"
        shown.append(pieces.panel(PHASE_STYLES[ABORTED], element("b", "terminated"), f" · {cause}"))
    if not shown:
        return None
    return element(
        "div",
        *(element("div", one, style="margin:0 0 6px 0") for one in shown),
        style="padding:10px 14px 4px 14px",
    )


def _picture(view: ExecutionView, graph: "Graph | None", now: "datetime | None") -> "Safe | None":
    if graph is None or not graph.nodes:
        return None
    picture = figure(
        graph,
        phases=phases(view),
        subtitles={node_id: status_line(node, now) for node_id, node in drawn_nodes(view).items()},
        details=False,
    )
    return element("div", Safe(picture), style=f"border-top:{theme.LINE};padding:12px 14px")


def _values(title: str, values: "Mapping[str, Safe] | None", *, is_open: bool) -> "Safe | None":
    if not values:
        return None
    rows = [
        element(
            "tr",
            element("td", name, style=f"{theme.CELL};{theme.NAME};width:130px"),
            element("td", value, style=theme.CELL),
            style=theme.ROW,
        )
        for name, value in values.items()
    ]
    table = element("table", element("tbody", *rows), style=theme.TABLE)
    return pieces.section(title, table, is_open=is_open)


def _logs(logs: str) -> "Safe | None":
    if not logs.strip():
        return None
    cut = len(logs) > _MAX_LOG
    shown = logs[-_MAX_LOG:].partition("\n")[2] if cut else logs
    lines = shown.rstrip("\n")
    note = "the end" if cut else units.plural(lines.count("\n") + 1, "line")
    block = element("pre", lines, style=theme.BLOCK)
    return pieces.section(
        "Logs", element("div", block, style="padding:0 14px 12px 14px"), note=note
    )
