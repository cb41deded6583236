"""Layouts: nothing overlaps, arrows lead from left to right, and the same graph looks the same."""

import itertools
import random
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.graph.elements import CASE, Graph, GraphEdge, GraphNode
from flyte_nb.graph.layout import NODE_HEIGHT, Layout, layered, node_width

Point = tuple[float, float]
Line = tuple[str, str, list[Point]]


def _graph(count: int, pairs: "list[tuple[int, int]]") -> Graph:
    nodes = tuple(GraphNode(f"n{i}", TASK_NODE, f"t{i}") for i in range(count))
    return Graph("g", nodes, tuple(GraphEdge(f"n{a}", f"n{b}") for a, b in pairs))


any_graph = st.integers(0, 14).flatmap(
    lambda count: st.lists(
        # Also edges to themselves, both ways, twice, and to ids that do not exist.
        st.tuples(st.integers(0, count), st.integers(0, count)),
        max_size=30,
    ).map(lambda pairs: _graph(count, pairs))
)


@given(any_graph)
@settings(max_examples=200)
def test_any_graph_valid_or_invalid_is_laid_out(graph: Graph) -> None:
    layout = layered(graph)
    assert [placed.node for placed in layout.nodes] == list(graph.nodes)
    known = {node.id for node in graph.nodes}
    drawn = [edge for edge in graph.edges if {edge.source, edge.target} <= known]
    assert sorted(route.edge for route in layout.routes) == sorted(drawn)
    for placed in layout.nodes:
        assert placed.x >= 0
        assert placed.y >= 0
        assert placed.x + placed.width <= layout.width
        assert placed.y + placed.height <= layout.height
    for first, second in itertools.combinations(layout.nodes, 2):
        apart_x = first.x + first.width <= second.x or second.x + second.width <= first.x
        apart_y = first.y + first.height <= second.y or second.y + second.height <= first.y
        assert apart_x or apart_y


@given(any_graph)
def test_the_same_graph_gives_the_same_layout(graph: Graph) -> None:
    assert layered(graph) == layered(graph)


def test_arrows_of_an_acyclic_graph_lead_from_left_to_right(dag: "Callable[..., Graph]") -> None:
    layout = layered(dag("layered", 80))
    places = {placed.node.id: placed for placed in layout.nodes}
    for route in layout.routes:
        source, target = places[route.edge.source], places[route.edge.target]
        assert source.x + source.width < target.x
        assert route.tip[:2] == (target.x, target.y + NODE_HEIGHT / 2)
        assert route.path.startswith(f"M{source.x + source.width:g} ")


def test_a_chain_is_a_straight_line(dag: "Callable[..., Graph]") -> None:
    layout = layered(dag("chain", 40))
    assert len({placed.y for placed in layout.nodes}) == 1
    assert all("C" not in route.path for route in layout.routes)


def test_a_gathering_node_stands_in_the_middle_of_a_fan(dag: "Callable[..., Graph]") -> None:
    layout = layered(dag("fan", 9))
    assert layout.crossings == 0
    heights = [placed.y for placed in layout.nodes]
    middle = (min(heights[1:-1]) + max(heights[1:-1])) / 2
    assert heights[0] == pytest.approx(middle, abs=0.2)
    assert heights[-1] == pytest.approx(middle, abs=0.2)


def test_a_node_without_arrows_stands_close_to_the_others() -> None:
    layout = layered(_graph(7, [(0, 3), (1, 3), (1, 4), (3, 5), (4, 5), (3, 6)]))  # n2 is alone
    first = sorted(placed.y for placed in layout.nodes if placed.x == layout.nodes[2].x)
    assert max(b - a for a, b in itertools.pairwise(first)) <= NODE_HEIGHT + 40


def test_many_nodes_without_arrows_stand_in_a_block() -> None:
    layout = layered(_graph(30, []))
    assert len({placed.x for placed in layout.nodes}) == 4
    assert layout.height < 9 * 64


def test_a_long_arrow_passes_between_nodes_and_never_over_them() -> None:
    graph = _graph(6, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (0, 5), (5, 4)])
    layout = layered(graph)
    for route in layout.routes:
        for x, y in polyline(route.path):
            for placed in layout.nodes:
                inside_x = placed.x + 1 < x < placed.x + placed.width - 1
                assert not (inside_x and placed.y < y < placed.y + placed.height)


def test_the_arrow_that_closes_a_cycle_is_drawn_backwards() -> None:
    layout = layered(_graph(3, [(0, 1), (1, 2), (2, 0)]))
    assert sorted(route.tip[2] for route in layout.routes) == [-1.0, 1.0, 1.0]


def test_a_condition_has_room_in_front_of_its_node() -> None:
    nodes = (GraphNode("a", TASK_NODE, "a"), GraphNode("b", TASK_NODE, "b"))
    label = "rows > 100000 and threshold < 0.5 and something else that never ends"
    bare = layered(Graph("g", nodes, (GraphEdge("a", "b"),)))
    layout = layered(Graph("g", nodes, (GraphEdge("a", "b", CASE, label),)))
    assert layout.nodes[1].x - bare.nodes[1].x > 150
    assert layout.routes[0].label.endswith("…")
    assert layout.routes[0].label_at is not None
    assert layout.routes[0].label_at[0] < layout.nodes[1].x


