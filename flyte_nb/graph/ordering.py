"""In which order the nodes of a column stand, so that few arrows cross.

Second step of the layered layout. An arrow over several columns runs through one dummy in each column
between; arrows of one source (or to one target) share their dummies and are drawn as one line that
forks. Columns are then sorted by the mean position of their neighbours, to and fro (barycentre sweeps),
and the best order seen is kept; small graphs are polished by swapping neighbours.
"""

from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

_SWEEPS = 24
_PATIENCE = 5  # sweeps without a gain after which it ends
_WORK = 90_000  # arrow segments looked at in all; bounds the time for large graphs
_POLISH = 400  # vertices up to which neighbours are swapped


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
    shared: dict[tuple[bool, int, int], int] = {}
    linked: set[tuple[int, int]] = set()
    chains: dict[tuple[int, int], list[int]] = {}
    for source, target in edges:
        if rank[target] - rank[source] == 1:
            successors[source].append(target)
            predecessors[target].append(source)
            continue
        by_source = leaving[source] >= arriving[target]
        chain = chains[source, target] = []
        for column in range(rank[source] + 1, rank[target]):
            key = (by_source, source if by_source else target, column)
            dummy = shared.get(key)
            if dummy is None:
                dummy = shared[key] = len(successors)
                successors.append([])
                predecessors.append([])
                columns[column].append(dummy)
            chain.append(dummy)
        path = [source, *chain, target]
        for link in pairwise(path):
            if link not in linked:
                linked.add(link)
                successors[link[0]].append(link[1])
                predecessors[link[1]].append(link[0])
    return Columns(columns, successors, predecessors, chains)


def ordered(graph: Columns) -> "tuple[list[list[int]], int]":
    """(the columns in a good order, the number of crossings)."""
    columns = _depth_first(graph)
    position = [0.0] * len(graph.successors)
    for column in columns:
        _number(column, position)
    segments = sum(map(len, graph.successors)) + len(position)
    budget = max(4, min(_SWEEPS, _WORK // (segments + 1)))
    best, fewest = [list(column) for column in columns], _crossings(columns, graph, position)
    idle = 0
    for sweep in range(budget):
        if not fewest or idle >= _PATIENCE:
            break
        if sweep % 2 == 0:
            _sweep(columns, graph.predecessors, position, flip=sweep % 4 == 2)
        else:
            _sweep(columns[::-1], graph.successors, position, flip=sweep % 4 == 3)
        crossings = _crossings(columns, graph, position)
        idle += 1
        if crossings < fewest:
            best, fewest, idle = [list(column) for column in columns], crossings, 0
    if fewest and len(position) <= _POLISH:
        for column in best:
            _number(column, position)
        _polish(best, graph, position)
        fewest = _crossings(best, graph, position)
    return best, fewest


def _depth_first(graph: Columns) -> "list[list[int]]":
    """A first order: as a depth-first walk meets the vertices, so that what belongs together starts so."""
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
            stack = [start]
            while stack:
                vertex = stack.pop()
                if seen[vertex]:
                    continue
                seen[vertex] = 1
                columns[column_of[vertex]].append(vertex)
                stack.extend(reversed(graph.successors[vertex]))
                stack.extend(reversed(graph.predecessors[vertex]))
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
    """Sort each column by the mean position of its neighbours in the one before.

    `flip` lets equal ones change places, which gets the search out of ties.
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


def _polish(columns: "list[list[int]]", graph: Columns, position: "list[float]") -> None:
    """Swap neighbours in a column while that lowers the number of crossings."""
    for _ in range(6):
        gained = False
        for column in columns:
            for index in range(len(column) - 1):
                upper, lower = column[index], column[index + 1]
                gain = _gain(upper, lower, graph.predecessors, position) + _gain(
                    upper, lower, graph.successors, position
                )
                if gain > 0:
                    column[index], column[index + 1] = lower, upper
                    position[upper], position[lower] = position[lower], position[upper]
                    gained = True
        if not gained:
            return


def _gain(upper: int, lower: int, neighbours: "list[list[int]]", position: "list[float]") -> int:
    """How many crossings fewer there are when `lower` stands above `upper`."""
    gain = 0
    theirs = [position[vertex] for vertex in neighbours[lower]]
    for vertex in neighbours[upper]:
        place = position[vertex]
        for other in theirs:
            gain += (place > other) - (place < other)
    return gain
