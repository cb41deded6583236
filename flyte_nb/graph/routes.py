"""Draw the lines of arrows: level inside columns, an S-shaped curve in the gaps between them."""

from typing import NamedTuple

from flyte_nb.graph.elements import GraphEdge
from flyte_nb.graph.metrics import fit
from flyte_nb.graph.places import LABEL_SIZE, MAX_LABEL, Route


class Grid(NamedTuple):
    """The columns from left to right, in px."""

    left: "list[float]"
    width: "list[float]"
    tail: "list[float]"
    """The straight part at the end of the gap in front of each column, which leaves room for labels."""
    fill: "list[float]"
    """The width of the nodes in each column, which may also contain a wider frame."""


def route(edge: GraphEdge, heights: "list[float]", first: int, begin: float, grid: Grid) -> Route:
    """Return a smooth line through the heights, one for each column from `first` on.

    Inside a column the line is level, so it never touches a node. In the gaps it is an S of the
    same shape for all arrows, so two of them cross at most once.

    Args:
        edge: the edge that is drawn.
        heights: of the source, of one dummy in each column between, and of the target.
        first: the source's column.
        begin: the right edge of the source.
        grid: the columns.
    """
    left, width, tail, _ = grid
    x, y = begin, heights[0]
    # The path is built from three commands: `H` runs level to the end of a column, `C` is the S
    # through a gap, and nothing is added for a gap that the line crosses at one height.
    parts = [f"M{x:g} {y:g}"]
    last = len(heights) - 1
    for step in range(1, last + 1):
        column = first + step
        height = heights[step]
        end = left[column]
        if height != y:
            # The curve ends before the label. At the target the line is straight for 5 px, under
            # the arrowhead.
            bend = end - tail[column] - (5 if step == last else 0)
            start = left[column - 1] + width[column - 1]
            # Level through the column itself, up to its right edge.
            if start != x:
                parts.append(f"H{start:g}")
            # Both control points are in the middle of the gap, at the heights of the ends: an S
            # that leaves and arrives level.
            middle = (start + bend) / 2
            parts.append(f"C{middle:g} {y:g} {middle:g} {height:g} {bend:g} {height:g}")
            x, y = bend, height
    end = left[first + last]
    if x != end:
        parts.append(f"H{end:g}")
    label, label_at = "", None
    if edge.label:
        label = fit(edge.label, LABEL_SIZE, MAX_LABEL)
        label_at = (end - 10, y - 5)
    return Route(edge, "".join(parts), (end, y, 1.0, 0.0), label, label_at)


def turned(edge: GraphEdge, heights: "list[float]", first: int, begin: float, grid: Grid) -> Route:
    """Return the line of an arrow that closes a cycle, drawn from right to left; arguments as for `route`."""
    left, width, _, _ = grid
    parts: list[str] = []
    for step in range(len(heights) - 1, 0, -1):
        column = first + step
        start, end = left[column], left[column - 1] + width[column - 1]
        middle = (start + end) / 2
        y, height = heights[step], heights[step - 1]
        parts.append(f"{'L' if parts else 'M'}{start:g} {y:g}")
        parts.append(f"C{middle:g} {y:g} {middle:g} {height:g} {end:g} {height:g}")
    # The arrow ends at the node's own edge, and not at that of the wider column.
    if begin != left[first] + width[first]:
        parts.append(f"H{begin:g}")
    return Route(edge, "".join(parts), (begin, heights[0], -1.0, 0.0))


def loop(edge: GraphEdge, x: float, y: float) -> Route:
    """Return an arrow from a node to itself: a curve over its upper right corner, which is at `x`, `y`."""
    # It leaves and returns at the top edge, where no other arrow does.
    path = f"M{x - 34:g} {y:g}C{x - 34:g} {y - 26:g} {x - 10:g} {y - 26:g} {x - 10:g} {y:g}"
    return Route(edge, path, (x - 10, y, 0.0, 1.0))
