"""The lines of arrows: level inside of columns, an S in the gaps between them."""

from typing import NamedTuple

from flyte_nb.graph.elements import GraphEdge
from flyte_nb.graph.metrics import fit
from flyte_nb.graph.places import LABEL_SIZE, MAX_LABEL, Route


class Grid(NamedTuple):
    """The columns from left to right, in px."""

    left: "list[float]"
    width: "list[float]"
    tail: "list[float]"
    """Of the gap in front of each column: how much of its end is straight, for labels."""
    fill: "list[float]"
    """The width of the column's nodes; it may hold a wider frame."""


def route(edge: GraphEdge, heights: "list[float]", first: int, begin: float, grid: Grid) -> Route:
    """A smooth line through the heights, one a column from column `first` on.

    Inside a column it is level, so that it never touches a node; in the gaps it is an S whose shape
    is the same for all arrows of the gap, so that two of them meet at most once.

    Args:
        edge: what is drawn.
        heights: of the source, of one dummy in each column between, of the target.
        first: the source's column.
        begin: the right edge of the source.
        grid: the columns.
    """
    left, width, tail, _ = grid
    x, y = begin, heights[0]
    parts = [f"M{x:g} {y:g}"]
    last = len(heights) - 1
    for step in range(1, last + 1):
        column = first + step
        height = heights[step]
        end = left[column]
        if height != y:
            bend = end - tail[column] - (5 if step == last else 0)
            start = left[column - 1] + width[column - 1]
            if start != x:
                parts.append(f"H{start:g}")
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
    """An arrow against the order (part of a cycle): the same line, drawn from right to left."""
    left, width, _, _ = grid
    parts: list[str] = []
    for step in range(len(heights) - 1, 0, -1):
        column = first + step
        start, end = left[column], left[column - 1] + width[column - 1]
        middle = (start + end) / 2
        y, height = heights[step], heights[step - 1]
        parts.append(f"{'L' if parts else 'M'}{start:g} {y:g}")
        parts.append(f"C{middle:g} {y:g} {middle:g} {height:g} {end:g} {height:g}")
    if begin != left[first] + width[first]:
        parts.append(f"H{begin:g}")
    return Route(edge, "".join(parts), (begin, heights[0], -1.0, 0.0))


def loop(edge: GraphEdge, x: float, y: float) -> Route:
    """An arrow from a node to itself: a bow over its right upper corner, which is at `x`, `y`."""
    path = f"M{x - 34:g} {y:g}C{x - 34:g} {y - 26:g} {x - 10:g} {y - 26:g} {x - 10:g} {y:g}"
    return Route(edge, path, (x - 10, y, 0.0, 1.0))
