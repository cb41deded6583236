"""Choose the order of the nodes in each column, so that few arrows cross.

Second step of the layered layout. An arrow over several columns runs through one dummy in each
column between them, so that all arrows of the result lead from one column to the next. Where many
long arrows leave one source, or reach one target, they share their dummies and are drawn as one
line that forks.

Then the columns are walked forward and backward. A column is sorted by the mean position of its
neighbours in the column before (barycentre), and neighbours within a column change places while
that removes crossings. The best order that was seen is kept. Nothing is random: the same graph
always gets the same order.
"""

from bisect import bisect_right
from collections import deque
from itertools import pairwise
from typing import NamedTuple

# How much work an order is worth. The numbers were chosen so that the crossings stay within a quarter of
# dot's (`tests/graph/test_graph_layout.py`) and the time within its bar (`tests/benchmarks/test_graph.py`).
_SMALL = 120  # vertices
_DENSE = 2  # vertices for each node, above which a graph is dense: most of its arrows are long
_DENSE_NODES = 250
_PATIENCE = 6  # rounds without improvement after which the search ends
_MAX_WEIGHT = 4
_PASSES = 4  # passes of swapping neighbours, in each round
_LARGE = 1500  # vertices above which a second round and more passes cost more than they improve
_BUNDLE = 8  # long arrows of one node from which on they share a line


class Columns(NamedTuple):
    """A graph in columns, whose edges all lead to the next column. Nodes are numbered first, then dummies."""

    columns: "list[list[int]]"
    """Vertices of each column, from top to bottom."""
    successors: "list[list[int]]"
    """Neighbours in the next column."""
    predecessors: "list[list[int]]"
    """Neighbours in the column before."""
    chains: "dict[tuple[int, int], list[int]]"
    """The dummies of each long arrow, from left to right."""
    nodes: int
    """How many of the vertices are nodes."""
    heavy: "dict[tuple[int, int], int]"
    """How many arrows share the line between two neighbours, where there are several."""


def with_dummies(edges: "list[tuple[int, int]]", rank: "list[int]") -> Columns:
    """Return the graph with a dummy in every column that a long arrow passes; columns are in no order yet.

    Args:
        edges: pairs of nodes; each leads to a later column.
        rank: the column of each node.
    """
    count = len(rank)
    columns: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for node, column in enumerate(rank):
        columns[column].append(node)
    successors: list[list[int]] = [[] for _ in range(count)]
    predecessors: list[list[int]] = [[] for _ in range(count)]
    leaving, arriving = [0] * count, [0] * count
    for source, target in edges:
        if rank[target] - rank[source] > 1:
            leaving[source] += 1
            arriving[target] += 1
    # Dummies by (shared at the source or at the target, the node or the arrow itself, column).
    shared: dict[tuple[bool, int | tuple[int, int], int], int] = {}
    linked: dict[tuple[int, int], int] = {}
    chains: dict[tuple[int, int], list[int]] = {}
    for source, target in edges:
        if rank[target] - rank[source] == 1:
            successors[source].append(target)
            predecessors[target].append(source)
            continue
        # Long arrows share dummies at that end where more of them meet.
        by_source = leaving[source] >= arriving[target]
        end: int | tuple[int, int] = source if by_source else target
        if max(leaving[source], arriving[target]) < _BUNDLE:
            end = (source, target)
        chain = chains[source, target] = []
        for column in range(rank[source] + 1, rank[target]):
            key = (by_source, end, column)
            dummy = shared.get(key)
            if dummy is None:
                dummy = shared[key] = len(successors)
                successors.append([])
                predecessors.append([])
                columns[column].append(dummy)
            chain.append(dummy)
        # Neighbours are linked once, however many arrows share the link; `heavy` remembers their
        # number.
        path = [source, *chain, target]
        for link in pairwise(path):
            arrows = linked[link] = linked.get(link, 0) + 1
            if arrows == 1:
                successors[link[0]].append(link[1])
                predecessors[link[1]].append(link[0])
    heavy = {link: arrows for link, arrows in linked.items() if arrows > 1}
    return Columns(columns, successors, predecessors, chains, count, heavy)


