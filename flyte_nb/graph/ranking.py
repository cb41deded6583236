"""Choose the column of each node: break cycles, take longest paths, then shorten arrows.

First step of the layered layout (Sugiyama, Tagawa, Toda 1981). Nodes are indices 0 … n-1.
"""


def adjacency(
    count: int, edges: "list[tuple[int, int]]"
) -> "tuple[list[list[int]], list[list[int]]]":
    """Return the successors and the predecessors of each node."""
    successors: list[list[int]] = [[] for _ in range(count)]
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        successors[source].append(target)
        predecessors[target].append(source)
    return successors, predecessors


def back_edges(count: int, edges: "list[tuple[int, int]]") -> "set[tuple[int, int]]":
    """Return edges whose reversal leaves no cycle: those that a depth-first walk meets going back.

    There are none in a workflow that compiles.
    """
    successors, predecessors = adjacency(count, edges)
    if _has_no_cycle(successors, predecessors):
        return set()
    # A stack instead of recursion: a chain may be longer than Python's recursion limit.
    state = bytearray(count)  # 0 not seen, 1 on the path, 2 done
    back: set[tuple[int, int]] = set()
    # The walk begins at nodes without predecessors, so that an arrow counts as "back" where a
    # reader would say so too. Nodes on a cycle that no such node leads to come afterwards.
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
    """Return whether the graph has no cycle."""
    return len(topological(successors, predecessors)) == len(successors)


def topological(successors: "list[list[int]]", predecessors: "list[list[int]]") -> "list[int]":
    """Return the nodes, each after its predecessors; those on and behind a cycle are missing."""
    missing = [len(sources) for sources in predecessors]
    order = [node for node, count in enumerate(missing) if not count]
    for node in order:  # grows while it is walked
        for child in successors[node]:
            missing[child] -= 1
            if not missing[child]:
                order.append(child)
    return order


def ranks(successors: "list[list[int]]", predecessors: "list[list[int]]") -> "list[int]":
    """Return the column of each node of an acyclic graph, from 0.

    Each node gets the length of the longest path that leads to it. Then nodes with more arrows to
    the right than from the left move right as far as they can, which shortens arrows. dot solves
    this exactly, by a network simplex; two rounds come close and are linear.
    """
    order = topological(successors, predecessors)
    rank = [0] * len(successors)
    for node in order:
        # Longest path: in topological order, each node is final when it is reached.
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
    """Move nodes with more successors than predecessors right; return whether any moved."""
    moved = False
    for node in reversed(order):
        targets = successors[node]
        # Moving right makes the arrows to successors shorter and those from predecessors longer, so
        # it pays when there are more successors. The same in mirror image in `_pull_left`.
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
    """Move nodes with more predecessors than successors left; return whether any moved."""
    moved = False
    for node in order:
        sources = predecessors[node]
        if sources and len(sources) > len(successors[node]):
            column = max([rank[parent] for parent in sources]) + 1
            if column < rank[node]:
                rank[node] = column
                moved = True
    return moved
