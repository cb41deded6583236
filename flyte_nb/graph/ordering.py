"""In which order the nodes of a column stand, so that few arrows cross.

Second step of the layered layout. An arrow over several columns runs through one dummy in each column
between; where many leave one source (or reach one target) they share their dummies and are drawn as one
line that forks. Then, to and fro: columns are sorted by the mean position of their neighbours
(barycentre), and neighbours in a column change places while that takes crossings away. The best order
seen is kept. Everything is counted, nothing is random: the same graph gives the same order.
"""

from bisect import bisect_right
from collections import deque
from itertools import pairwise
from typing import NamedTuple

_SMALL = 120  # vertices
_DENSE = 2  # vertices a node, from which a graph is dense: most of its arrows are long
_DENSE_NODES = 250
_PATIENCE = 6  # rounds that may bring nothing
_MAX_WEIGHT = 4
_PASSES = 4  # of swapping neighbours, in each round
_LARGE = 1500  # vertices from which a round, and a pass at the end, cost more than they bring
_BUNDLE = 8  # long arrows of one node from which they share a line


class Columns(NamedTuple):
    """Vertices are numbered: the nodes first, then the dummies."""

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
    """How many arrows run between two neighbours, where they are several."""


def with_dummies(edges: "list[tuple[int, int]]", rank: "list[int]") -> Columns:
    """The graph with arrows that go from one column to the next only, columns not yet in order."""
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
    shared: dict[tuple[bool, int | tuple[int, int], int], int] = {}
    linked: dict[tuple[int, int], int] = {}
    chains: dict[tuple[int, int], list[int]] = {}
    for source, target in edges:
        if rank[target] - rank[source] == 1:
            successors[source].append(target)
            predecessors[target].append(source)
            continue
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
        path = [source, *chain, target]
        for link in pairwise(path):
            arrows = linked[link] = linked.get(link, 0) + 1
            if arrows == 1:
                successors[link[0]].append(link[1])
                predecessors[link[1]].append(link[0])
    heavy = {link: arrows for link, arrows in linked.items() if arrows > 1}
    return Columns(columns, successors, predecessors, chains, count, heavy)


def ordered(graph: Columns) -> "tuple[list[list[int]], int]":
    """(the columns in a good order, the number of crossings)."""
    graph = _weighted(graph)
    effort = _effort(graph)
    position = [0.0] * len(graph.successors)
    best, fewest = _search(_breadth_first(graph), graph, position, effort.rounds)
    if fewest and effort.twice:
        backwards = Columns(
            graph.columns[::-1], graph.predecessors, graph.successors, {}, graph.nodes, {}
        )
        other, crossings = _search(_breadth_first(backwards)[::-1], graph, position, effort.rounds)
        if crossings < fewest:
            best, fewest = other, crossings
    if not fewest:
        return best, 0
    for column in best:
        _number(column, position)
    _swap(best, graph, position, passes=effort.last, ties=False)
    return best, _crossings(best, graph, position)


def _search(
    columns: "list[list[int]]", graph: Columns, position: "list[float]", rounds: int
) -> "tuple[list[list[int]], int]":
    """The best order that is found from this first one, and its crossings."""
    for column in columns:
        _number(column, position)
    best, fewest = [list(column) for column in columns], _crossings(columns, graph, position)
    patience = _PATIENCE
    for number in range(rounds):
        if not fewest or not patience:
            break
        # Equal ones change places in two rounds of four: that gets the search out of ties.
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
    """Passes of swapping neighbours in the end."""
    twice: bool = False
    """Whether to look from a second first order as well."""


def _weighted(graph: Columns) -> Columns:
    """The graph with a line that is several arrows as several neighbours: crossing it costs more."""
    if not graph.heavy:
        return graph
    successors = [list(near) for near in graph.successors]
    predecessors = [list(near) for near in graph.predecessors]
    for (source, target), arrows in graph.heavy.items():
        again = min(arrows, _MAX_WEIGHT) - 1
        successors[source] += [target] * again
        predecessors[target] += [source] * again
    return graph._replace(successors=successors, predecessors=predecessors)


def _effort(graph: Columns) -> _Effort:
    """What is worth its time: much for small graphs, most for those that are dense too."""
    vertices = len(graph.successors)
    if graph.nodes <= _DENSE_NODES and vertices > _DENSE * graph.nodes:
        return _Effort(rounds=20, last=8, twice=True)
    if vertices <= _SMALL:
        return _Effort(rounds=6, last=8)
    return _Effort(rounds=2, last=8) if vertices < _LARGE else _Effort(rounds=1, last=4)


def _breadth_first(graph: Columns) -> "list[list[int]]":
    """A first order: as a breadth-first walk meets the vertices, which keeps together what belongs so."""
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
    for index, vertex in enumerate(column):
        position[vertex] = index


def _sweep(
    columns: "list[list[int]]",
    neighbours: "list[list[int]]",
    position: "list[float]",
    *,
    flip: bool,
) -> None:
    """Sort each column by the mean position of its neighbours in the one before."""
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
        if flip:
            column.reverse()
        column.sort(key=mean.__getitem__)
        for index, vertex in enumerate(column):
            position[vertex] = index


def _crossings(columns: "list[list[int]]", graph: Columns, position: "list[float]") -> int:
    return sum(between(column, graph.successors, position) for column in columns[:-1])


def between(column: "list[int]", successors: "list[list[int]]", position: "list[float]") -> int:
    """Crossings of the arrows that leave one column: inversions among the places they end at."""
    at = position.__getitem__
    ends: list[float] = []
    for vertex in column:
        near = successors[vertex]
        if len(near) == 1:
            ends.append(position[near[0]])
        elif near:
            ends.extend(sorted(map(at, near)))
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
    """Swap neighbours in a column while that takes crossings away.

    After the first pass only columns are looked at again in which, or beside which, something moved.
    """
    due: list[int] = list(range(len(columns)))
    for _ in range(passes):
        moved = [index for index in due if _swap_column(columns[index], graph, position, ties)]
        if not moved:
            return
        near = {other for index in moved for other in (index - 1, index, index + 1)}
        due = sorted(index for index in near if 0 <= index < len(columns))


def _swap_column(column: "list[int]", graph: Columns, position: "list[float]", ties: bool) -> bool:
    # What the neighbours' places are does not change while this column is looked at.
    before = [[position[near] for near in graph.predecessors[vertex]] for vertex in column]
    after = [[position[near] for near in graph.successors[vertex]] for vertex in column]
    gained = False
    upper_before, upper_after = before[0], after[0]
    for index in range(1, len(column)):
        lower_before, lower_after = before[index], after[index]
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
