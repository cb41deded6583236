"""Draw a node or a frame: an outline that shows the kind, a mark, a title and a second line."""

from collections.abc import Mapping, Sequence

from flyte_nb.api.nodes import ARRAY_NODE, BRANCH_NODE, GATE_NODE, LAUNCH_PLAN_NODE, WORKFLOW_NODE
from flyte_nb.graph import elements
from flyte_nb.graph.metrics import fit, text_width
from flyte_nb.graph.palette import CHANGE_STYLES, MARK_PATHS, PHASE_STYLES, PROBLEM
from flyte_nb.graph.places import (
    MARK_ROOM,
    OPENER_ROOM,
    PORT,
    SUBTITLE_SIZE,
    TEXT_LEFT,
    TITLE_SIZE,
    PlacedFrame,
    PlacedNode,
)
from flyte_nb.graph.xml import text as _text

_BADGE_SIZE = 9.5
_OPEN, _CLOSED = ' data-open="1"', ' data-open="0"'
_PLUS, _MINUS = "M-3.5 0H3.5M0-3.5V3.5", "M-3.5 0H3.5"


def node_shape(
    placed: PlacedNode,
    phase: str,
    subtitle: str,
    numbers: "Sequence[int]",
    *,
    live: bool,
    opens: bool,
) -> str:
    """Return a node with its texts, as SVG; `svg.py` describes its parts.

    Args:
        placed: the node and its box.
        phase: a key of `PHASE_STYLES`, or empty.
        subtitle: the second line; when empty, the phase's word or the node's own second line.
        numbers: the numbers of its problems.
        live: whether the drawing will be recoloured, so that room for a mark is needed in any case.
        opens: whether the glyph that opens the node is drawn.
    """
    node, x, y, width, height = placed
    interface = node.kind in (elements.INPUTS, elements.OUTPUTS)
    # The interface has no phase. In a live graph every other node may get one, so the mark's place
    # is kept free.
    marked = (bool(phase) or live) and not interface
    style = PHASE_STYLES.get(phase) if marked else None
    if not subtitle:
        subtitle = style.word if style and phase != PROBLEM else node.subtitle
    left = TEXT_LEFT + (MARK_ROOM if marked else 0)
    title = fit(node.title, TITLE_SIZE, width - left - TEXT_LEFT + 4)
    opens = opens and node.can_open
    second = subtitle or marked
    parts = [
        f'<g id="node-{_text(node.id)}" class="n{" io" if interface else ""}{_marked(node)}"'
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
    if numbers or node.mark:
        parts.append(_badges(numbers, node.mark, width))
    parts.append("</g>")
    return "".join(parts)


def frame_shape(
    placed: PlacedFrame,
    phase: str,
    subtitles: "Mapping[str, str]",
    numbers: "Mapping[str, Sequence[int]]",
    *,
    live: bool,
    opens: bool,
) -> str:
    """Return an open node as SVG, with its title above its contents; arguments as for `node_shape`."""
    frame, x, y, width, height = placed
    node = frame.node
    marked = bool(phase) or live
    style = PHASE_STYLES.get(phase) if marked else None
    subtitle = subtitles.get(node.id, "")
    if not subtitle:
        subtitle = style.word if style and phase != PROBLEM else node.subtitle
    left = TEXT_LEFT + (MARK_ROOM if marked else 0)
    right = width - TEXT_LEFT - (16 if opens else 0)
    # Title and second text share one line; the second text gets at most 60 % of it.
    label = fit(subtitle, SUBTITLE_SIZE, (right - left) * 0.6)
    title = fit(node.title, TITLE_SIZE, right - left - 10 - text_width(label, SUBTITLE_SIZE))
    parts = [
        f'<g id="node-{_text(node.id)}" class="f{_marked(node)}" data-phase="{phase}"'
        f'{_OPEN if opens else ""} transform="translate({x:g} {y:g})">'
        f"<title>{_text(_tip(node, phase, subtitle))}</title>"
        f'<rect class="b" width="{width:g}" height="{height:g}" rx="10"/>'
    ]
    if marked:
        mark = MARK_PATHS[style.shape] if style else ""
        parts.append(f'<path class="m" transform="translate(18 14)" d="{mark}"/>')
    parts.append(f'<text x="{left}" y="18">{_text(title)}</text>')
    if label or marked:
        parts.append(f'<text class="s end" x="{right:g}" y="18">{_text(label)}</text>')
    if opens:
        parts.append(_glyph(_MINUS, width - 14, 14))
    if node.id in numbers or node.mark:
        parts.append(_badges(numbers.get(node.id, ()), node.mark, width))
    parts.append("</g>")
    return "".join(parts)


def port_shape(placed: PlacedNode) -> str:
    """Return the dot where arrows pass through a frame's edge, as SVG."""
    node, x, y, width, height = placed
    return (
        f'<g id="node-{_text(node.id)}" class="n io port"'
        f' transform="translate({x + width / 2:g} {y + height / 2:g})">'
        f'<title>{_text(f"{node.title}: {node.subtitle}")}</title><circle class="b" r="{PORT}"/></g>'
    )


def _glyph(path: str, x: float, y: float) -> str:
    """Return the glyph that opens or closes a node when it is clicked."""
    return (
        f'<g class="o" transform="translate({x:g} {y:g})"><circle r="6.5"/><path d="{path}"/></g>'
    )


def _tip(node: elements.GraphNode, phase: str, subtitle: str) -> str:
    """Return the text shown on hovering: everything that may have been cut."""
    parts = [node.title, PHASE_STYLES[phase].word if phase in PHASE_STYLES else "", subtitle]
    parts.append(node.name if node.name != node.title else "")
    if node.mark:
        word = CHANGE_STYLES[node.mark].word
        parts.append(f"{word}: {node.why}" if node.why else word)
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _marked(node: elements.GraphNode) -> str:
    """Return the class for a node's change."""
    return f" c-{node.mark}" if node.mark else ""


def _badges(numbers: "Sequence[int]", mark: str, width: float) -> str:
    """Return the badges on the upper right corner: the numbers of problems, and what has changed."""
    parts, right = "", width + 4
    if numbers:
        label = ",".join(map(str, numbers[:3])) + ("…" if len(numbers) > 3 else "")
        # The change stands to the left of the problem's numbers.
        parts, right = _badge(label, "k", right)
    if mark:
        style = CHANGE_STYLES[mark]
        parts += _badge(f"{style.mark} {style.word}", f"c c-{mark}", right)[0]
    return parts


def _badge(label: str, kind: str, right: float) -> "tuple[str, float]":
    """Return a pill with its right edge at `right`, and its left edge."""
    room = max(16.0, text_width(label, _BADGE_SIZE) * 1.1 + 8)
    x = right - room
    drawn = (
        f'<rect class="{kind}" x="{x:g}" y="-7" width="{room:g}" height="16" rx="8"/>'
        f'<text class="{kind}" x="{x + room / 2:g}" y="4.5">{label}</text>'
    )
    return drawn, x - 3


def _box(kind: str, width: float, height: float) -> str:
    """Return the outline, which shows the node's kind."""
    w, h = f"{width:g}", f"{height:g}"
    box = f'<rect class="b" width="{w}" height="{h}" rx="7"/>'
    if kind == WORKFLOW_NODE:  # a frame in a frame
        return (
            box
            + f'<rect class="i" x="3" y="3" width="{width - 6:g}" height="{height - 6:g}" rx="5"/>'
        )
    if kind in (ARRAY_NODE, elements.GROUP):  # a pile of cards
        return (
            f'<path class="b" d="M6-4H{width - 3:g}a7 7 0 0 1 7 7V{height - 6:g}"/>'
            f'<path class="i" d="M3-2H{width - 5:g}a7 7 0 0 1 7 7V{height - 3:g}"/>{box}'
        )
    if kind == LAUNCH_PLAN_NODE:  # pointed to where it leads
        return (
            f'<path class="b" d="M7 0H{width - 12:g}L{w} {height / 2:g}L{width - 12:g} {h}H7'
            f'a7 7 0 0 1-7-7V7a7 7 0 0 1 7-7Z"/>'
        )
    if kind == BRANCH_NODE:  # pointed at both ends
        return (
            f'<path class="b" d="M10 0H{width - 10:g}L{w} {height / 2:g}L{width - 10:g} {h}H10'
            f'L0 {height / 2:g}Z"/>'
        )
    if kind == GATE_NODE:  # cut corners
        return (
            f'<path class="b" d="M10 0H{width - 10:g}L{w} 10V{height - 10:g}L{width - 10:g} {h}H10'
            f'L0 {height - 10:g}V10Z"/>'
        )
    if kind in (elements.INPUTS, elements.OUTPUTS):
        return f'<rect class="b" width="{w}" height="{h}" rx="{height / 2:g}"/>'
    return box
