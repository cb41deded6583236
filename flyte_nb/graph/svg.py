"""The one writer of SVG: a layout, phases and problems in; text out. Same input, same bytes.

Every node is `<g id="node-<id>" data-phase="…">` with its box (`.b`), its mark (`.m`), its title and its
second line (`.s`); a script recolours by setting `data-phase` and the mark's `d` (see
`palette.MARK_PATHS`), and never lays out again. Arrows carry `data-s` and `data-t`.

A frame is written the same way, with the class `f` in place of `n`. The places on its edge where arrows go
on have the class `port` and never a phase. In a live graph what opens has `data-open="0"`, what is open
`data-open="1"`, and both the glyph `.o` to click on.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape

from flyte_nb.api.problems import Problem
from flyte_nb.graph import values
from flyte_nb.graph.metrics import fit, text_width
from flyte_nb.graph.palette import MARK_PATHS, PHASE_STYLES, display_phase
from flyte_nb.graph.places import (
    LABEL_SIZE,
    MARK_ROOM,
    OPENER_ROOM,
    PORT,
    SUBTITLE_SIZE,
    TEXT_LEFT,
    TITLE_SIZE,
    Layout,
    PlacedFrame,
    PlacedNode,
    Route,
)
from flyte_nb.graph.svg_style import ROOT, THEMES, style_sheet

PROBLEM = "PROBLEM"
_EXIT = f"/{values.END}"
_OPEN, _CLOSED = ' data-open="1"', ' data-open="0"'
_PLUS, _MINUS = "M-3.5 0H3.5M0-3.5V3.5", "M-3.5 0H3.5"
_SPECIAL = re.compile("[<>&\"']")
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
) -> str:
    """The graph as an SVG document.

    Args:
        layout: where everything is.
        phases: keys of `PHASE_STYLES` by node id; a node without one is drawn neutrally.
        problems: drawn on their node with their number, counted from 1, and on the arrow of their
            variable.
        subtitles: the second line by node id; default: the phase's word, else what the node is.
        theme: `light`, `dark`, `auto` (follows the system; for an `<img>`) or `page` (follows the
            notebook's theme; only where the SVG stands in the page itself).
        live: whether it will be recoloured: then every node has a mark and a second line, and the
            style sheet knows all phases.

    Raises:
        ValueError: when `theme` is none of the four.
    """
    if theme not in THEMES:
        raise ValueError(f"theme is {theme!r}; it is one of {', '.join(THEMES)}")
    phases, subtitles = phases or {}, subtitles or {}
    numbers: dict[str, list[int]] = {}
    variables: dict[str, list[str]] = {}
    for number, problem in enumerate(problems, start=1):
        numbers.setdefault(problem.node_id, []).append(number)
        variables.setdefault(problem.node_id, []).append(problem.variable)
    shown = _shown(layout, phases, numbers)
    used = None if live else [*shown.values(), *_BAD]
    width, height = f"{layout.width:g}", f"{layout.height:g}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{ROOT}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img"><title>{_text(layout.graph.title)}</title>'
        f"<style>{style_sheet(theme, used, frames=live or bool(layout.frames))}</style>"
    ]
    parts += [
        _frame(placed, shown.get(placed.frame.node.id, ""), subtitles, numbers, live=live)
        for placed in layout.frames
    ]
    parts += [_edge(route, shown, variables, live=live) for route in layout.routes]
    parts += [_label(route, route.label_at) for route in layout.routes if route.label_at]
    for placed in layout.nodes:
        node = placed.node
        if node.is_port:
            parts.append(_port(placed))
            continue
        named = variables.get(node.id, ())
        subtitle = subtitles.get(node.id) or ", ".join(dict.fromkeys(filter(None, named)))
        parts.append(
            _node(placed, shown.get(node.id, ""), subtitle, numbers.get(node.id, ()), live=live)
        )
    parts.append("</svg>")
    return "".join(parts)


def marks() -> "dict[str, tuple[str, str]]":
    """(path of the mark, word) by phase: what a script needs to recolour a live graph."""
    return {phase: (MARK_PATHS[style.shape], style.word) for phase, style in PHASE_STYLES.items()}


def _shown(
    layout: Layout, phases: "Mapping[str, str]", numbers: "Mapping[str, list[int]]"
) -> "dict[str, str]":
    """The phase each node is drawn with."""
    shown = {}
    nodes = [placed.node for placed in layout.nodes]
    for node in (*nodes, *(placed.frame.node for placed in layout.frames)):
        if node.id in numbers or any(member in numbers for member in node.members):
            shown[node.id] = PROBLEM
        elif node.members and phases:
            shown[node.id] = group_phase([phases.get(member, "") for member in node.members])
        elif node.id in phases:
            shown[node.id] = display_phase(phases[node.id])
    return shown


def group_phase(phases: "Sequence[str]") -> str:
    """The phase of a group: what needs attention first, else what all have in common."""
    for phase in ("FAILED", "TIMED_OUT", "FAILING", "ABORTED", "PAUSED", "RUNNING"):
        if phase in phases:
            return phase
    if all(phase in ("SUCCEEDED", "CACHED", "SKIPPED", "RECOVERED") for phase in phases):
        return phases[0] if len(set(phases)) == 1 else "SUCCEEDED"
    return "RUNNING" if any(phase == "SUCCEEDED" for phase in phases) else "QUEUED"


def _text(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        # XML 1.0 cannot carry control characters, not even as references.
        text = "".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in text)
        text = text.encode("utf-8", "replace").decode("utf-8")
    return escape(text, quote=True) if _SPECIAL.search(text) else text


def _edge(
    route: Route,
    shown: "Mapping[str, str]",
    variables: "Mapping[str, list[str]]",
    *,
    live: bool,
) -> str:
    edge = route.edge
    target = shown.get(edge.target, "")
    state = ""
    if edge.source == edge.target or route.tip[2] == -1.0:
        state = " bad"  # it closes a cycle
    elif edge.target in variables:
        wrong = variables[edge.target]
        state = " bad" if any(to in wrong for _, to in edge.variables) else ""
    elif target in _LIVE:
        state = " live"
    kind = f" {edge.kind}" if edge.kind in (values.ORDER, values.FAILURE) else ""
    x, y, dx, dy = route.tip
    # An open head in the line's own stroke; two strokes from the tip, so that dashes begin there.
    if edge.target.endswith(_EXIT):
        head = ""  # it goes on outside of the frame
    elif dx == 1.0:
        head = f"M{x:g} {y:g}l-6-3.6M{x:g} {y:g}l-6 3.6"
    else:
        along, across = (-6 * dx, -6 * dy), (-3.6 * dy, 3.6 * dx)
        head = "".join(
            f"M{x:g} {y:g}l{along[0] + side * across[0]:.4g} {along[1] + side * across[1]:.4g}"
            for side in (1, -1)
        )
    tip = _carries(edge) if live else ""  # an image at rest says nothing when hovered
    end = f">{tip}</path>" if tip else "/>"
    return (
        f'<path class="e{kind}{state}" data-s="{_text(edge.source)}" data-t="{_text(edge.target)}"'
        f' d="{route.path}{head}"{end}'
    )


def _carries(edge: values.GraphEdge) -> str:
    """What hovering over an arrow says: `o0 → rows`, a line a variable."""
    said = "\n".join(f"{var} → {to}" for var, to in edge.variables)
    return f"<title>{_text(said)}</title>" if said else ""


def _label(route: Route, at: "tuple[float, float]") -> str:
    x, y = at
    width = text_width(route.label, LABEL_SIZE) + 10
    return (
        f'<rect class="p" x="{x - width + 4:g}" y="{y - 12:g}" width="{width:g}" height="16" rx="8"/>'
        f'<text class="l" x="{x - 1:g}" y="{y:g}">{_text(route.label)}'
        f"<title>{_text(route.edge.label)}</title></text>"
    )


def _node(
    placed: PlacedNode, phase: str, subtitle: str, numbers: "Sequence[int]", *, live: bool
) -> str:
    node, x, y, width, height = placed
    interface = node.kind in (values.INPUTS, values.OUTPUTS)
    marked = (bool(phase) or live) and not interface
    style = PHASE_STYLES.get(phase) if marked else None
    if not subtitle:
        subtitle = style.word if style and phase != PROBLEM else node.subtitle
    left = TEXT_LEFT + (MARK_ROOM if marked else 0)
    title = fit(node.title, TITLE_SIZE, width - left - TEXT_LEFT + 4)
    opens = live and node.can_open
    second = subtitle or marked
    parts = [
        f'<g id="node-{_text(node.id)}" class="n{" io" if interface else ""}"'
        f' data-phase="{phase}"{_CLOSED if opens else ""} transform="translate({x:g} {y:g})">'
        f"<title>{_text(_tip(node, phase, subtitle))}</title>{_box(node.kind, width, height)}"
    ]
    if marked:
        mark = MARK_PATHS[style.shape] if style else ""
        parts.append(
            f'<path class="m" transform="translate(18 {15 if second else 22})" d="{mark}"/>'
        )
    parts.append(f'<text x="{left}" y="{19 if second else 26}">{_text(title)}</text>')
    if second:
        room = width - 2 * TEXT_LEFT + 6 - (OPENER_ROOM if opens else 0)
        cut = _text(fit(subtitle, SUBTITLE_SIZE, room))
        parts.append(f'<text class="s" x="{TEXT_LEFT}" y="35">{cut}</text>')
    if opens:
        parts.append(_glyph(_PLUS, width - 15, 31))
    if numbers:
        parts.append(_badge(numbers, width))
    parts.append("</g>")
    return "".join(parts)


def _frame(
    placed: PlacedFrame,
    phase: str,
    subtitles: "Mapping[str, str]",
    numbers: "Mapping[str, Sequence[int]]",
    *,
    live: bool,
) -> str:
    """An open node: its title above what is in it."""
    frame, x, y, width, height = placed
    node = frame.node
    marked = bool(phase) or live
    style = PHASE_STYLES.get(phase) if marked else None
    subtitle = subtitles.get(node.id, "")
    if not subtitle:
        subtitle = style.word if style and phase != PROBLEM else node.subtitle
    left = TEXT_LEFT + (MARK_ROOM if marked else 0)
    right = width - TEXT_LEFT - (16 if live else 0)
    said = fit(subtitle, SUBTITLE_SIZE, (right - left) * 0.6)
    title = fit(node.title, TITLE_SIZE, right - left - 10 - text_width(said, SUBTITLE_SIZE))
    parts = [
        f'<g id="node-{_text(node.id)}" class="f" data-phase="{phase}"'
        f'{_OPEN if live else ""} transform="translate({x:g} {y:g})">'
        f"<title>{_text(_tip(node, phase, subtitle))}</title>"
        f'<rect class="b" width="{width:g}" height="{height:g}" rx="10"/>'
    ]
    if marked:
        mark = MARK_PATHS[style.shape] if style else ""
        parts.append(f'<path class="m" transform="translate(18 14)" d="{mark}"/>')
    parts.append(f'<text x="{left}" y="18">{_text(title)}</text>')
    if said or marked:
        parts.append(f'<text class="s end" x="{right:g}" y="18">{_text(said)}</text>')
    if live:
        parts.append(_glyph(_MINUS, width - 14, 14))
    if node.id in numbers:
        parts.append(_badge(numbers[node.id], width))
    parts.append("</g>")
    return "".join(parts)


def _port(placed: PlacedNode) -> str:
    """Where arrows pass through a frame's edge."""
    node, x, y, width, height = placed
    return (
        f'<g id="node-{_text(node.id)}" class="n io port"'
        f' transform="translate({x + width / 2:g} {y + height / 2:g})">'
        f'<title>{_text(f"{node.title}: {node.subtitle}")}</title><circle class="b" r="{PORT}"/></g>'
    )


def _glyph(path: str, x: float, y: float) -> str:
    """What opens and closes, to click on."""
    return (
        f'<g class="o" transform="translate({x:g} {y:g})"><circle r="6.5"/><path d="{path}"/></g>'
    )


def _tip(node: values.GraphNode, phase: str, subtitle: str) -> str:
    """What hovering says: everything that may have been cut."""
    parts = [node.title, PHASE_STYLES[phase].word if phase in PHASE_STYLES else "", subtitle]
    parts.append(node.name if node.name != node.title else "")
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _badge(numbers: "Sequence[int]", width: float) -> str:
    """The numbers of the node's problems, as in the list beside the graph."""
    text = ",".join(map(str, numbers[:3])) + ("…" if len(numbers) > 3 else "")
    room = max(16.0, text_width(text, 9.5) * 1.1 + 8)
    x = width - room + 4
    return (
        f'<rect class="k" x="{x:g}" y="-7" width="{room:g}" height="16" rx="8"/>'
        f'<text class="k" x="{x + room / 2:g}" y="4.5">{text}</text>'
    )


def _box(kind: str, width: float, height: float) -> str:
    """The outline, which tells the node's kind."""
    w, h = f"{width:g}", f"{height:g}"
    box = f'<rect class="b" width="{w}" height="{h}" rx="7"/>'
    if kind == values.WORKFLOW:  # a frame in a frame
        return (
            box
            + f'<rect class="i" x="3" y="3" width="{width - 6:g}" height="{height - 6:g}" rx="5"/>'
        )
    if kind in (values.ARRAY, values.GROUP):  # a pile of cards
        return (
            f'<path class="b" d="M6-4H{width - 3:g}a7 7 0 0 1 7 7V{height - 6:g}"/>'
            f'<path class="i" d="M3-2H{width - 5:g}a7 7 0 0 1 7 7V{height - 3:g}"/>{box}'
        )
    if kind == values.LAUNCH_PLAN:  # pointed to where it leads
        return (
            f'<path class="b" d="M7 0H{width - 12:g}L{w} {height / 2:g}L{width - 12:g} {h}H7'
            f'a7 7 0 0 1-7-7V7a7 7 0 0 1 7-7Z"/>'
        )
    if kind == values.BRANCH:  # pointed at both ends
        return (
            f'<path class="b" d="M10 0H{width - 10:g}L{w} {height / 2:g}L{width - 10:g} {h}H10'
            f'L0 {height / 2:g}Z"/>'
        )
    if kind == values.GATE:  # cut corners
        return (
            f'<path class="b" d="M10 0H{width - 10:g}L{w} 10V{height - 10:g}L{width - 10:g} {h}H10'
            f'L0 {height - 10:g}V10Z"/>'
        )
    if kind in (values.INPUTS, values.OUTPUTS):
        return f'<rect class="b" width="{w}" height="{h}" rx="{height / 2:g}"/>'
    return box
