"""Write SVG: a layout, phases and problems in, text out. The same input gives the same bytes.

Every node is `<g id="node-<id>" data-phase="…">` with its box (`.b`), its mark (`.m`), its title
and its second line (`.s`). A script recolours a node by setting `data-phase` and the mark's `d`
(see `palette.MARK_PATHS`); that never needs another layout. Arrows carry `data-s` and `data-t`.

A frame is written the same way, with the class `f` in place of `n`. Ports on its edge have the
class `port` and no phase. In a live graph a node that can be opened has `data-open="0"`, an open
one `data-open="1"`, and both have the glyph `.o` to click on.
"""

from collections.abc import Mapping, Sequence

from flyte_nb.api.nodes import END_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.graph import elements
from flyte_nb.graph.metrics import text_width
from flyte_nb.graph.palette import CHANGE_STYLES, MARK_PATHS, PHASE_STYLES, PROBLEM, display_phase
from flyte_nb.graph.pins import pinned
from flyte_nb.graph.places import LABEL_SIZE, Layout, Route
from flyte_nb.graph.shapes import frame_shape, node_shape, port_shape
from flyte_nb.graph.svg_style import ROOT, THEMES, style_sheet
from flyte_nb.graph.xml import text as _text

_EXIT = f"/{END_NODE}"
_LIVE = frozenset({"RUNNING", "DYNAMIC_RUNNING", "SUCCEEDING"})
_BAD = frozenset({"FAILED", "FAILING", "TIMED_OUT", PROBLEM})


def svg(
    layout: Layout,
    *,
    phases: "Mapping[str, str] | None" = None,
    problems: "Sequence[Problem]" = (),
    subtitles: "Mapping[str, str] | None" = None,
    theme: str = "auto",
    live: bool = False,
    opens: bool = False,
) -> str:
    """Return the graph as an SVG document.

    Args:
        layout: where everything is.
        phases: keys of `PHASE_STYLES` by node id; a node without one is drawn in neutral colours.
        problems: drawn with their number, counted from 1, on their node and on the arrow of their
            variable.
        subtitles: the second line by node id; default: the phase's word, else the node's own.
        theme: `light`, `dark`, `auto` (follows the system; for an `<img>`) or `page` (follows the
            notebook's theme; only for an SVG inside the page itself).
        live: whether it will be recoloured. Then every node has a mark and a second line, and the
            style sheet has all phases.
        opens: whether nodes can be opened and closed by a click; always so in a live graph.

    Raises:
        ValueError: when `theme` is none of the four.
    """
    if theme not in THEMES:
        raise ValueError(f"theme={theme!r} is not known: write one of {', '.join(THEMES)}")
    phases, subtitles = phases or {}, subtitles or {}
    numbers, variables = pinned(layout.graph, problems)
    shown = _shown(layout, phases, numbers)
    # Only the phases that occur are in the style sheet, which otherwise would be larger than most
    # graphs. A problem may be drawn without being a phase.
    used = None if live else [*shown.values(), *_BAD]
    opens = opens or live
    frames = opens or bool(layout.frames)
    sheet = style_sheet(theme, used, frames=frames, changes=_changes(layout.graph))
    second_lines = {
        node_id: ", ".join(dict.fromkeys(filter(None, v))) for node_id, v in variables.items()
    }
    second_lines.update({node_id: text for node_id, text in subtitles.items() if text})
    how = {"live": live, "opens": opens}
    # Later parts are drawn over earlier ones: frames, then arrows, then labels, then nodes.
    parts = [_head(layout, sheet)]
    for frame in layout.frames:
        phase = shown.get(frame.frame.node.id, "")
        parts.append(frame_shape(frame, phase, subtitles, numbers, **how))
    parts += [_edge(route, shown, variables, live=opens) for route in layout.routes]
    parts += [_label(route, route.label_at) for route in layout.routes if route.label_at]
    for placed in layout.nodes:
        id = placed.node.id
        if placed.node.is_port:
            parts.append(port_shape(placed))
            continue
        pins = numbers.get(id, ())
        parts.append(node_shape(placed, shown.get(id, ""), second_lines.get(id, ""), pins, **how))
    parts.append("</svg>")
    return "".join(parts)


def _head(layout: Layout, sheet: str) -> str:
    """Return the beginning of the document."""
    width, height = f"{layout.width:g}", f"{layout.height:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{ROOT}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img"><title>{_text(layout.graph.title)}</title>'
        f"<style>{sheet}</style>"
    )


