"""How high each vertex stands in its column: near its neighbours, straight where it can be.

Third step of the layered layout. Columns are walked to and fro; each vertex wants the mean height of
its neighbours, and the column as a whole takes the heights nearest to those wishes (least squares) that
keep the order and the distances: isotonic regression by pooling, which is exact and linear.
"""

from itertools import pairwise

from flyte_nb.graph.ordering import Columns

_STRAIGHT = 12.0  # weight of a dummy: a long arrow should not wave
_LARGE = 1500  # vertices from which three walks are enough; nobody sees more in such a picture
_SNAP = 7.0  # px under which a bend is a blemish rather than information


def heights(
    graph: Columns,
    columns: "list[list[int]]",
    above: "list[float]",
    below: "list[float]",
    *,
    gap: float,
    line_gap: float,
) -> "list[float]":
    """The height at which the arrows of every vertex come and go, in px from the top of the highest.

    Args:
        graph: the vertices and their neighbours.
        columns: their order, from top to bottom.
        above: px that each vertex reaches above its arrows; 0 for a dummy.
        below: the same downwards.
        gap: px between two nodes.
        line_gap: px between an arrow and what is above or below.
    """
    centre = [0.0] * len(above)
    weight = [1.0 if size else _STRAIGHT for size in above]
    offsets = []
    for column in columns:
        steps = [0.0]
        for upper, lower in pairwise(column):
            free = gap if above[upper] and above[lower] else line_gap
            steps.append(steps[-1] + below[upper] + above[lower] + free)
        offsets.append(steps)
        middle = steps[-1] / 2
        for vertex, step in zip(column, steps, strict=True):
            centre[vertex] = step - middle
    forth = list(zip(columns, offsets, strict=True))
    back = forth[::-1]
    both = [
        before + after for before, after in zip(graph.predecessors, graph.successors, strict=True)
    ]
    walks = (
        (graph.predecessors, forth),
        (graph.successors, back),
        (both, forth),
        (graph.successors, back),
        (both, forth),
        (both, back),
    )
    for neighbours, walk in walks if len(above) < _LARGE else walks[:3]:
        for column, steps in walk:
            _place(column, steps, neighbours, centre, weight)
    _straighten(graph, forth, centre, above)
    for column, steps in forth:
        _gather(column, steps, both, centre)
    top = min((middle - size for middle, size in zip(centre, above, strict=True)), default=0.0)
    return [round(value - top, 1) for value in centre]


def _place(
    column: "list[int]",
    steps: "list[float]",
    neighbours: "list[list[int]]",
    centre: "list[float]",
    weight: "list[float]",
) -> None:
    """Move one column to the heights nearest to its wishes that keep order and distance."""
    at = centre.__getitem__
    # Pools of vertices that touch: (weighted sum of wishes, weight, number of vertices).
    sums: list[float] = []
    weights: list[float] = []
    sizes: list[int] = []
    for vertex, step in zip(column, steps, strict=True):
        near = neighbours[vertex]
        if len(near) == 1:
            wish = centre[near[0]]
        elif near:
            wish = sum(map(at, near)) / len(near)
        else:
            wish = centre[vertex]
        own = weight[vertex]
        total, size = (wish - step) * own, 1
        while sums and sums[-1] * own >= total * weights[-1]:
            total += sums.pop()
            own += weights.pop()
            size += sizes.pop()
        sums.append(total)
        weights.append(own)
        sizes.append(size)
    index = 0
    for total, own, size in zip(sums, weights, sizes, strict=True):
        base = total / own
        for _ in range(size):
            centre[column[index]] = base + steps[index]
            index += 1


def _straighten(
    graph: Columns,
    forth: "list[tuple[list[int], list[float]]]",
    centre: "list[float]",
    size: "list[float]",
) -> None:
    """Take out bends of a few px, and line up single chains, where there is room."""
    for column, steps in forth[1:]:
        last = len(column) - 1
        for index, vertex in enumerate(column):
            near = graph.predecessors[vertex]
            if len(near) != 1:
                continue
            wish = centre[near[0]]
            single = len(graph.successors[near[0]]) == 1 or not size[vertex]
            if wish == centre[vertex] or (abs(wish - centre[vertex]) > _SNAP and not single):
                continue
            above = below = None
            if index:
                above = centre[column[index - 1]] + steps[index] - steps[index - 1]
            if index < last:
                below = centre[column[index + 1]] - steps[index + 1] + steps[index]
            if (above is None or wish >= above) and (below is None or wish <= below):
                centre[vertex] = wish


def _gather(
    column: "list[int]",
    steps: "list[float]",
    neighbours: "list[list[int]]",
    centre: "list[float]",
) -> None:
    """Vertices that nothing pulls anywhere stand close to the others of their column."""
    bound = [index for index, vertex in enumerate(column) if neighbours[vertex]]
    if not bound:
        return
    for index in range(bound[0] - 1, -1, -1):
        below = index + 1
        centre[column[index]] = centre[column[below]] - steps[below] + steps[index]
    for index in range(bound[0] + 1, len(column)):
        if not neighbours[column[index]]:
            above = index - 1
            nearest = centre[column[above]] + steps[index] - steps[above]
            if index > bound[-1] or nearest > centre[column[index]]:
                centre[column[index]] = nearest
