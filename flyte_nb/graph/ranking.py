"""Which column each node stands in: cycles broken, longest path, then drawn together.

First step of the layered layout (Sugiyama, Tagawa, Toda 1981). Works on node indices 0…n-1.
"""

Adjacency = "list[list[int]]"


def adjacency(
    count: int, edges: "list[tuple[int, int]]"
) -> "tuple[list[list[int]], list[list[int]]]":
    """(successors, predecessors) by node."""
    successors: list[list[int]] = [[] for _ in range(count)]
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        successors[source].append(target)
        predecessors[target].append(source)
    return successors, predecessors


def back_edges(count: int, edges: "list[tuple[int, int]]") -> "set[tuple[int, int]]":
    """Edges whose reversal leaves no cycle: those that a depth-first walk meets going back.

    Empty for every workflow that compiles. No recursion: a chain may be as long as it likes.
    """
    successors, predecessors = adjacency(count, edges)
    if _has_no_cycle(successors, predecessors):
        return set()
    state = bytearray(count)  # 0 not seen, 1 on the path, 2 done
    back: set[tuple[int, int]] = set()
    starts = [node for node in range(count) if not predecessors[node]]
    for start in [*starts, *range(count)]:
        if state[start]:
            continue
        state[start] = 1
        path = [(start, iter(successors[start]))]
        while path:
            node, children = path[-1]
            for child in children:
                if state[child] == 1:
                    back.add((node, child))
                elif not state[child]:
                    state[child] = 1
                    path.append((child, iter(successors[child])))
                    break
            else:
                state[node] = 2
                path.pop()
    return back


def _has_no_cycle(successors: "list[list[int]]", predecessors: "list[list[int]]") -> bool:
    return len(topological(successors, predecessors)) == len(successors)


def topological(successors: "list[list[int]]", predecessors: "list[list[int]]") -> "list[int]":
    """Nodes, each after its predecessors; those on and behind a cycle are missing."""
    missing = [len(sources) for sources in predecessors]
    order = [node for node, count in enumerate(missing) if not count]
    for node in order:  # grows while it is walked
        for child in successors[node]:
            missing[child] -= 1
            if not missing[child]:
                order.append(child)
    return order


def ranks(successors: "list[list[int]]", predecessors: "list[list[int]]") -> "list[int]":
    """The column of each node of an acyclic graph, from 0.

    Longest path from the sources; then nodes with more arrows to the right than from the left move
    right as far as they can, which shortens arrows (what dot's network simplex does exactly).
    """
    order = topological(successors, predecessors)
    rank = [0] * len(successors)
    for node in order:
        column = rank[node] + 1
        for child in successors[node]:
            if rank[child] < column:
                rank[child] = column
    for _ in range(2):
        moved = _pull_right(order, rank, successors, predecessors)
        moved |= _pull_left(order, rank, successors, predecessors)
        if not moved:
            break
    lowest = min(rank, default=0)
    return [column - lowest for column in rank] if lowest else rank


def _pull_right(
    order: "list[int]",
    rank: "list[int]",
    successors: "list[list[int]]",
    predecessors: "list[list[int]]",
) -> bool:
    moved = False
    for node in reversed(order):
        targets = successors[node]
        if targets and len(targets) > len(predecessors[node]):
            column = min([rank[child] for child in targets]) - 1
            if column > rank[node]:
                rank[node] = column
                moved = True
    return moved


def _pull_left(
    order: "list[int]",
    rank: "list[int]",
    successors: "list[list[int]]",
    predecessors: "list[list[int]]",
) -> bool:
    moved = False
    for node in order:
        sources = predecessors[node]
        if sources and len(sources) > len(successors[node]):
            column = max([rank[parent] for parent in sources]) + 1
            if column < rank[node]:
                rank[node] = column
                moved = True
    return moved