def ordered(graph: Columns) -> "tuple[list[list[int]], int]":
    """Return the columns in a good order, and the number of crossings."""
    graph = _weighted(graph)
    effort = _effort(graph)
    position = [0.0] * len(graph.successors)
    best, fewest = _search(_breadth_first(graph), graph, position, effort.rounds)
    # A second search begins with the order of a walk from the right. In dense graphs it often ends in
    # another, better local optimum.
    if fewest and effort.twice:
        # A walk from the right is the same walk over the mirrored graph.
        backwards = Columns(
            graph.columns[::-1], graph.predecessors, graph.successors, {}, graph.nodes, {}
        )
        other, crossings = _search(_breadth_first(backwards)[::-1], graph, position, effort.rounds)
        if crossings < fewest:
            best, fewest = other, crossings
    if not fewest:
        return best, 0
    # A last swap without ties can only remove crossings.
    for column in best:
        _number(column, position)
    _swap(best, graph, position, passes=effort.last, ties=False)
    return best, _crossings(best, graph, position)


def _search(
    columns: "list[list[int]]", graph: Columns, position: "list[float]", rounds: int
) -> "tuple[list[list[int]], int]":
    """Return the best order found from a first one, and its crossings.

    Args:
        columns: the first order; changed in place.
        graph: the vertices and their neighbours.
        position: the place of each vertex in its column; changed in place.
        rounds: how often to walk over all columns.
    """
    for column in columns:
        _number(column, position)
    best, fewest = [list(column) for column in columns], _crossings(columns, graph, position)
    patience = _PATIENCE
    for number in range(rounds):
        if not fewest or not patience:
            break
        # In two rounds of four, vertices also change places when that neither adds nor removes
        # crossings. Otherwise the search would stop at the first plateau.
        ties = number % 4 < 2
        if number % 2 == 0:
            _sweep(columns, graph.predecessors, position, flip=ties)
        else:
            _sweep(columns[::-1], graph.successors, position, flip=ties)
        _swap(columns, graph, position, passes=_PASSES, ties=ties)
        crossings = _crossings(columns, graph, position)
        patience -= 1
        if crossings < fewest:
            best, fewest, patience = [list(column) for column in columns], crossings, _PATIENCE
    return best, fewest


class _Effort(NamedTuple):
    """How long to look for a good order."""

    rounds: int
    last: int
    """Passes of swapping neighbours at the end."""
    twice: bool = False
    """Whether to search from a second order as well."""


def _weighted(graph: Columns) -> Columns:
    """Return the graph with shared lines as several neighbours, so that crossing one costs more."""
    if not graph.heavy:
        return graph
    successors = [list(near) for near in graph.successors]
    predecessors = [list(near) for near in graph.predecessors]
    # Repeating a neighbour counts its crossings several times. Limited, because counting costs
    # time.
    for (source, target), arrows in graph.heavy.items():
        more = min(arrows, _MAX_WEIGHT) - 1
        successors[source] += [target] * more
        predecessors[target] += [source] * more
    return graph._replace(successors=successors, predecessors=predecessors)


def _effort(graph: Columns) -> _Effort:
    """Return the effort for this graph: much for small graphs, most for small dense ones."""
    vertices = len(graph.successors)
    # More rounds pay where many arrows are long; sparse graphs are nearly untangled by the first
    # order.
    if graph.nodes <= _DENSE_NODES and vertices > _DENSE * graph.nodes:
        return _Effort(rounds=20, last=8, twice=True)
    if vertices <= _SMALL:
        return _Effort(rounds=6, last=8)
    return _Effort(rounds=2, last=8) if vertices < _LARGE else _Effort(rounds=1, last=4)


def _breadth_first(graph: Columns) -> "list[list[int]]":
    """Return a first order: that of a breadth-first walk, which keeps connected vertices close together."""
    column_of = [0] * len(graph.successors)
    for index, column in enumerate(graph.columns):
        for vertex in column:
            column_of[vertex] = index
    seen = bytearray(len(graph.successors))
    columns: list[list[int]] = [[] for _ in graph.columns]
    for column in graph.columns:
        for start in column:
            if seen[start]:
                continue
            seen[start] = 1
            queue = deque([start])
            while queue:
                vertex = queue.popleft()
                columns[column_of[vertex]].append(vertex)
                for near in (*graph.successors[vertex], *graph.predecessors[vertex]):
                    if not seen[near]:
                        seen[near] = 1
                        queue.append(near)
    return columns


