"""Write the graph as static HTML that survives an untrusted notebook, an export and a reload.

JupyterLab removes inline `<svg>`, `<style>` and `<script>` from notebooks it does not trust, and
keeps `<img>` with a data URI, inline styles and `<details>`. So the picture is an image with a
description, and a table with the same facts follows for readers who cannot see it.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from flyte_nb.api.problems import Problem
from flyte_nb.graph.collapse import collapsed
from flyte_nb.graph.elements import CASE, INPUTS, OUTPUTS, REMOVED, Graph, GraphNode
from flyte_nb.graph.layout import Layout, layered
from flyte_nb.graph.levels import levels_of
from flyte_nb.graph.palette import CHANGE_STYLES, PHASE_STYLES, display_phase
from flyte_nb.graph.pins import pinned
from flyte_nb.graph.svg import svg

_MAX_ALT = 400  # characters; longer descriptions are cut, the table has everything
_MAX_ROWS = 300
_SMALLEST = (
    0.62  # share of its natural width below which it scrolls, so that 12 px text stays readable
)
_TALLEST = 900  # px of height above which it scrolls, so that the next cell is not far away

_CELL = "padding:3px 14px 3px 0;text-align:left;vertical-align:top;border:none"


def figure(
    graph: "Graph | Layout",
    *,
    phases: "Mapping[str, str] | None" = None,
    problems: "Sequence[Problem]" = (),
    subtitles: "Mapping[str, str] | None" = None,
    theme: str = "auto",
    details: bool = True,
) -> str:
    """Return the graph as HTML.

    Args:
        graph: what to draw. A `Layout` is drawn as it is; a large `Graph` with nothing open is
            collapsed
            first.
        phases: as `svg` takes them.
        problems: as `svg` takes them.
        subtitles: as `svg` takes them.
        theme: as `svg` takes it.
        details: whether the table follows.
    """
    if isinstance(graph, Layout):
        layout = graph
    else:
        # What is open was collapsed level by level already.
        small = graph if graph.frames else collapsed(graph)
        layout = layered(small, subtitles=subtitles)
    picture = svg(layout, phases=phases, problems=problems, subtitles=subtitles, theme=theme)
    data = b64encode(picture.encode("utf-8")).decode("ascii")
    whole = graph.graph if isinstance(graph, Layout) else graph
    # A wide picture shrinks with the cell down to this width, and then scrolls.
    smallest = min(layout.width, max(280.0, layout.width * _SMALLEST))
    image = (
        f'<img alt="{escape(describe(whole, phases, problems), quote=True)}"'
        f' src="data:image/svg+xml;base64,{data}" width="{layout.width:.0f}"'
        f' style="max-width:100%;min-width:{smallest:.0f}px;height:auto;margin:0"/>'
    )
    table = _table(whole, phases or {}, subtitles or {}) if details and whole.nodes else ""
    room = (
        f"overflow:auto;max-height:{_TALLEST}px" if layout.height > _TALLEST else "overflow-x:auto"
    )
    return f'<div style="{room}">{image}</div>{table}'


def describe(
    graph: Graph,
    phases: "Mapping[str, str] | None" = None,
    problems: "Sequence[Problem]" = (),
) -> str:
    """Return one sentence that says what the picture shows, for its `alt` text."""
    nodes = [node for node in graph.nodes if node.kind not in (INPUTS, OUTPUTS)]
    count = f"{graph.title}: {len(nodes)} node{'' if len(nodes) == 1 else 's'}"
    if graph.frames:
        count += f", {len(graph.frames)} of its parts open"
    wrong = pinned(graph, problems).numbers
    facts = []
    for node in nodes:
        title = f"{node.title} {CHANGE_STYLES[node.mark].word}" if node.mark else node.title
        if node.id in wrong:
            facts.append(f"{title} has a problem")
        elif phases and node.id in phases:
            facts.append(f"{title} {PHASE_STYLES[display_phase(phases[node.id])].word}")
        else:
            facts.append(title)
    text = f"{count}: {', '.join(facts)}" if facts else count
    return text if len(text) <= _MAX_ALT else text[: _MAX_ALT - 1] + "…"


def _table(graph: Graph, phases: "Mapping[str, str]", subtitles: "Mapping[str, str]") -> str:
    """Return the nodes as a table, folded away in `<details>`."""
    listed = list(_in_order(graph))
    titles = {node.id: node.title for node, _ in listed}
    after: dict[str, list[str]] = {}
    for edge in graph.edges:
        predecessor = titles.get(edge.source, "") + (
            f" if {edge.label}" if edge.kind == CASE else ""
        )
        if edge.source in titles and edge.mark != REMOVED:
            after.setdefault(edge.target, []).append(predecessor)
    rows = []
    for node, depth in listed[:_MAX_ROWS]:
        phase = phases.get(node.id, "")
        style = PHASE_STYLES[display_phase(phase)] if phase else None
        state = f"{style.mark} {style.word}" if style else ""
        note = subtitles.get(node.id) or node.subtitle
        change = ""
        if node.mark:
            change = f"{CHANGE_STYLES[node.mark].mark} {CHANGE_STYLES[node.mark].word}"
            change += f": {node.why}" if node.why else ""
        title = "\u2003" * depth + node.title
        cells = [title, node.name or node.kind.replace("_", " "), state, note, change]
        rows.append([*cells, ", ".join(after.get(node.id, ()))])
    heads = ["node", "runs", "phase", "", "change", "after"]
    # Columns without any content are left out.
    used = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    head = "".join(f'<th style="{_CELL}">{heads[column]}</th>' for column in used)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(row[c])}</td>' for c in used) + "</tr>"
        for row in rows
    )
    more = len(listed) - len(rows)
    rest = f"<div>… and {more:,} more</div>" if more else ""
    return (
        '<details style="margin-top:6px;font-size:12px"><summary style="opacity:0.8">as a table'
        f'</summary><table style="border-collapse:collapse;margin:4px 0 0 0;font-size:12px">'
        f"<tr>{head}</tr>{body}</table>{rest}</details>"
    )


def _in_order(graph: Graph) -> "Iterator[tuple[GraphNode, int]]":
    """Yield every node and every open node with its depth; an open node comes before its contents."""
    levels = levels_of(graph)
    waiting = [(thing, 0) for thing in reversed(levels[""].things)]
    while waiting:
        thing, depth = waiting.pop()
        if not thing.is_port:
            yield thing, depth
        if thing.id in levels and thing.id:
            waiting += [(inner, depth + 1) for inner in reversed(levels[thing.id].things)]
