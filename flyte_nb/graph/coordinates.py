"""Choose the height of each vertex in its column: near its neighbours, and in line with them if possible.

Third step of the layered layout. The order of each column is settled; this step decides how far
apart its vertices are. Columns are walked forward and backward. Each vertex wishes for the mean
height of its neighbours, and the column takes the heights that are nearest to all wishes (least
squares) and still keep the order and the distances. That is isotonic regression, which pooling
adjacent violators solves exactly and in linear time (Ayer et al. 1955).

Subtracting from each height the smallest sum of sizes and gaps above it (`steps`) turns "keep the
distances" into "do not decrease": so the regression needs to know nothing of sizes.
"""

from itertools import pairwise

from flyte_nb.graph.ordering import Columns

_STRAIGHT = 12.0  # the weight of a dummy beside a node's 1.0, which keeps long arrows straight
_LARGE = (
    1500  # vertices from which three walks must do: more walks change nothing that is visible there
)
_SNAP = 7.0  # px under which a bend looks like a mistake


def heights(
    graph: Columns,
    columns: "list[list[int]]",
    above: "list[float]",
    below: "list[float]",
    *,
    gap: float,
    line_gap: float,
) -> "list[float]":
    """Return the height of every vertex's arrows, in px from the top of the highest vertex.

    Args:
        graph: the vertices and their neighbours.
        columns: the vertices of each column, from top to bottom.
        above: px that each vertex reaches above its arrows; 0 for a dummy.
        below: px that each vertex reaches below its arrows; 0 for a dummy.
        gap: px between two nodes.
        line_gap: px between an arrow and what is above or below it.
    """
    centre = [0.0] * len(above)
    weight = [1.0 if size else _STRAIGHT for size in above]
    offsets = []
    for column in columns:
        steps = [0.0]
        for upper, lower in pairwise(column):
            # At first every column is packed tightly around height 0. `steps` has the distance of
            # each vertex from the first one of its column in that packing.
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
    # First by the neighbours behind, then by those ahead, then by both. The last walks settle what
    # the others left apart.
    for neighbours, walk in walks if len(above) < _LARGE else walks[:3]:
        for column, steps in walk:
            _place(column, steps, neighbours, centre, weight)
    _straighten(graph, forth, centre, above)
    for column, steps in forth:
        _gather(column, steps, both, centre)
    # The picture begins at the highest edge of any vertex.
    top = min((middle - size for middle, size in zip(centre, above, strict=True)), default=0.0)
    return [round(value - top, 1) for value in centre]


def _place(
    column: "list[int]",
    steps: "list[float]",
    neighbours: "list[list[int]]",
    centre: "list[float]",
    weight: "list[float]",
) -> None:
    """Move the vertices of one column to the heights nearest to their wishes.

    Args:
        column: the vertices from top to bottom.
        steps: the least distance of each vertex from the first one.
        neighbours: the vertices whose mean height each vertex wishes for.
        centre: the height of each vertex; changed in place.
        weight: how much each vertex's wish counts.
    """
    at = centre.__getitem__
    # Pooling adjacent violators. A pool is a run of vertices that touch each other and move as one; it
    # stands at the weighted mean of its members' wishes. Three lists instead of objects, for speed.
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
        # The pool above wants to be lower than this one: they would collide, so they move as one
        # from now on. The comparison of the two means is multiplied out, to avoid dividing.
        while sums and sums[-1] * own >= total * weights[-1]:
            total += sums.pop()
            own += weights.pop()
            size += sizes.pop()
        sums.append(total)
        weights.append(own)
        sizes.append(size)
    index = 0
    for total, own, size in zip(sums, weights, sizes, strict=True):
        # The mean wish of the pool, plus the packed distance of each member.
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
    """Remove bends of a few px, and put single chains in line, where there is room."""
    for column, steps in forth[1:]:
        last = len(column) - 1
        for index, vertex in enumerate(column):
            near = graph.predecessors[vertex]
            if len(near) != 1:
                continue
            wish = centre[near[0]]
            # A larger bend is only removed from a chain, or from a long arrow's dummy, which
            # nothing else refers to.
            single = len(graph.successors[near[0]]) == 1 or not size[vertex]
            if wish == centre[vertex] or (abs(wish - centre[vertex]) > _SNAP and not single):
                continue
            above = below = None
            if index:
                above = centre[column[index - 1]] + steps[index] - steps[index - 1]
            if index < last:
                below = centre[column[index + 1]] - steps[index + 1] + steps[index]
            # Only if the vertex keeps its distance to both neighbours in the column.
            if (above is None or wish >= above) and (below is None or wish <= below):
                centre[vertex] = wish


def _gather(
    column: "list[int]",
    steps: "list[float]",
    neighbours: "list[list[int]]",
    centre: "list[float]",
) -> None:
    """Move vertices without neighbours close to the others of their column."""
    # Nothing pulls these vertices, so `_place` left them wherever the first packing put them.
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