def test_a_node_is_wide_enough_for_a_known_second_line() -> None:
    node = GraphNode("a", TASK_NODE, "a")
    graph = Graph("g", (node,), ())
    said = "ModuleNotFoundError · attempt 3"
    assert layered(graph, subtitles={"a": said}).nodes[0].width > layered(graph).nodes[0].width
    assert node_width(node, said * 9) == node_width(node, said * 20)


def test_ten_thousand_nodes_in_a_row_do_not_exhaust_the_stack(dag: "Callable[..., Graph]") -> None:
    assert len(layered(dag("chain", 10_000)).nodes) == 10_000


# --- crossings against dot --------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("dot") is None, reason="dot is not installed")
@pytest.mark.parametrize("count", [20, 50, 100, 500])
def test_there_are_at_most_a_quarter_more_crossings_than_dot_draws(
    count: int, dag: "Callable[..., Graph]"
) -> None:
    seeds = (1, 2, 3, 4) if count < 500 else (3,)
    own = others = 0
    for seed in seeds:
        graph = dag("layered", count, seed)
        own += crossings(_own_lines(layered(graph)))
        others += crossings(_dot_lines(graph))
    assert own <= 1.25 * others


@pytest.mark.skipif(shutil.which("dot") is None, reason="dot is not installed")
def test_dense_graphs_too_cross_at_most_a_quarter_more_than_dots() -> None:
    own = others = 0
    for count, parents, seed in itertools.product((50, 100), (2, 3), (1, 2, 3)):
        graph = _dense(count, parents, seed)
        own += crossings(_own_lines(layered(graph)))
        others += crossings(_dot_lines(graph))
    assert own <= 1.25 * others


def _dense(count: int, parents: int, seed: int) -> Graph:
    """Every node has that many parents among the twelve before it: most arrows are long."""
    rng = random.Random(seed)
    pairs = {
        (parent, node)
        for node in range(1, count)
        for parent in rng.sample(range(max(0, node - 12), node), min(parents, node))
    }
    return _graph(count, sorted(pairs))


def _own_lines(layout: Layout) -> "list[Line]":
    return [(route.edge.source, route.edge.target, polyline(route.path)) for route in layout.routes]


def _dot_lines(graph: Graph) -> "list[Line]":
    lines = ["digraph{rankdir=LR;node[shape=box,fontname=Helvetica];"]
    lines += [f'{node.id}[label="{node.title}"];' for node in graph.nodes]
    lines += [f"{edge.source}->{edge.target};" for edge in graph.edges]
    answer = subprocess.run(
        ["dot", "-Tplain"],
        input="\n".join([*lines, "}"]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Line] = []
    for line in answer.stdout.splitlines():
        words = line.split()
        if words[0] == "edge":
            count = int(words[3])
            numbers = [float(word) * 72 for word in words[4 : 4 + 2 * count]]
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            bent = points[:1]
            for start in range(0, count - 1, 3):
                bent += bezier(*points[start : start + 4])
            found.append((words[1], words[2], bent))
    return found


def polyline(path: str) -> "list[Point]":
    """The points along a path of `M`, `H`, `L` and `C`."""
    points: list[Point] = []
    for command, numbers in re.findall(r"([MHLC])([^MHLC]*)", path):
        values = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", numbers)]
        if command == "H":
            points.append((values[0], points[-1][1]))
        elif command in "ML":
            points.append((values[0], values[1]))
        else:
            controls = list(zip(values[::2], values[1::2], strict=True))
            points += bezier(points[-1], *controls)
    return points


def bezier(a: Point, b: Point, c: Point, d: Point, steps: int = 8) -> "list[Point]":
    points = []
    for step in range(1, steps + 1):
        t = step / steps
        u = 1 - t
        weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
        x = sum(weight * point[0] for weight, point in zip(weights, (a, b, c, d), strict=True))
        y = sum(weight * point[1] for weight, point in zip(weights, (a, b, c, d), strict=True))
        points.append((x, y))
    return points


def crossings(lines: "list[Line]") -> int:
    """Pairs of arrows, without a common end, whose lines cross as drawn."""
    segments = sorted(
        (min(a[0], b[0]), max(a[0], b[0]), a, b, number)
        for number, (_, _, points) in enumerate(lines)
        for a, b in itertools.pairwise(points)
    )
    found: set[tuple[int, int]] = set()
    active: list[tuple[float, float, Point, Point, int]] = []
    for segment in segments:
        active = [other for other in active if other[1] > segment[0]]
        for other in active:
            pair = (min(segment[4], other[4]), max(segment[4], other[4]))
            if pair[0] == pair[1] or pair in found:
                continue
            first, second = lines[pair[0]], lines[pair[1]]
            if first[0] == second[0] or first[1] == second[1]:
                continue
            if _cross(segment[2], segment[3], other[2], other[3]):
                found.add(pair)
        active.append(segment)
    return len(found)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