def _number(column: "list[int]", position: "list[float]") -> None:
    """Set the position of each vertex of a column to its index."""
    for index, vertex in enumerate(column):
        position[vertex] = index


def _sweep(
    columns: "list[list[int]]",
    neighbours: "list[list[int]]",
    position: "list[float]",
    *,
    flip: bool,
) -> None:
    """Sort each column by the mean position of its neighbours in the column before.

    Args:
        columns: from the one that stays as it is onwards.
        neighbours: the neighbours of each vertex in the column before.
        position: changed in place.
        flip: whether vertices with equal means change places.
    """
    at = position.__getitem__
    for column in columns[1:]:
        mean = {}
        for vertex in column:
            near = neighbours[vertex]
            if not near:
                mean[vertex] = position[vertex]
            elif len(near) == 1:
                mean[vertex] = position[near[0]]
            else:
                mean[vertex] = sum(map(at, near)) / len(near)
        # Sorting is stable, so reversing first reverses the order of equal ones.
        if flip:
            column.reverse()
        column.sort(key=mean.__getitem__)
        for index, vertex in enumerate(column):
            position[vertex] = index


def _crossings(columns: "list[list[int]]", graph: Columns, position: "list[float]") -> int:
    """Return the number of crossings between all columns."""
    return sum(between(column, graph.successors, position) for column in columns[:-1])


def between(column: "list[int]", successors: "list[list[int]]", position: "list[float]") -> int:
    """Return how many arrows that leave one column cross: the inversions among the places they end at."""
    at = position.__getitem__
    ends: list[float] = []
    for vertex in column:
        near = successors[vertex]
        if len(near) == 1:
            ends.append(position[near[0]])
        elif near:
            ends.extend(sorted(map(at, near)))
    # Arrows are taken in the order of their sources. Each crosses the earlier ones that end below it.
    # `passed` is kept sorted, so counting them is a binary search (Barth, Jünger, Mutzel 2002).
    crossings = 0
    passed: list[float] = []
    for end in ends:
        if not passed or end >= passed[-1]:
            passed.append(end)
            continue
        index = bisect_right(passed, end)
        crossings += len(passed) - index
        passed.insert(index, end)
    return crossings


def _swap(
    columns: "list[list[int]]",
    graph: Columns,
    position: "list[float]",
    *,
    passes: int,
    ties: bool,
) -> None:
    """Swap neighbours in a column while that removes crossings.

    After the first pass, only columns in which or beside which something moved are looked at again.

    Args:
        columns: changed in place.
        graph: the vertices and their neighbours.
        position: changed in place.
        passes: how often at most.
        ties: whether to swap also when that neither adds nor removes crossings.
    """
    due: list[int] = list(range(len(columns)))
    for _ in range(passes):
        # Positions only change within a column, so only its neighbours' gains can change.
        moved = [index for index in due if _swap_column(columns[index], graph, position, ties)]
        if not moved:
            return
        near = {other for index in moved for other in (index - 1, index, index + 1)}
        due = sorted(index for index in near if 0 <= index < len(columns))


def _swap_column(column: "list[int]", graph: Columns, position: "list[float]", ties: bool) -> bool:
    """Swap neighbours in one column, and return whether that removed crossings."""
    # Positions in the other columns do not change while this column is sorted, so they are read once.
    before = [[position[near] for near in graph.predecessors[vertex]] for vertex in column]
    after = [[position[near] for near in graph.successors[vertex]] for vertex in column]
    gained = False
    upper_before, upper_after = before[0], after[0]
    for index in range(1, len(column)):
        lower_before, lower_after = before[index], after[index]
        # Crossings of this pair's arrows before a swap, minus those after it. The two loops are the same
        # and written out: this is the innermost loop of the layout.
        gain = 0
        for first in upper_before:
            for second in lower_before:
                if first > second:
                    gain += 1
                elif first < second:
                    gain -= 1
        for first in upper_after:
            for second in lower_after:
                if first > second:
                    gain += 1
                elif first < second:
                    gain -= 1
        if gain > 0 or (ties and not gain):
            column[index - 1], column[index] = column[index], column[index - 1]
            gained = gained or gain > 0
        else:
            upper_before, upper_after = lower_before, lower_after
    for index, vertex in enumerate(column):
        position[vertex] = index
    return gained