def _changes(graph: elements.Graph) -> bool:
    """Return whether the graph is marked with its differences from another one."""
    return any(node.mark for node in graph.nodes) or any(edge.mark for edge in graph.edges)


def marks() -> "dict[str, tuple[str, str]]":
    """Return the path of the mark and the word of each phase, which a script needs for recolouring."""
    return {phase: (MARK_PATHS[style.shape], style.word) for phase, style in PHASE_STYLES.items()}


def _shown(
    layout: Layout, phases: "Mapping[str, str]", numbers: "Mapping[str, list[int]]"
) -> "dict[str, str]":
    """Return the phase with which each node is drawn."""
    shown = {}
    nodes = [placed.node for placed in layout.nodes]
    for node in (*nodes, *(placed.frame.node for placed in layout.frames)):
        if node.id in numbers:
            shown[node.id] = PROBLEM
        elif node.members and phases:
            shown[node.id] = group_phase([phases.get(member, "") for member in node.members])
        elif node.id in phases:
            shown[node.id] = display_phase(phases[node.id])
    return shown


def group_phase(phases: "Sequence[str]") -> str:
    """Return the phase of a group: what needs attention first, else what all members share."""
    # In the order of urgency; a single failure among thousands of elements must be visible.
    for phase in ("FAILED", "TIMED_OUT", "FAILING", "ABORTED", "PAUSED", "RUNNING"):
        if phase in phases:
            return phase
    if all(phase in ("SUCCEEDED", "CACHED", "SKIPPED", "RECOVERED") for phase in phases):
        return phases[0] if len(set(phases)) == 1 else "SUCCEEDED"
    return "RUNNING" if any(phase == "SUCCEEDED" for phase in phases) else "QUEUED"


def _edge(
    route: Route,
    shown: "Mapping[str, str]",
    variables: "Mapping[str, list[str]]",
    *,
    live: bool,
) -> str:
    """Return an arrow with its head, its state and its mark."""
    edge = route.edge
    target = shown.get(edge.target, "")
    state = ""
    if edge.source == edge.target or route.tip[2] == -1.0:
        state = " bad"  # it closes a cycle
    # An arrow is marked when it carries a variable that has a problem at its target.
    elif edge.target in variables:
        wrong = variables[edge.target]
        state = " bad" if any(to in wrong for _, to in edge.variables) else ""
    elif target in _LIVE:
        state = " live"
    if edge.mark:
        state += f" c-{edge.mark}"
    kind = f" {edge.kind}" if edge.kind in (elements.ORDER, elements.FAILURE) else ""
    x, y, dx, dy = route.tip
    # The head is open and part of the line's own path. It is two strokes from the tip, so that the
    # dashes of both begin there.
    if edge.target.endswith(_EXIT):
        head = ""  # the arrow continues outside of the frame
    elif dx == 1.0:
        head = f"M{x:g} {y:g}l-6-3.6M{x:g} {y:g}l-6 3.6"
    else:
        # Not horizontal: the head is turned into the direction of the line.
        along, across = (-6 * dx, -6 * dy), (-3.6 * dy, 3.6 * dx)
        head = "".join(
            f"M{x:g} {y:g}l{along[0] + side * across[0]:.4g} {along[1] + side * across[1]:.4g}"
            for side in (1, -1)
        )
    # Browsers show no titles inside an `<img>`, so a static picture does not get them.
    tip = _carries(edge) if live else ""
    end = f">{tip}</path>" if tip else "/>"
    if edge.mark and dx == 1.0:
        sign = CHANGE_STYLES[edge.mark].path
        end += f'<path class="g c-{edge.mark}" transform="translate({x - 14:g} {y:g})" d="{sign}"/>'
    return (
        f'<path class="e{kind}{state}" data-s="{_text(edge.source)}" data-t="{_text(edge.target)}"'
        f' d="{route.path}{head}"{end}'
    )


def _carries(edge: elements.GraphEdge) -> str:
    """Return the text shown on hovering over an arrow: `o0 → rows`, one line for each variable."""
    lines = "\n".join(f"{var} → {to}" for var, to in edge.variables)
    return f"<title>{_text(lines)}</title>" if lines else ""


def _label(route: Route, at: "tuple[float, float]") -> str:
    """Return an arrow's label on a small background."""
    x, y = at
    width = text_width(route.label, LABEL_SIZE) + 10
    return (
        f'<rect class="p" x="{x - width + 4:g}" y="{y - 12:g}" width="{width:g}" height="16" rx="8"/>'
        f'<text class="l" x="{x - 1:g}" y="{y:g}">{_text(route.label)}'
        f"<title>{_text(route.edge.label)}</title></text>"
    )
