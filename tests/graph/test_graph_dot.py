"""The dot engine returns the same kind of layout as the built-in one."""

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.graph.dot import dot_layout, is_available
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.svg import svg

needs_dot = pytest.mark.skipif(not is_available(), reason="graphviz is not installed")


@needs_dot
def test_dot_places_every_node_and_routes_every_edge(kinds: Graph) -> None:
    layout = dot_layout(kinds)
    assert [placed.node for placed in layout.nodes] == list(kinds.nodes)
    assert sorted(route.edge for route in layout.routes) == sorted(kinds.edges)
    for placed in layout.nodes:
        assert 0 <= placed.x <= layout.width - placed.width
        assert 0 <= placed.y <= layout.height - placed.height
    assert svg(layout).startswith("<svg")


@needs_dot
def test_dot_draws_names_that_would_break_its_language() -> None:
    nodes = (GraphNode('a"]; b', "task", '"];'), GraphNode("a->b", "task", "{}|"))
    layout = dot_layout(Graph('"', nodes, (GraphEdge('a"]; b', "a->b"), GraphEdge("a->b", "a->b"))))
    assert len(layout.nodes) == 2
    assert len(layout.routes) == 2


@needs_dot
def test_arrows_end_at_their_node_in_the_direction_they_come(churn: Graph) -> None:
    layout = dot_layout(churn)
    places = {placed.node.id: placed for placed in layout.nodes}
    for route in layout.routes:
        target = places[route.edge.target]
        assert abs(route.tip[0] - target.x) < 2
        assert target.y - 2 <= route.tip[1] <= target.y + target.height + 2
        assert route.tip[2] > 0.5


def test_without_dot_the_error_says_what_to_do(
    churn: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_available()
    with pytest.raises(UsageError, match="pip install graphviz"):
        dot_layout(churn)
